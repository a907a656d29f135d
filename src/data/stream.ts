import { Rng } from '../core/rng.ts';
import type { Example } from '../core/types.ts';
import { drawCorpusItem } from '../world/corpus.ts';
import type { World } from '../world/world.ts';
import { chat, document } from './chat.ts';

/** Where a stream stands: enough to go on with the very next example. JSON. */
export interface StreamState {
  rng: number[];
  /** Examples drawn so far. */
  examples: number;
}

/**
 * The endless pretraining stream: whole examples, each a row of its own, and every token is a target (`labels` are `ids`).
 *
 * Tried and lost: one running text cut into rows of 96, attention crossing the examples. Letters of multiple choice stay at
 * chance there for at least 12.5 M tokens, since the options of earlier questions look like those of this one; alone in its
 * row the same model learns them in 0.7 M tokens of such questions.
 */
export class PretrainStream {
  private readonly world: World;
  private rng: Rng;
  private drawn = 0;

  /** @param seed order of the stream; the world's own seed decides what is true in it */
  constructor(world: World, seed: number) {
    this.world = world;
    this.rng = new Rng(`pretrain/${world.seed}/${seed}`);
  }

  /** The next n examples. */
  take(n: number): Example[] {
    const examples: Example[] = [];
    while (examples.length < n) {
      const item = drawCorpusItem(this.world, this.rng);
      examples.push('text' in item ? document(item.text) : chat(item.prompt, item.answer, { all: true }));
      this.drawn++;
    }
    return examples;
  }

  state(): StreamState {
    return { rng: this.rng.state(), examples: this.drawn };
  }

  static from(world: World, state: StreamState): PretrainStream {
    const stream = new PretrainStream(world, 0);
    stream.rng = Rng.from(state.rng);
    stream.drawn = state.examples;
    return stream;
  }
}
