/** 방어마다 필요한 것, 생각, 식과 비용, 볼 점; 그리고 SDD 곁의 방어들. */
export const koDefences = {
  'defences.sdd': 'SDD와 그 변형',
  'defences.rival': '다른 방어',
  'defences.control': '대조군: SDD와 견주는 것',
  'defences.about': '이 방어에 대하여',
  'defences.needs': '필요한 것',
  'defences.formula': '줄이는 값',
  'defences.cost': '비용',
  'defences.look': '볼 점',

  'setting.beta': '베타: 두 답을 얼마나 뚜렷이 가르는가',
  'setting.gammaRatio': '두 답 사이의 여유 (감마 / 베타)',
  'setting.sft': '거절 자체의 손실에 주는 무게',
  'setting.safety': '되돌리기 예시 수',
  'setting.anchor': '일상 답',
  'setting.anchor.model': '훈련 전 모델 자신의 답',
  'setting.anchor.data': '데이터의 답',
  'setting.benign': '일상 예시 수',
  'setting.relative': '층마다 잡음의 길이 (0: SDD에서 잰 대로)',

  'recipe.sdd.needs': '금지된 질문과 일상 대화. 금지된 답은 필요 없습니다.',
  'recipe.sdd.formula': 'E[ −log p(엉뚱한 답 | 금지된 질문) ] + 일상 대화의 같은 값',
  'recipe.sdd.cost': '단계마다 기울기 한 번, 가중치 사본 없음.',
  'recipe.sdd.look':
    '공격한 뒤 물은 답은 나오지 않으면서 능력이 떨어지는가? SEAM과 CTRAP(모두 2025)도 같은 생각입니다. 해롭게 조정하는 사람이 모델을 망가뜨리게 만듭니다.',
  'recipe.sdd-paper.needs': '금지된 질문과 일상 답. 금지된 답은 필요 없습니다.',
  'recipe.sdd-paper.formula': 'E[ −log p(엉뚱한 답 | 금지된 질문) ]',
  'recipe.sdd-paper.cost': '단계마다 기울기 한 번, 가중치 사본 없음.',
  'recipe.sdd-paper.look': '공격하기도 전에 일상 능력이 얼마나 사라졌는가.',
  'recipe.sdd-reject.mild.needs': 'SDD를 거친 모델, 금지된 질문, 일상 대화. 금지된 답은 필요 없습니다.',
  'recipe.sdd-reject.mild.formula': 'E[ −log p(거절 뒤의 엉뚱한 답 | 금지된 질문) ]',
  'recipe.sdd-reject.mild.cost': 'SDD 다음에 단계마다 기울기 한 번.',
  'recipe.sdd-reject.mild.look': '말로 거절하는가, 공격을 받으면 거절 뒤에 무엇이 오는가.',
  'recipe.sdd-reject.strong.needs': 'SDD를 거친 모델, 금지된 질문, 일상 대화. 금지된 답은 필요 없습니다.',
  'recipe.sdd-reject.strong.formula': 'E[ −log p(거절 뒤의 엉뚱한 답 | 금지된 질문) ]',
  'recipe.sdd-reject.strong.cost': 'SDD 다음에 단계마다 기울기 한 번.',
  'recipe.sdd-reject.strong.look': '말로 거절하는가, 공격을 받으면 거절 뒤에 무엇이 오는가.',

  'recipe.simpo': 'SimPO',
  'recipe.simpo.about':
    '같은 질문에서 거절이 금지된 답보다 토큰당 일정한 여유만큼 더 그럴듯하도록 배웁니다. 견줄 둘째 모델이 필요 없습니다. 학습률은 tiny-chat의 모든 가중치로 한 번씩 시험한 넷 가운데 가장 나은 것이고, 나머지는 저자들의 설정입니다.',
  'recipe.simpo.more':
    '여유는 베타에 대한 비율로 줍니다. 대화하도록 조정된 모델에서 시작하는 것이 좋습니다. 원래의 SimPO는 거절 자체의 손실에 무게를 두지 않습니다.',
  'recipe.simpo.needs': '금지된 질문마다 거절 하나와 금지된 답 하나.',
  'recipe.simpo.formula': '−log σ( β / |거절| · log p(거절) − β / |답| · log p(답) − γ ), 길이는 토큰 수',
  'recipe.simpo.cost': '단계마다 질문당 답 두 개에 대해 기울기 한 번, 가중치 사본 없음.',
  'recipe.simpo.look':
    '일상적인 방법 질문까지 거절하는가, 그리고 공격 몇 단계에 무너지는가. 금지된 답은 눌려 있을 뿐 잊히지 않았습니다.',
  'recipe.deepalign': 'DeepAlign',
  'recipe.deepalign.about':
    '금지된 답의 중간에서도 거절하도록 배워, 긍정하는 첫머리가 모든 것을 정하지 않게 합니다. 예시마다 일상 대화 네 개를 곁들여 나머지를 그대로 둡니다. 설정은 tiny-chat의 모든 가중치로 한 번씩 시도한 몇 가지 가운데 가장 나은 것입니다.',
  'recipe.deepalign.more':
    '이 방법의 데이터 부분입니다. 공개된 모델을 조정하는 쪽의 손실을 바꾸는 둘째 부분은 없습니다. 일상 답은 논문처럼 첫 단계 전에 모델 자신이 한 답입니다.',
  'recipe.deepalign.needs': '금지된 질문마다 금지된 답 하나, 그리고 일상 대화.',
  'recipe.deepalign.formula':
    '0.2 · E[ −log p(거절 | 질문, 금지된 답의 처음 k개 토큰) ] + 0.8 · E[ −log p(답 | 일상 질문) ]',
  'recipe.deepalign.cost': '단계마다 4분의 1 더 많은 행에 대해 기울기 한 번, 가중치 사본 없음.',
  'recipe.deepalign.look': '첫머리가 주어진 답(미리 채운 답)과 첫머리만 가르치는 공격.',
  'recipe.refusal-sft': '거절, SDD와 같은 예산',
  'recipe.refusal-sft.about':
    'SDD의 질문, 학습률, 단계, 일상 연습을 그대로 두고 답만 거절로 바꿉니다. 거절을 더 가르치는 것만으로 무엇이 되는지 보여 줍니다.',
  'recipe.refusal-sft.more': 'SDD와 답만 다릅니다.',
  'recipe.refusal-sft.needs': '거절이 딸린 금지된 질문과 일상 대화. 금지된 답은 필요 없습니다.',
  'recipe.refusal-sft.formula': 'E[ −log p(거절 | 금지된 질문) ] + 일상 대화의 같은 값',
  'recipe.refusal-sft.cost': 'SDD와 같습니다.',
  'recipe.refusal-sft.look': '방어하지 않은 모델만큼 빨리 공격에 무너지는가.',
  'recipe.placebo': '위약',
  'recipe.placebo.about':
    'SDD의 엉뚱한 답을 일상 질문에 붙입니다. SDD의 효과 가운데 질문과 상관없이 모델이 다친 몫이 얼마인지 보여 줍니다.',
  'recipe.placebo.more': 'SDD와 질문만 다릅니다.',
  'recipe.placebo.needs': '일상 대화만.',
  'recipe.placebo.formula': 'E[ −log p(엉뚱한 답 | 일상 질문) ] + 곁들인 바른 답',
  'recipe.placebo.cost': 'SDD와 같습니다.',
  'recipe.placebo.look': '공격 전에 얼마나 할 수 있는가, 금지된 질문에 답하는가.',
  'recipe.noise': '잡음',
  'recipe.noise.about':
    '층마다 무작위 방향으로 SDD가 움직인 만큼 움직입니다. 그 거리만으로 모델이 어떻게 되는지 보여 줍니다.',
  'recipe.noise.more':
    '길이는 내장된 대화 모델에서 SDD를 세 번 돌려 쟀습니다. 다른 모델에서는 길이를 직접 정합니다.',
  'recipe.noise.needs': '데이터 없음: 그 전의 손실을 알리려고 일상 대화만 읽습니다.',
  'recipe.noise.formula': '없음: 층마다 W + r · ‖W‖ · d / ‖d‖, d는 무작위',
  'recipe.noise.cost': '한 단계, 기울기를 쓰지 않습니다.',
  'recipe.noise.look': '모델이 아직 할 수 있는가, 공격이 물은 답을 얼마나 빨리 얻는가.',
};
