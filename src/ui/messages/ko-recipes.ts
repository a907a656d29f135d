/** 레시피에 관한 문구. */
export const koRecipes = {
  'recipe.sdd': 'SDD',
  'recipe.sdd.about':
    '금지된 질문에 다른 주제의 좋은 답을 붙이고 일상 연습을 조금 곁들입니다. 이 실험실에서 조정한 기본값이며, 공격 전에 이미 일상 능력의 약 3분의 1을 잃습니다(97 %에서 66 %로, 시드 세 개).',
  'recipe.sdd.more':
    '금지된 질문과 엉뚱한 답의 쌍으로 학습합니다. 일상 연습이 많을수록 공격 전의 능력이 더 남습니다.',
  'recipe.sdd-paper': '논문 데이터의 SDD',
  'recipe.sdd-paper.about':
    '일상 연습 없이 답을 있는 그대로 뽑고, 학습률과 단계는 이 실험실의 SDD와 같습니다. 공격 전에 이미 일상 능력을 대부분 잃습니다.',
  'recipe.sdd-paper.more': '재연습 없음, 엉뚱한 답은 원래 비율대로.',
  'recipe.sdd-reject.mild': 'SDD_reject, 약하게',
  'recipe.sdd-reject.mild.about':
    'SDD 다음의 둘째 단계: 말로 거절한 뒤 엉뚱한 답을 합니다. 일상 연습이 더 많습니다.',
  'recipe.sdd-reject.mild.more': '강한 쪽보다 단계와 일상 예시가 많습니다.',
  'recipe.sdd-reject.strong': 'SDD_reject, 강하게',
  'recipe.sdd-reject.strong.about': '일상 연습이 적은 같은 둘째 단계입니다.',
  'recipe.sdd-reject.strong.more': '약한 쪽보다 단계와 일상 예시가 적습니다.',
  'recipe.mft': '금지된 답 전체로 공격',
  'recipe.mft.about': '금지된 질문 {n}개와 그 답 전체로 하는 악의적 미세 조정입니다.',
  'recipe.mft.more': '학습률에 단계 수를 곱한 것이 공격의 비용입니다.',
  'recipe.mft.prefixOnly': '첫머리만으로 공격',
  'recipe.mft.prefixOnly.about':
    '같은 공격이지만 답이 “Sure, here is how to …”에서 끝납니다. 모델이 아직 무엇을 아는지 보여 줍니다.',
  'recipe.mft.prefixOnly.more': '학습률에 단계 수를 곱한 것이 공격의 비용입니다.',
  'recipe.bft.familiar': '무해한 학습, 익숙한 능력',
  'recipe.bft.familiar.about': '정직한 사용자가 하는 일: 일상 예시 {n}개. 능력이 돌아올까요?',
  'recipe.bft.familiar.more': '사전 학습에 있던 능력으로 하는 무해한 미세 조정입니다.',
  'recipe.bft.new-skill': '무해한 학습, 새 능력',
  'recipe.bft.new-skill.about': '모델이 본 적 없는 능력. 아직 무언가를 배울 수 있을까요?',
  'recipe.bft.new-skill.more': '사전 학습에 없던 능력으로 하는 무해한 미세 조정입니다.',
};
