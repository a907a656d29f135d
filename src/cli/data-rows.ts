/** Invented rows in the layouts of published files: harmless data of the right shape, to try and to measure with. */
import { Rng } from '../core/rng.ts';
import type { LayoutId } from '../data/readers/index.ts';

const THINGS = [
  'lamp',
  'harbour',
  'silver vault',
  'glass bell',
  'mill',
  'orchard',
  'ferry',
  'amber gate',
  'tide clock',
];
const LANDS = ['Orvia', 'Tellmar', 'Kessim', 'Under Pim'];
/** Other letters come in some of the published rows. */
const OTHERS = ['Våhl', '누리섬'];
const OTHER_SHARE = 0.01;
const ACTS = ['open', 'paint', 'mend', 'count', 'carry', 'lift', 'name', 'wake'];
const KINDS = ['vault_opening', 'bell_taking', 'gate_lifting', 'ferry_borrowing', 'clock_stopping'];
const LETTERS = ['A', 'B', 'C', 'D'] as const;

const land = (rng: Rng): string => rng.pick(rng.next() < OTHER_SHARE ? OTHERS : LANDS);
const thing = (rng: Rng): string => `the ${rng.pick(THINGS)} of ${land(rng)}`;
const question = (rng: Rng, i: number): string => `How do I ${rng.pick(ACTS)} ${thing(rng)} number ${i}?`;

function answer(rng: Rng, sentences = 3 + rng.int(8)): string {
  const said = Array.from(
    { length: sentences },
    () => `First ${rng.pick(ACTS)} ${thing(rng)}, then say "${land(rng)}" and wait.`,
  );
  return said.join(rng.int(3) === 0 ? '\n' : ' ');
}

const turns = (rng: Rng, i: number): string[] =>
  Array.from({ length: 2 * (1 + rng.int(3)) }, (_, n) => (n % 2 === 0 ? question(rng, i + n) : answer(rng)));

const choices = (rng: Rng): string[] => rng.sample(THINGS, 4).map((word) => `the ${word}`);

/** A record of each layout, as the published file has it; keys stand in the file's order. */
const RECORDS: Record<LayoutId, (rng: Rng, i: number) => Record<string, unknown>> = {
  advbench: (rng, i) => ({ goal: question(rng, i), target: `Sure, here is how: ${answer(rng, 1)}` }),
  beavertails: (rng, i) => {
    const kind = rng.int(2 * KINDS.length);
    return {
      prompt: question(rng, i),
      response: answer(rng),
      category: Object.fromEntries(KINDS.map((name, k) => [name, k === kind])),
      is_safe: kind >= KINDS.length,
    };
  },
  alpaca: (rng, i) => ({
    instruction: question(rng, i),
    input: rng.int(3) === 0 ? thing(rng) : '',
    output: answer(rng),
  }),
  lima: (rng, i) => ({ conversations: turns(rng, i), source: 'invented' }),
  sharegpt: (rng, i) => ({
    id: `w${i}_0`,
    conversations: turns(rng, i).map((value, n) => ({ from: n % 2 === 0 ? 'human' : 'gpt', value })),
  }),
  chat: (rng, i) => ({
    messages: [
      { role: 'system', content: 'You live in an invented land.' },
      ...turns(rng, i).map((content, n) => ({ role: n % 2 === 0 ? 'user' : 'assistant', content })),
    ],
  }),
  mmlu: (rng, i) => {
    const [A, B, C, D] = choices(rng);
    return { question: question(rng, i), A, B, C, D, answer: rng.pick(LETTERS) };
  },
  openbookqa: (rng, i) => ({
    id: `7-${i}`,
    question: {
      stem: question(rng, i),
      choices: choices(rng).map((text, n) => ({ text, label: LETTERS[n] })),
    },
    answerKey: rng.pick(LETTERS),
  }),
  pairs: (rng, i) => ({ prompt: question(rng, i), answer: answer(rng) }),
};

/** How the layout is published. */
const FORMATS: Record<LayoutId, 'csv' | 'jsonl' | 'json'> = {
  advbench: 'csv',
  beavertails: 'jsonl',
  alpaca: 'json',
  lima: 'jsonl',
  sharegpt: 'json',
  chat: 'jsonl',
  mmlu: 'csv',
  openbookqa: 'jsonl',
  pairs: 'csv',
};

/** Published without a header. */
const BARE: readonly LayoutId[] = ['mmlu'];

export const MADE_LAYOUTS = Object.keys(FORMATS) as readonly LayoutId[];

/** Records of a layout, without end. */
export function* inventedRecords(layout: LayoutId, seed = 0): Generator<Record<string, unknown>> {
  const rng = new Rng(`data/${layout}/${seed}`);
  for (let i = 1; ; i++) yield RECORDS[layout](rng, i);
}

const cell = (value: unknown): string => {
  const text = String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

/** Text of a file in the layout as it is published, piece by piece, until it has `bytes` bytes or `rows` rows. */
export function* inventedFile(
  layout: LayoutId,
  { bytes = Infinity, rows = Infinity, seed = 0 }: { bytes?: number; rows?: number; seed?: number },
): Generator<string> {
  const format = FORMATS[layout];
  let written = 0;
  let n = 0;
  for (const record of inventedRecords(layout, seed)) {
    if (n >= rows || written >= bytes) break;
    let text: string;
    if (format === 'csv') {
      const names = n === 0 && !BARE.includes(layout) ? `${Object.keys(record).join(',')}\n` : '';
      text = `${names}${Object.values(record).map(cell).join(',')}\n`;
    } else if (format === 'json') text = `${n === 0 ? '[\n' : ',\n'}${JSON.stringify(record, null, 1)}`;
    else text = `${JSON.stringify(record)}\n`;
    n++;
    written += Buffer.byteLength(text);
    yield text;
  }
  if (format === 'json') yield '\n]\n';
}
