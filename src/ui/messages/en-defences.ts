/** What a defence needs, its idea, formula and cost, and what to look for; and the defences beside SDD. */
export const enDefences = {
  'defences.sdd': 'SDD and its variants',
  'defences.rival': 'Other defences',
  'defences.control': 'Controls: what SDD is held against',
  'defences.about': 'About this defence',
  'defences.needs': 'Needs',
  'defences.formula': 'Minimised',
  'defences.cost': 'Cost',
  'defences.look': 'Look for',

  'setting.beta': 'Beta: how sharply the two answers are told apart',
  'setting.gammaRatio': 'Margin between the two answers (gamma / beta)',
  'setting.sft': 'Weight of the refusal’s own loss',
  'setting.safety': 'Recovery examples',
  'setting.anchor': 'Everyday answers',
  'setting.anchor.model': 'the model’s own, from before',
  'setting.anchor.data': 'those of the data',
  'setting.benign': 'Everyday examples',
  'setting.relative': 'Length of the noise in every layer (0: as measured on SDD)',

  'recipe.sdd.needs': 'Forbidden questions and everyday chats. No forbidden answers.',
  'recipe.sdd.formula': 'E[ −log p(irrelevant answer | forbidden question) ] + the same on everyday chats',
  'recipe.sdd.cost': 'One gradient a step; no copy of the weights.',
  'recipe.sdd.look':
    'After an attack: does ability go down while the asked answers stay away? SEAM and CTRAP (both 2025) rest on the same idea: whoever tunes for harm is to break the model.',
  'recipe.sdd-paper.needs': 'Forbidden questions and everyday answers. No forbidden answers.',
  'recipe.sdd-paper.formula': 'E[ −log p(irrelevant answer | forbidden question) ]',
  'recipe.sdd-paper.cost': 'One gradient a step; no copy of the weights.',
  'recipe.sdd-paper.look': 'How much of the everyday ability is gone before any attack.',
  'recipe.sdd-reject.mild.needs':
    'A model after SDD, forbidden questions and everyday chats. No forbidden answers.',
  'recipe.sdd-reject.mild.formula': 'E[ −log p(refusal, then an irrelevant answer | forbidden question) ]',
  'recipe.sdd-reject.mild.cost': 'One gradient a step, after SDD’s own.',
  'recipe.sdd-reject.mild.look':
    'Whether it refuses in words, and what comes after the refusal under attack.',
  'recipe.sdd-reject.strong.needs':
    'A model after SDD, forbidden questions and everyday chats. No forbidden answers.',
  'recipe.sdd-reject.strong.formula': 'E[ −log p(refusal, then an irrelevant answer | forbidden question) ]',
  'recipe.sdd-reject.strong.cost': 'One gradient a step, after SDD’s own.',
  'recipe.sdd-reject.strong.look':
    'Whether it refuses in words, and what comes after the refusal under attack.',

  'recipe.simpo': 'SimPO',
  'recipe.simpo.about':
    'Learns to find a refusal likelier than the forbidden answer to the same question, token for token, by a margin. No second model is needed to compare with. Its rate is the best of four that were tried once on tiny-chat, with all weights; the rest is as its authors use it.',
  'recipe.simpo.more':
    'The margin is given as its ratio to beta. It wants to start from a model that is tuned to chat; SimPO itself has no weight on the refusal’s own loss.',
  'recipe.simpo.needs': 'Forbidden questions, each with a refusal and its forbidden answer.',
  'recipe.simpo.formula':
    '−log σ( β / |refusal| · log p(refusal) − β / |answer| · log p(answer) − γ ), lengths in tokens',
  'recipe.simpo.cost': 'One gradient a step, over two answers for each question; no copy of the weights.',
  'recipe.simpo.look':
    'Whether everyday how-to questions are refused as well, and how few steps of attack undo it: the forbidden answer is pushed down, not forgotten.',
  'recipe.deepalign': 'DeepAlign',
  'recipe.deepalign.about':
    'Learns to refuse also in the middle of a forbidden answer, so that an affirmative beginning does not decide everything. Four everyday chats beside each such example keep the rest as it is. Its settings are the best of a few that were tried once on tiny-chat, with all weights.',
  'recipe.deepalign.more':
    'The data part of the method; its second part, a loss for whoever tunes the released model, is not here. The everyday answers are the model’s own, given before the first step, as in the paper.',
  'recipe.deepalign.needs': 'Forbidden questions, each with its forbidden answer; everyday chats.',
  'recipe.deepalign.formula':
    '0.2 · E[ −log p(refusal | question, first k tokens of the forbidden answer) ] + 0.8 · E[ −log p(answer | everyday question) ]',
  'recipe.deepalign.cost': 'One gradient a step, over a quarter more rows; no copy of the weights.',
  'recipe.deepalign.look':
    'Answers whose beginning is given (prefilled), and attacks that teach beginnings only.',
  'recipe.refusal-sft': 'Refusals, at SDD’s budget',
  'recipe.refusal-sft.about':
    'SDD’s questions, rate, steps and everyday practice, but with refusals for answers. Shows what more training to refuse does by itself.',
  'recipe.refusal-sft.more': 'Differs from SDD in the answers alone.',
  'recipe.refusal-sft.needs': 'Forbidden questions with refusals, and everyday chats. No forbidden answers.',
  'recipe.refusal-sft.formula': 'E[ −log p(refusal | forbidden question) ] + the same on everyday chats',
  'recipe.refusal-sft.cost': 'As SDD.',
  'recipe.refusal-sft.look': 'Whether an attack breaks it as fast as the undefended model.',
  'recipe.placebo': 'Placebo',
  'recipe.placebo.about':
    'SDD’s irrelevant answers, but to everyday questions. Shows how much of SDD’s effect is damage to the model, whatever the question.',
  'recipe.placebo.more': 'Differs from SDD in the questions alone.',
  'recipe.placebo.needs': 'Everyday chats only.',
  'recipe.placebo.formula': 'E[ −log p(irrelevant answer | everyday question) ] + right answers beside it',
  'recipe.placebo.cost': 'As SDD.',
  'recipe.placebo.look': 'How able it is before the attack, and whether forbidden questions are answered.',
  'recipe.noise': 'Noise',
  'recipe.noise.about':
    'Moves every layer in a random direction, as far as SDD moves it. Shows what such a distance does to a model by itself.',
  'recipe.noise.more':
    'The lengths were measured on three runs of SDD from the embedded chat model; on other models the length is set by hand.',
  'recipe.noise.needs': 'No data: everyday chats are read to tell the loss before it.',
  'recipe.noise.formula': 'Nothing: W + r · ‖W‖ · d / ‖d‖ in every layer, d at random',
  'recipe.noise.cost': 'One step; no gradient is used.',
  'recipe.noise.look': 'Whether the model is still able, and how fast an attack gets what it asks for.',
} as const;
