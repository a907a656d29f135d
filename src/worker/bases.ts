/** Whole models on the GPU, each once: everything that stands on one shares it. */
import type { Model } from '../model/model.ts';

/** Somebody's hold on a whole model. */
export interface Base {
  readonly model: Model;
  /** Ends the hold; a second call does nothing. */
  release(): void;
}

interface Held {
  loading: Promise<Model>;
  /** Null until it is loaded. */
  model: Model | null;
  users: number;
  /** Large models stay when nobody uses them, until room is needed: to load them again takes seconds. */
  keep: boolean;
}

export class Bases {
  #held = new Map<string, Held>();
  #makeRoom: () => void;

  /** @param makeRoom called before a large model is loaded: lets go of what nobody is using */
  constructor(makeRoom: () => void) {
    this.#makeRoom = makeRoom;
  }

  /** @param id of the node whose weights these are */
  async acquire(id: string, keep: boolean, load: () => Promise<Model>): Promise<Base> {
    let held = this.#held.get(id);
    if (!held) {
      if (keep) {
        this.#makeRoom();
        this.freeIdle();
      }
      held = { loading: load(), model: null, users: 0, keep };
      this.#held.set(id, held);
    }
    const { loading } = held;
    held.users++;
    try {
      held.model = await loading;
    } catch (error) {
      if (this.#held.get(id) === held) this.#held.delete(id);
      throw error;
    }
    const own = held;
    let released = false;
    const release = (): void => {
      if (released) return;
      released = true;
      own.users--;
      if (own.users === 0 && !own.keep) this.#free(id, own);
    };
    return { model: held.model, release };
  }

  /** Frees what nobody uses. @param but the model of this node stays */
  freeIdle(but?: string): void {
    for (const [id, held] of this.#held) if (held.users === 0 && id !== but) this.#free(id, held);
  }

  /** The device is gone, and everything on it. */
  clear(): void {
    this.#held.clear();
  }

  /** A deleted node's model goes as soon as nobody uses it. */
  forget(id: string): void {
    const held = this.#held.get(id);
    if (!held) return;
    held.keep = false;
    if (held.users === 0) this.#free(id, held);
  }

  #free(id: string, held: Held): void {
    if (this.#held.get(id) === held) this.#held.delete(id);
    held.model?.destroy();
  }
}
