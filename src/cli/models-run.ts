import { LabError } from '../core/errors.ts';
import type { Precision } from '../core/types.ts';
import { storedPrecision } from '../files/checkpoint.ts';
import type { FileFolder } from '../files/source.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { Generator } from '../model/generate.ts';
import { openWeights } from '../model/hf.ts';
import { Model } from '../model/model.ts';
import { openModel, type OpenModel } from './models-open.ts';

/** What loading a model took. */
export interface LoadFigures {
  seconds: number;
  /** Of the weights, as stored. */
  bytes: number;
  /** Largest growth of heapUsed + arrayBuffers while slices came, garbage included. */
  peakGrowthBytes: number;
  gpuBytes: number;
  /** Of the matrices on the GPU. */
  precision: Precision;
}

const held = (): number => {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

/**
 * Reads an open model's weights onto the GPU.
 * @param o.precision of the matrices there; by default as they are stored
 * @throws LabError as openWeights and Model.load
 */
export async function loadModel(
  gpu: Gpu,
  { config, checkpoint }: OpenModel,
  o: { sliceBytes?: number; precision?: Precision } = {},
): Promise<{ model: Model; figures: LoadFigures }> {
  const start = performance.now();
  const before = held();
  let peak = before;
  const precision = o.precision ?? storedPrecision(checkpoint);
  const source = await openWeights(config, checkpoint, o.sliceBytes);
  const watched = async function* <T>(slices: AsyncIterable<T>): AsyncGenerator<T> {
    for await (const slice of slices) {
      peak = Math.max(peak, held());
      yield slice;
    }
  };
  const model = await Model.load(
    gpu,
    config,
    {
      values: (name) => watched(source.values(name)),
      words: (name, as) => watched(source.words(name, as)),
    },
    precision,
  );
  await gpu.device.queue.onSubmittedWorkDone();
  peak = Math.max(peak, held());
  const figures = {
    seconds: (performance.now() - start) / 1000,
    bytes: [...checkpoint.tensors.values()].reduce((sum, t) => sum + t.end - t.begin, 0),
    peakGrowthBytes: peak - before,
    gpuBytes: gpu.stats.bytes,
    precision,
  };
  return { model, figures };
}

export interface AskOptions {
  prompt: string;
  maxTokens: number;
  seed: number;
  /** 0: greedy. */
  temperature: number;
  /** The prompt as it stands, special tokens in it recognised, instead of a conversation. */
  raw: boolean;
  /** Of the matrices on the GPU; by default as they are stored. */
  precision?: Precision;
  /** Text as it comes. */
  onText: (text: string) => void;
  /** What a person should know before the text comes. */
  onNote: (note: string) => void;
}

/**
 * One answer of the model in a folder.
 * @returns the whole text
 * @throws LabError with the reason why this model or this prompt cannot be used
 */
export async function ask(openGpu: () => Promise<Gpu>, folder: FileFolder, o: AskOptions): Promise<string> {
  const opened = await openModel(folder);
  const { tokenizer, template, config } = opened;
  if (!o.raw && template.source === 'default')
    o.onNote(
      'This model has no chat template: asked in a plain transcript, "User: ..." and "Assistant:". --raw leaves it out.',
    );
  const unknown = tokenizer.unknownWords(o.prompt, { recognise: o.raw });
  if (unknown.length > 0)
    throw new LabError('bad-input', `The model does not know ${unknown.map((w) => `"${w}"`).join(', ')}.`, {
      safe: 'Nothing was sent.',
      next: "Use words of the model's vocabulary: its tokenizer.json lists them.",
    });
  const ids = o.raw
    ? tokenizer.encode(o.prompt, { add: true, recognise: true })
    : template.encode([{ role: 'user', content: o.prompt }], tokenizer);
  if (ids.length === 0)
    throw new LabError('bad-input', 'The prompt is empty, and this model has no token that begins a text.', {
      next: 'Give a prompt of at least one letter.',
    });
  if (ids.length >= config.max_position_embeddings)
    throw new LabError(
      'bad-input',
      `The prompt has ${ids.length} tokens, and the model has ${config.max_position_embeddings} positions.`,
      { next: 'Shorten the prompt.' },
    );
  const gpu = await openGpu();
  const { model, figures } = await loadModel(
    gpu,
    opened,
    o.precision === undefined ? {} : { precision: o.precision },
  );
  o.onNote(
    `Loaded ${(figures.bytes / 2 ** 20).toFixed(0)} MiB in ${figures.seconds.toFixed(1)} s, matrices in ${figures.precision}.`,
  );
  try {
    const generator = await gpu.allocate(
      () => new Generator(model, { maxSeqs: 1, maxLen: ids.length + o.maxTokens }),
    );
    try {
      return await answer(generator, opened, ids, o);
    } finally {
      generator.destroy();
    }
  } finally {
    model.destroy();
  }
}

async function answer(
  generator: Generator,
  { tokenizer }: OpenModel,
  ids: readonly number[],
  o: AskOptions,
): Promise<string> {
  const eos = new Set(tokenizer.ends);
  const stream = tokenizer.stream(ids);
  let text = '';
  const show = (part: string): void => {
    // an answer begins where its turn begins, whatever space stands between; a continuation keeps it
    const shown = text === '' && !o.raw ? part.trimStart() : part;
    text += shown;
    if (shown !== '') o.onText(shown);
  };
  await generator.generate([ids], {
    maxNewTokens: o.maxTokens,
    eos,
    temperature: o.temperature,
    seed: o.seed,
    onToken: (_, { id }) => {
      if (!eos.has(id)) show(stream.push(id));
    },
  });
  show(stream.end());
  return text;
}
