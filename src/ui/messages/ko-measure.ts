import type { enMeasure } from './en-measure.ts';

export const koMeasure: Record<keyof typeof enMeasure, string> = {
  'measure.title': '측정',
  'measure.lead':
    '고른 체크포인트의 모든 수치를 구간과 함께 봅니다. 정의는 한 번 누르면 나옵니다. 어디서나 열리는 보고서로 가져가세요.',
  'measure.open': '보고서 열기',
  'measure.close': '이 보고서 닫기',
  'measure.opened': '{name}에서 열었습니다({date} 작성). 여기서 잰 것이 아니라 기록입니다.',
  'measure.otherProtocol':
    '이 보고서는 이 실험실과 다른 프로토콜로 쓰였습니다. 그 점을 밝히지 않고 새 수치와 나란히 놓지 마십시오.',
  'measure.empty': '아직 잴 것이 없습니다. 모델을 불러오거나 “바로 보기”로 만드세요.',
  'measure.pick': '잴 체크포인트',
  'measure.pickOpened': '직접 연 모델',
  'measure.openedHow':
    '이 모델은 정답을 아는 심판이 없습니다: 파일에 남겨 둔 질문에 대한 답을 규칙이 살펴보고, 따로 된 표에 보여 줍니다.',
  'measure.texts': '이 모델의 답도 보고서와 파일에 넣기',
  'measure.none': '체크포인트를 하나 이상 고르세요.',
  'measure.start': '빠진 것 재기({n})',
  'measure.busy': '체크포인트 {place}/{of}',
  'measure.failed':
    '재지 못했습니다: {names}. 나머지의 수치는 남아 있습니다. “빠진 것 재기”로 다시 해 보세요.',
  'measure.stop': '측정 멈추기',
  'measure.save.html': '페이지로 저장(HTML)',
  'measure.save.json': '수치 저장(JSON)',
  'measure.save.answers': '모든 답 저장(JSONL)',
  'measure.partial': '일부: 측정 {planned}개 중 {came}개. 나머지는 칸에 적혀 있습니다.',
  'measure.emptyTable': '아직 없음: 고른 체크포인트 중 판정된 공격이 있어야 합니다.',
  'choices.title': '내 질문으로 재는 일반 능력',
  'choices.text':
    'MMLU와 OpenBookQA처럼 객관식을, 연 모델이 가져온 데이터로 풉니다: 가장 그럴듯한 글자, 토큰당 가장 그럴듯한 보기, 모델이 쓴 답. 구간이 우연을 포함하면 위아래를 말하지 않습니다.',
  'choices.noModel': '먼저 모델을 여세요:',
  'choices.noSet': '먼저 보기가 있는 데이터(MMLU, OpenBookQA)를 가져오세요:',
  'choices.model': '모델',
  'choices.set': '질문',
  'choices.shots': '앞에 보일 예시',
  'choices.most': '물을 질문 수',
  'choices.start': '묻기',
  'choices.results': '객관식 결과 전부',
};
