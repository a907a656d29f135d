/** WebLLM으로 오가는 모델에 관한 글. */
export const koBundles = {
  'bundle.title': 'MLC 묶음 (WebLLM)',
  'bundle.text':
    '브라우저에서 대화 모델을 실행하는 WebLLM의 형식으로 된 전체 모델입니다. 어댑터는 합쳐집니다.',
  'bundle.type': '수의 형식',
  'bundle.type.F32': 'float32',
  'bundle.type.F16': 'float16',
  'bundle.type.BF16': 'float32, bf16으로 저장',
  'bundle.about.F32': '정확함: 모든 수가 학습된 그대로입니다.',
  'bundle.about.F16': '크기가 절반이고 반올림됩니다. shader-f16이 있는 GPU가 필요합니다.',
  'bundle.about.BF16':
    '디스크에서 크기가 절반이고 8비트 정밀도로 반올림됩니다. 학습의 작은 변화는 사라집니다.',
  'bundle.files': '파일로 저장',
  'bundle.folder': '폴더에 쓰기',
  'bundle.cache': 'WebLLM 캐시에 넣기',
  'bundle.runs': 'WebLLM이 {stock}의 라이브러리로 실행합니다.',
  'bundle.runsNot':
    '이 모양을 실행하는 WebLLM 기본 라이브러리는 없습니다 ({shapes}에는 있습니다). 묶음은 쓸 수 있지만, mlc_llm으로 이 모양에 맞게 컴파일한 라이브러리가 필요합니다.',
  'bundle.terminal': '이 브라우저는 폴더에 쓸 수 없습니다. 터미널에서:',
  'bundle.state.begin': '모델을 확인하는 중 …',
  'bundle.state.hashing': '해시 계산: {all} 중 {got}',
  'bundle.state.writing': '쓰는 중: {all} 중 {got}',
  'bundle.state.checking': '다시 읽는 중: {all} 중 {got}',
  'bundle.doing': '묶음을 쓰는 중',
  'bundle.done.files': '묶음을 저장했습니다.',
  'bundle.done.folder': '{folder}에 썼습니다.',
  'bundle.done.cache':
    'WebLLM 캐시에 넣었고, 다시 읽어 차이가 없음을 확인했습니다: {size}. 모델 화면의 “WebLLM 캐시에 있는 모델”에 나옵니다.',
  'bundle.checked.library': '모든 이름, 모양, 형식이 WebLLM 라이브러리의 목록과 같습니다.',
  'bundle.checked.shape':
    '공개된 설정과 비교해 확인했습니다. WebLLM은 아직 이 브라우저에 라이브러리를 받지 않았습니다.',
  'bundle.inexact':
    '이 모델의 대화 템플릿은 WebLLM의 고정된 형식으로 쓸 수 없습니다. 그곳의 답은 이곳의 답과 다를 수 있습니다.',
  'webllm.title': 'WebLLM 캐시에 있는 모델',
  'webllm.text':
    'WebLLM이 이 브라우저에 받은 것과 직접 넣은 묶음입니다. 양자화되지 않은 가중치는 학습의 기반으로 열리며, 있는 자리에서 읽습니다.',
  'webllm.own': '이 랩에서',
  'webllm.open': '기반으로 열기',
  'webllm.chat': 'WebLLM에서 대화하기',
  'webllm.chat.text':
    '비교 화면에서 WebLLM이 이 묶음으로, 이 체크포인트 옆 칸에서 답합니다. 모델 라이브러리가 이 브라우저에 없으면 처음 올릴 때 받아오고, 그 뒤로는 연결이 필요 없습니다.',
  'webllm.delete': '삭제',
  'webllm.quantised': '양자화됨: 학습의 기반이 되지 못합니다. 이름에 q0f16이나 q0f32가 있는 것을 쓰세요.',
  'webllm.incomplete': '완전하지 않음: WebLLM이 불러올 때까지 학습의 기반이 되지 못합니다.',
  'webllm.damaged': '읽을 수 없음: {why}',
};
