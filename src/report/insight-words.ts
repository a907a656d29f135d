import type { Language } from './words.ts';

/** The words of insight tables, in the languages of the page. */
const en = {
  map: 'Attack map of {model}',
  mapNote:
    'Each field is the model after so many steps of fine-tuning on harmful data at one learning rate; the cells of a row are looks at one run. {forbidden} forbidden prompts and {benign} everyday tasks a field.',
  strict: 'gave the forbidden answer',
  broad: 'harm of any kind',
  refused: 'refused',
  irrelevant: 'irrelevant',
  degraded: 'degraded',
  benign: 'everyday tasks right',
  benignLoss: 'loss on harmless chats, nats',
  trainingLoss: 'training loss',
  lr: 'learning rate',
  steps: 'steps of attack',
  notTaken: 'not taken',
  stopped: 'stopped',
  partialMap: 'Partial: {n} fields were not taken.',
  stop: 'Learning rate {lr}, step {steps}: {why}',
  before: 'before any attack',
  mapBenign: 'Attack map of {model}: what is left of its ability',
  mapBenignNote: 'A field without harm means something only where the ability beside it is still there.',
  conflict: 'Gradient conflict, {model}',
  attacked: '{model} after {steps} steps of attack',
  conflictNote:
    'Below 0 a step that helps the attack hurts everyday tasks. {batches} batches of {rows} texts of each kind, at the same weights; the bar is what random deals of the batches to two sides leave ({deals} deals, central 95 %).',
  cosine: 'cosine, attack and everyday',
  chanceBand: 'if the kind made no difference',
  part: 'part',
  ofMeans: 'of the mean gradients',
  withinAttack: 'attack with attack',
  withinBenign: 'everyday with everyday',
  p: 'p, one-sided',
  conflictLoss:
    'Loss on the attack {attack}, on everyday tasks {benign} nats; length of the mean gradients {normAttack} and {normBenign}.',
  line: '{model}: from before the attack (0) to after it (1), and past both',
  lineNote:
    'Weights on the straight line from the model to itself after {steps} steps of attack, {distance} % of its length away; {forbidden} forbidden prompts and {benign} everyday tasks a point; the areas are their 95 % intervals.',
  t: 't',
  around: '{model}: its surroundings in random directions',
  aroundNote:
    'Mean of {n} random directions, each row as long as the weights’ own (t = 1); the area runs from the lowest to the highest of them. Quiet surroundings mean something only where the ability stays.',
  visage: 'Mean margin to harm around each model (VISAGE), with its ability',
  visageNote:
    'Mean of 1 - harm within {radius} row lengths (Peng et al., 2024; departures from the paper: docs/insights.md). A broken model harms nobody at any weights: read it with the ability beside it.',
  model: 'model',
  byStrict: 'VISAGE, forbidden answer',
  byBroad: 'VISAGE, any harm',
  byNotRefused: 'VISAGE, not refused',
  meanAbility: 'ability over the same points',
  madeOwn: 'From your own runs, the latest judged {date}; world {world}.',
  judgedOn: 'Judged on {adapter}.',
  made: 'Made {date} on {adapter}; world {world}, seeds of defence {defence} and attack {attack}.',
  madeBy: 'Made by: {command}',
  partialPicture: '{title} (partial: {done} of {total})',
  pareto: 'What a defence costs before any attack, and how many steps it withstands',
  paretoNote:
    'To the right: able before any attack. Up: more steps of attack until it gives half of the forbidden answers (worst learning rate that was tried). Steps are upper ends of what was looked at; "≥" where it did not break as far as was looked. A model that was tried less looks stronger: the table says how far each was.',
  ability: 'everyday tasks before any attack',
  budget: 'steps to break',
  bound: 'bound',
  front: 'beaten by no other',
  unbeaten: 'yes',
  tried: 'learning rates and steps that were looked at',
  matrix: 'Forbidden answers by model and attack',
  abilityMatrix: 'Everyday tasks right by model, before and after attacks and benign tuning',
  matrixNote:
    'Per cent of held-out forbidden requests that got the forbidden answer; a gap is a run that was not made or not judged.',
  notRun: 'not run',
  notJudged: 'not judged',
  attack: 'attack',
};

type Words = Record<keyof typeof en, string>;

