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
  'measure.none': '체크포인트를 하나 이상 고르세요.',
  'measure.start': '빠진 것 재기({n})',
  'measure.busy': '체크포인트 {place}/{of}',
  'measure.stop': '측정 멈추기',
  'measure.save.html': '페이지로 저장(HTML)',
  'measure.save.json': '수치 저장(JSON)',
  'measure.save.answers': '모든 답 저장(JSONL)',
  'measure.partial': '일부: 측정 {planned}개 중 {came}개. 나머지는 칸에 적혀 있습니다.',
  'measure.emptyTable': '아직 없음: 고른 체크포인트 중 판정된 공격이 있어야 합니다.',
};
