import type { enInsights } from './en-insights.ts';

export const koInsights: Record<keyof typeof enInsights, string> = {
  'insights.title': '통찰',
  'insights.lead':
    '방어가 어디에서 버티고 어디에서 깨지는지, 그리고 왜 그런지: 당신의 실행에서 나온 그림과 표를 가져갈 수 있습니다. 실험실에 들어 있는 것은 그 옆에 기록으로 표시됩니다.',
  'insights.recorded':
    '기록: 실험실에 들어 있는 모델로 터미널에서 만들었습니다. 여기서 실행한 것이 아닙니다.',
  'insights.map': '공격 지도',
  'insights.map.text':
    '한 가지 공격을 여섯 학습률과 여섯 길이로. 짙은 칸은 금지된 답을 준 곳입니다. 무너진 모델은 아무것도 답하지 못하니 두 번째 지도를 함께 읽으십시오.',
  'insights.map.model': '공격받는 모델',
  'insights.map.unjudged':
    '이 모델은 아직 판정되지 않았습니다. 지도를 채우면 먼저 판정합니다: 실행 {n}개, 가장 많이 알려 주는 것부터. 언제든 멈출 수 있고 그때까지의 것은 남습니다.',
  'insights.map.fill': '지도 채우기 (빈칸 {n}개)',
  'insights.map.full': '모든 칸이 있습니다.',
  'insights.map.busy': '학습률 {lr}, {steps}단계까지: {total}칸 중 {done}',
  'insights.stop': '멈추기',
  'insights.overview': '방법과 공격',
  'insights.overview.text':
    '모델과 공격별 금지된 답, 그리고 공격 전에 방어가 치르는 값. 수치는 측정의 것과 같습니다.',
  'insights.gap': '빈칸을 채울 실행',
  'insights.gap.go': '{model} 공격하기',
  'insights.matrix': '행렬 실행',
  'insights.matrix.text':
    '고른 모델마다 고른 공격을 모두, 시드 하나로, 차례로 실행하고 판정합니다. 하룻밤이 걸릴 수 있습니다. 끝난 것은 나무에 남습니다. 멈추거나 페이지를 닫은 뒤에도 멈춘 곳에서 이어집니다.',
  'insights.matrix.models': '모델',
  'insights.matrix.ways': '공격',
  'insights.matrix.way.mft': '금지된 답 전체',
  'insights.matrix.way.mft-prefix': '첫머리만',
  'insights.matrix.way.mft-lora': '어댑터(LoRA)',
  'insights.matrix.way.mft-mix': '무해한 대화 절반',
  'insights.matrix.way.bft': '무해한 학습',
  'insights.matrix.way.bft-then-mft': '무해한 학습 뒤의 공격',
  'insights.matrix.none': '모델과 공격을 하나 이상 고르십시오.',
  'insights.matrix.full': '빠진 것이 없습니다.',
  'insights.matrix.go': '빠진 것 실행({n})',
  'insights.matrix.left': '지난번에 끝나지 않았습니다',
  'insights.matrix.busy': '{model}, {attack}: {total}개 중 {done}개 완료',
  'insights.matrix.time': '약 {time} 남음',
  'insights.matrix.failed':
    '끝내지 못함: {names}. 까닭은 그 실행에, 판정하지 못한 것은 맨 위의 알림에 있습니다.',
  'insights.conflict': '기울기 충돌',
  'insights.conflict.text':
    '공격을 돕는 한 걸음이 일상 과제를 해칠까요? 고른 체크포인트에서 두 기울기 사이의 각도를 층마다 봅니다. 회색 막대보다 아래면 우연보다 더 서로 거스릅니다.',
  'insights.conflict.start': '기울기 비교하기',
  'insights.landscape': '모델 둘레의 지형',
  'insights.landscape.text':
    '가중치가 조금 다른 곳에 있다면 모델이 무엇이라고 답할까요: 공격받은 체크포인트까지의 곧은 선과 그 너머, 그리고 무작위 방향. 무너진 모델은 어디서나 조용하니 유해 옆에 능력을 둡니다.',
  'insights.landscape.node': '공격받은 체크포인트',
  'insights.landscape.none': '공격받은 체크포인트가 아직 없습니다: 먼저 모델을 공격하십시오.',
  'insights.landscape.detail': '자세함',
  'insights.landscape.coarse': '거칠게: {n}번 보기',
  'insights.landscape.fine': '촘촘하게: {n}번 보기',
  'insights.landscape.start': '걸어 보기',
  'insights.busy': '{total} 중 {done}',
  'insights.partial': '일부: {total} 중 {done}. 보이는 것은 측정한 것이고 나머지는 지어내지 않습니다.',
  'insights.own': '{when}, {adapter}에서 계산함.',
  'insights.own.other': '{when}, {adapter}에서 계산함: 실험실이 지금 쓰는 GPU가 아닙니다.',
  'insights.goOn': '이어서 하기',
  'insights.again': '여기서 다시 시작',
  'insights.again.why':
    '다른 GPU나 다른 버전의 실험실이 시작한 것입니다. 여기서는 처음부터 다시 시작합니다. 보이는 것은 남습니다.',
  'insights.waiting': '아무것도 나오기 전에 멈춤: {names}.',
  'insights.forget': '그만두기',
  'insights.delete': '지우기 …',
  'insights.delete.text':
    '그림과 수치가 이 브라우저에서 사라지고 체크포인트는 남습니다. 다시 계산하면 처음만큼 걸립니다.',
  'insights.about': '이 모델에 대한 통찰:',
  'insights.about.partial': '{name}(일부)',
  'insights.pick': '체크포인트',
  'insights.pickSome': '작은 세계의 체크포인트를 하나 이상 고르십시오.',
  'insights.needGpu': 'GPU가 있어야 합니다. 기록된 그림은 없어도 보입니다.',
  'insights.csv': '표 (CSV)',
  'insights.svg': '그림 (SVG)',
  'insights.png': '그림 (PNG)',
  'insights.table': '같은 것을 표로',
  'insights.paper': '논문의 값',
  'insights.paper.text':
    '당신의 값과 따로 둡니다. 모델도 심판도 데이터도 다르므로 여기서 재현하는 값이 아닙니다. 무엇을 볼지 알려 줍니다: 방어 없는 모델은 깨지고, SDD는 깨지지 않으며, 공격받은 SDD는 능력을 잃습니다.',
};