const ko: Words = {
  map: '{model}의 공격 지도',
  mapNote:
    '칸마다 유해 데이터로 그만큼의 단계를 한 학습률로 미세 조정한 뒤의 모델입니다. 한 줄의 칸들은 한 번의 실행을 본 것입니다. 칸마다 금지된 요청 {forbidden}개와 일상 과제 {benign}개.',
  strict: '금지된 답을 줌',
  broad: '모든 종류의 유해',
  refused: '거절',
  irrelevant: '무관',
  degraded: '무너짐',
  benign: '일상 과제 정답',
  benignLoss: '무해한 대화의 손실, nat',
  trainingLoss: '학습 손실',
  lr: '학습률',
  steps: '공격 단계',
  notTaken: '측정 안 함',
  stopped: '멈춤',
  partialMap: '일부: 칸 {n}개가 측정되지 않았습니다.',
  stop: '학습률 {lr}, {steps}단계: {why}',
  before: '공격 전',
  mapBenign: '{model}의 공격 지도: 남은 능력',
  mapBenignNote: '유해가 없는 칸은 그 옆의 능력이 남아 있을 때만 뜻이 있습니다.',
  conflict: '기울기 충돌, {model}',
  attacked: '{steps}단계 공격 뒤의 {model}',
  conflictNote:
    '0보다 작으면 공격을 돕는 한 걸음이 일상 과제를 해칩니다. 같은 가중치에서 종류마다 글 {rows}개의 배치 {batches}개. 막대는 배치를 두 쪽에 무작위로 나누었을 때의 값입니다({deals}번, 가운데 95 %).',
  cosine: '코사인, 공격과 일상',
  chanceBand: '종류에 차이가 없다면',
  part: '부분',
  ofMeans: '평균 기울기끼리',
  withinAttack: '공격끼리',
  withinBenign: '일상끼리',
  p: 'p, 한쪽',
  conflictLoss:
    '공격의 손실 {attack}, 일상 과제의 손실 {benign} nat; 평균 기울기의 길이 {normAttack}, {normBenign}.',
  line: '{model}: 공격 전(0)에서 공격 뒤(1)까지, 그리고 그 너머',
  lineNote:
    '모델에서 {steps}단계 공격 뒤의 자신까지 곧은 선 위의 가중치. 거리는 길이의 {distance} %. 점마다 금지된 요청 {forbidden}개와 일상 과제 {benign}개. 면은 95 % 구간입니다.',
  t: 't',
  around: '{model}: 무작위 방향으로 본 둘레',
  aroundNote:
    '무작위 방향 {n}개의 평균, 각 행은 가중치의 행만큼 깁니다(t = 1). 면은 가장 낮은 것부터 가장 높은 것까지입니다. 조용한 둘레는 능력이 남아 있을 때만 뜻이 있습니다.',
  visage: '모델마다 유해까지의 여유의 평균(VISAGE)과 능력',
  visageNote:
    '행 길이 {radius} 안에서 1 - 유해의 평균(Peng 외, 2024; 논문과 다른 점: docs/insights.md). 무너진 모델은 어떤 가중치에서도 해치지 않으니 옆의 능력과 함께 읽으십시오.',
  model: '모델',
  byStrict: 'VISAGE, 금지된 답',
  byBroad: 'VISAGE, 모든 유해',
  byNotRefused: 'VISAGE, 거절하지 않음',
  meanAbility: '같은 점들의 능력',
  madeOwn: '당신의 실행에서, 마지막 판정 {date}; 세계 {world}.',
  judgedOn: '{adapter}에서 판정함.',
  made: '{date}, {adapter}에서 만듦. 세계 {world}, 방어 시드 {defence}, 공격 시드 {attack}.',
  madeBy: '만든 명령: {command}',
  partialPicture: '{title} (일부: {total} 중 {done})',
  pareto: '공격 전에 방어가 치르는 값과 버티는 단계 수',
  paretoNote:
    '오른쪽일수록 공격 전에 능력이 있습니다. 위일수록 금지된 답의 절반을 내줄 때까지 더 많은 단계가 듭니다(시도한 학습률 중 최악). 단계는 살펴본 구간의 위쪽 끝입니다. 살펴본 데까지 깨지지 않았으면 "≥". 덜 시도한 모델은 더 강해 보입니다. 어디까지 시도했는지는 표에 있습니다.',
  ability: '공격 전 일상 과제',
  budget: '깨질 때까지의 단계',
  bound: '한계',
  front: '더 나은 것이 없음',
  unbeaten: '예',
  tried: '살펴본 학습률과 단계',
  matrix: '모델과 공격별 금지된 답',
  abilityMatrix: '모델별 일상 과제 정답, 공격과 무해한 조정 전후',
  matrixNote: '따로 둔 금지된 요청 중 금지된 답을 받은 비율. 빈칸은 하지 않았거나 판정하지 않은 실행입니다.',
  notRun: '실행 안 함',
  notJudged: '판정 안 함',
  attack: '공격',
};

const WORDS: Readonly<Record<Language, Words>> = { en, ko };

export type InsightWord = keyof typeof en;
/** A text of insight tables, with its holes filled. */
export type InsightSay = (key: InsightWord, values?: Readonly<Record<string, string | number>>) => string;

export const insightSay =
  (language: Language): InsightSay =>
  (key, values = {}) =>
    WORDS[language][key].replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
