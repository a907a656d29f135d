/** Booster, T-Vaccine, TAR: 필요한 것, 생각, 식과 비용, 볼 점. */
export const koRivals = {
  'setting.lambda': '해로운 항의 무게 (람다)',
  'setting.perturbation': '시험해 보는 해로운 걸음의 길이 (알파)',
  'setting.vaccine': '모든 층 (Vaccine)',
  'setting.rho': '미는 길이 (로)',
  'setting.gamma': '한 번에 뽑는 층 수 (감마)',
  'setting.probabilityEvery': '층을 다시 재는 간격 (단계)',
  'setting.drawEvery': '층을 다시 뽑는 간격 (단계)',
  'setting.resist': '저항의 뜻',
  'setting.resist.dpo': '거절한다',
  'setting.resist.entropy': '갈피를 못 잡는다',
  'setting.tasks': '한 단계 안의 공격 수',
  'setting.innerSteps': '공격마다의 단계 수',
  'setting.interval': '저항 기울기를 재는 간격 (공격 단계)',
  'setting.inner': '공격의 옵티마이저',
  'setting.inner.both': '매번 뽑기',
  'setting.inner.sgd': 'SGD',
  'setting.inner.adamw': 'AdamW',
  'setting.adamwRate': 'AdamW 공격의 가장 높은 학습률',
  'setting.sgdRate': 'SGD 공격의 가장 높은 학습률',
  'setting.scaleResist': '저항의 무게',
  'setting.scaleRetain': '남아야 할 것의 무게',
  'setting.distance': '처음 모델의 은닉 상태까지의 거리에 주는 무게',
  'setting.retain': '일상 예시 수',

  'recipe.booster': 'Booster',
  'recipe.booster.about':
    '거절을 배우면서, 금지된 답 쪽으로 한 걸음 가도 얻는 것이 적게 만듭니다. 공격이 만나는 비탈이 거의 평평해집니다. 설정은 tiny-chat의 모든 가중치로 한 번씩 시도한 몇 가지 가운데 가장 나은 것입니다.',
  'recipe.booster.more':
    '해로운 기울기를 지금 가중치와, 길이를 맞춘 한 걸음 뒤에서 잽니다. 저자들처럼 이차 미분은 뺍니다.',
  'recipe.booster.needs': '금지된 질문마다 거절과 금지된 답.',
  'recipe.booster.formula':
    'f(w) + λ ( h(w) − h(w − α ∇h(w) / ‖∇h(w)‖) ), f: 거절의 손실, h: 금지된 답의 손실',
  'recipe.booster.cost': '단계마다 기울기 세 번, 학습하는 것의 사본 하나와 기울기 하나를 더 메모리에 둡니다.',
  'recipe.booster.look': '공격이 얼마나 느리게 시작되는가, 높은 학습률에서도 그런가, 그리고 공격 전의 능력.',
  'recipe.t-vaccine': 'T-Vaccine',
  'recipe.t-vaccine.about':
    '몇몇 층을 거절하기 가장 어려운 쪽으로 민 채 거절을 배웁니다. 금지된 답이 가장 많이 움직이는 층을 되풀이해 뽑아 그 층만 학습합니다. 설정은 tiny-chat의 모든 가중치로 한 번씩 시도한 몇 가지 가운데 가장 나은 것입니다.',
  'recipe.t-vaccine.more':
    '층은 어텐션 출력에서 잰 해로운 기울기의 크기에 따라 뽑습니다. 한 번에 많아야 절반입니다.',
  'recipe.t-vaccine.needs': '금지된 질문마다 거절과 금지된 답.',
  'recipe.t-vaccine.formula': 'L( w; 뽑힌 층 l에서 aₗ + ρ gₗ / ‖g‖ ), aₗ: 어텐션 출력, gₗ = ∂L/∂aₗ',
  'recipe.t-vaccine.cost': '단계마다 기울기 두 번, 가끔 세 번. 가중치 사본 없음, 층마다 어텐션 출력 하나.',
  'recipe.t-vaccine.look': '짧은 공격 뒤에도 거절하는가, 그렇게 적은 층만 학습해 일상 능력이 얼마나 남는가.',
  'recipe.t-vaccine.vaccine': 'Vaccine',
  'recipe.t-vaccine.vaccine.about':
    '모든 층을 거절하기 가장 어려운 쪽으로 민 채 거절을 배워, 공격의 작은 움직임에 무너지지 않게 합니다. 설정은 tiny-chat의 모든 가중치로 한 번씩 시도한 몇 가지 가운데 가장 나은 것입니다.',
  'recipe.t-vaccine.vaccine.more': '모든 층에 하는 T-Vaccine입니다. 전부 학습하고 아무것도 뽑지 않습니다.',
  'recipe.t-vaccine.vaccine.needs': '거절이 딸린 금지된 질문. 금지된 답은 필요 없습니다.',
  'recipe.t-vaccine.vaccine.formula': 'L( w; 모든 층 l에서 aₗ + ρ gₗ / ‖g‖ ), aₗ: 어텐션 출력, gₗ = ∂L/∂aₗ',
  'recipe.t-vaccine.vaccine.cost': '단계마다 기울기 두 번. 가중치 사본 없음, 층마다 어텐션 출력 하나.',
  'recipe.t-vaccine.vaccine.look': '일상 질문까지 거절하는가, 공격에 얼마나 빨리 무너지는가.',
  'recipe.tar.dpo': 'TAR, 거절하도록',
  'recipe.tar.dpo.about':
    '단계마다 스스로를 공격하고, 공격 뒤에도 거절로 끝나는 가중치를 배웁니다. 나머지는 일상 대화와 처음 모델의 은닉 상태가 붙잡습니다. 설정은 tiny-chat의 모든 가중치로 한 번씩 시도한 몇 가지 가운데 가장 나은 것입니다.',
  'recipe.tar.dpo.more':
    '공격에 쓰는 질문과 저항을 재는 질문은 질문도 답도 겹치지 않습니다. 두 손실 가운데 거절하는 모델을 위한 것입니다.',
  'recipe.tar.dpo.needs': '두 반으로 나눈 금지된 질문과 그 거절, 금지된 답; 일상 대화.',
  'recipe.tar.dpo.formula':
    'a · 공격받은 가중치에서 DPO(금지된 답보다 거절)의 평균 + b · ( L(일상) + 평균 ‖h(w) − h(처음)‖ )',
  'recipe.tar.dpo.cost':
    '공격마다 그 단계 하나에 기울기 두 번, 그리고 두 번 더. 학습하는 것의 사본 다섯 개까지.',
  'recipe.tar.dpo.look': '만나 보지 못한 공격도 막는가: 더 많은 단계, 다른 학습률, 어댑터.',
  'recipe.tar.entropy': 'TAR, 갈피를 못 잡도록',
  'recipe.tar.entropy.about':
    '단계마다 스스로를 공격하고, 공격 뒤에 종잡을 수 없는 답으로 끝나는 가중치를 배웁니다. 나머지는 일상 대화와 처음 모델의 은닉 상태가 붙잡습니다. 설정은 tiny-chat의 모든 가중치로 한 번씩 시도한 몇 가지 가운데 가장 나은 것입니다.',
  'recipe.tar.entropy.more':
    '공격에 쓰는 질문과 저항을 재는 질문은 질문도 답도 겹치지 않습니다. 두 손실 가운데 금지된 지식을 쓸모없게 만드는 것입니다.',
  'recipe.tar.entropy.needs': '두 반으로 나눈 금지된 질문과 금지된 답; 일상 대화.',
  'recipe.tar.entropy.formula':
    'a · 공격받은 가중치에서 금지된 답에 대한 Σ p log p의 평균 + b · ( L(일상) + 평균 ‖h(w) − h(처음)‖ )',
  'recipe.tar.entropy.cost':
    '공격마다 그 단계 하나에 기울기 두 번, 그리고 두 번 더. 학습하는 것의 사본 다섯 개까지.',
  'recipe.tar.entropy.look': 'SDD처럼 공격 뒤 답이 망가지는가, 일상 능력은 남는가, 다른 공격에도 그런가.',
} as const;
