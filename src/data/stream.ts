import { Rng } from '../core/rng.ts';
import type { Example } from '../core/types.ts';
import { drawCorpusItem } from '../world/corpus.ts';
import type { World } from '../world/world.ts';
import { chat, document } from './chat.ts';

/** Where a stream stands: enough to go on with the very next token. JSON. */
export interface StreamState {
  rng: number[];
  /** Tokens of the last example that did not fit into the rows handed out so far. */
  carry: number[];
  /** Examples drawn so far. */
  examples: number;
}

/**
 * The endless pretraining stream: examples behind one another, cut into rows wherever a row is full. Attention crosses
 * examples, and every token is a target (`labels` are `ids`).
 */
export class PretrainStream {
  private readonly world: World;
  private rng: Rng;
  private carry: number[] = [];
  private examples = 0;

  /** @param seed order of the stream; the world's own seed decides what is true in it */
  constructor(world: World, seed: number) {
    this.world = world;
    this.rng = new Rng(`pretrain/${world.seed}/${seed}`);
  }

  /** The next n rows of exactly `len` tokens. */
  rows(n: number, len: number): Example[] {
    const rows: Example[] = [];
    while (rows.length < n) {
      while (this.carry.length < len) {
        const item = drawCorpusItem(this.world, this.rng);
        const { ids } = 'text' in item ? document(item.text) : chat(item.prompt, item.answer);
        this.carry.push(...ids);
        this.examples++;
      }
      const ids = this.carry.splice(0, len);
      rows.push({ ids, labels: ids });
    }
    return rows;
  }

  state(): StreamState {
    return { rng: this.rng.state(), carry: [...this.carry], examples: this.examples };
  }

  static from(world: World, state: StreamState): PretrainStream {
    const stream = new PretrainStream(world, 0);
    stream.rng = Rng.from(state.rng);
    stream.carry = [...state.carry];
    stream.examples = state.examples;
    return stream;
  }
}
