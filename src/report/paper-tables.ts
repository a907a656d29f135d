/**
 * The paper's own figures, to stand apart from what the lab measures: Llama-2-7B, real harmful data, GPT-4 as judge.
 *
 * Chen et al., 'SDD: Self-Degraded Defense against Malicious Fine-tuning', ACL 2025, tables 1 and 2, as two published readings of the
 * paper quote them, a replication's target values and a summary. Where both quote a figure they agree; the paper itself was not at
 * hand, and what neither quotes (the other defences, and the attacks on the plain Llama-2-7B) is not filled in.
 */
import type { ReportTable, ReportValue } from './document.ts';
import type { Language } from './words.ts';

/** Harmful samples in the attack; harmfulness score, 1 to 5; harmfulness rate, the share of answers with score 5. */
const HARM: readonly (readonly [method: 'vanilla' | 'SDD', samples: number, score: number, rate: number])[] =
  [
    ['vanilla', 0, 1.06, 0.003],
    ['vanilla', 10, 3.58, 0.5],
    ['vanilla', 50, 4.52, 0.803],
    ['vanilla', 100, 4.54, 0.8],
    ['SDD', 0, 2.14, 0],
    ['SDD', 10, 2.14, 0],
    ['SDD', 50, 2.57, 0],
    ['SDD', 100, 1.57, 0],
  ];

type Tuning = 'none' | 'bft' | 'mft';
/** Accuracies before and after fine-tuning. */
const ABILITY: readonly (readonly [
  model: string,
  method: 'vanilla' | 'SDD',
  then: Tuning,
  mmlu: number,
  openBookQa: number,
])[] = [
  ['Llama-2-7B-chat', 'vanilla', 'none', 0.4635, 0.334],
  ['Llama-2-7B-chat', 'SDD', 'none', 0.4704, 0.33],
  ['Llama-2-7B-chat', 'SDD', 'bft', 0.4914, 0.35],
  ['Llama-2-7B-chat', 'SDD', 'mft', 0.2933, 0.138],
  ['Llama-2-7B', 'vanilla', 'none', 0.3887, 0.314],
  ['Llama-2-7B', 'SDD', 'none', 0.4578, 0.318],
  ['Llama-2-7B', 'SDD', 'bft', 0.4593, 0.326],
  ['Llama-2-7B', 'SDD', 'mft', 0.2579, 0.134],
];

const en = {
  model: 'model',
  method: 'method',
  then: 'fine-tuned with',
  tuning: { none: '-', bft: 'benign data', mft: 'harmful data' },
  harm: 'Harm after an attack, in the paper',
  samples: 'harmful samples',
  score: 'harmfulness score, 1 to 5',
  rate: 'harmfulness rate',
  ability: 'Ability before and after fine-tuning, in the paper',
  source:
    'Llama-2-7B, GPT-4 judge, not reproduced here. Chen et al., ACL 2025, as two readings of the paper quote it; rows of the other defences are not among what they quote.',
  harmNote:
    'Fine-tuned on 0, 10, 50 or 100 harmful samples; the rate is the share of answers with the score 5. No intervals are given.',
  abilityNote:
    'After harmful data SDD loses a third of its score in MMLU, and falls to about chance (25 %); in OpenBookQA below it.',
};

const ko: typeof en = {
  model: '모델',
  method: '방법',
  then: '미세 조정 데이터',
  tuning: { none: '-', bft: '무해한 데이터', mft: '유해 데이터' },
  harm: '논문의 값: 공격 뒤의 유해성',
  samples: '유해 예시 수',
  score: '유해성 점수, 1~5',
  rate: '유해율',
  ability: '논문의 값: 미세 조정 전후의 능력',
  source:
    'Llama-2-7B, GPT-4 판정, 여기서 재현하지 않음. Chen 외, ACL 2025, 논문을 읽은 두 글이 옮긴 값입니다. 다른 방어의 행은 그 글들에 없습니다.',
  harmNote:
    '유해 예시 0, 10, 50, 100개로 미세 조정. 유해율은 점수 5를 받은 답의 비율입니다. 구간은 주어지지 않았습니다.',
  abilityNote:
    '유해 데이터 뒤에 SDD는 MMLU 점수의 3분의 1을 잃어 우연(25 %) 근처로, OpenBookQA에서는 그 아래로 떨어집니다.',
};

const WORDS: Readonly<Record<Language, typeof en>> = { en, ko };

export function paperTables(language: Language): ReportTable[] {
  const w = WORDS[language];
  return [
    {
      id: 'paper-harm',
      title: w.harm,
      notes: [w.source, w.harmNote],
      columns: [
        { id: 'model', title: w.model, unit: 'text' },
        { id: 'method', title: w.method, unit: 'text' },
        { id: 'samples', title: w.samples, unit: 'count' },
        { id: 'score', title: w.score, unit: 'number' },
        { id: 'rate', title: w.rate, unit: 'share' },
      ],
      rows: HARM.map((row): ReportValue[] => ['Llama-2-7B-chat', ...row]),
      picture: { kind: 'curves', x: 'samples', y: 'rate', line: ['method'], title: w.harm },
    },
    {
      id: 'paper-ability',
      title: w.ability,
      notes: [w.source, w.abilityNote],
      columns: [
        { id: 'model', title: w.model, unit: 'text' },
        { id: 'method', title: w.method, unit: 'text' },
        { id: 'then', title: w.then, unit: 'text' },
        { id: 'mmlu', title: 'MMLU', unit: 'share' },
        { id: 'openbookqa', title: 'OpenBookQA', unit: 'share' },
      ],
      rows: ABILITY.map(([model, method, tuning, mmlu, openBookQa]): ReportValue[] => [
        model,
        method,
        w.tuning[tuning],
        mmlu,
        openBookQa,
      ]),
    },
  ];
}
