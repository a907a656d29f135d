/** Booster, T-Vaccine and TAR: what each needs, its idea, formula and cost, and what to look for. */
export const enRivals = {
  'setting.lambda': 'Weight of the harmful term (lambda)',
  'setting.perturbation': 'Length of the harmful step that is tried (alpha)',
  'setting.vaccine': 'All layers (Vaccine)',
  'setting.rho': 'Length of the push (rho)',
  'setting.gamma': 'Layers drawn at a time (gamma)',
  'setting.probabilityEvery': 'Steps between two measurements of the layers',
  'setting.drawEvery': 'Steps between two draws of layers',
  'setting.resist': 'What resistance means',
  'setting.resist.dpo': 'it refuses',
  'setting.resist.entropy': 'it is unsure',
  'setting.tasks': 'Attacks inside of a step',
  'setting.innerSteps': 'Steps of each of them',
  'setting.interval': 'Steps of an attack between two gradients of resistance',
  'setting.inner': 'Optimizer of the attacks',
  'setting.inner.both': 'drawn each time',
  'setting.inner.sgd': 'SGD',
  'setting.inner.adamw': 'AdamW',
  'setting.adamwRate': 'Highest rate of attacks by AdamW',
  'setting.sgdRate': 'Highest rate of attacks by SGD',
  'setting.scaleResist': 'Weight of resistance',
  'setting.scaleRetain': 'Weight of what has to stay',
  'setting.distance': 'Weight of the distance to the first model’s hidden states',
  'setting.retain': 'Everyday examples',

  'recipe.booster': 'Booster',
  'recipe.booster.about':
    'Learns to refuse, and beside that to make one step towards forbidden answers gain little. An attack then finds a slope that is nearly flat. Its settings are the best of a few that were tried once on tiny-chat, with all weights.',
  'recipe.booster.more':
    'The harmful gradient is taken where the weights are and one normalised step further; second derivatives are left out, as its authors do.',
  'recipe.booster.needs': 'Forbidden questions with refusals, and with forbidden answers.',
  'recipe.booster.formula':
    'f(w) + λ ( h(w) − h(w − α ∇h(w) / ‖∇h(w)‖) ), f: loss of refusals, h: loss of forbidden answers',
  'recipe.booster.cost':
    'Three gradients a step; a copy of what is trained and one more gradient stay in memory.',
  'recipe.booster.look':
    'How slowly an attack begins, and whether it matters at high learning rates; ability before the attack.',
  'recipe.t-vaccine': 'T-Vaccine',
  'recipe.t-vaccine.about':
    'Learns to refuse while a few layers are pushed to where refusing is hardest. Only these layers are trained: those that forbidden answers move most, drawn again and again. Its settings are the best of a few that were tried once on tiny-chat, with all weights.',
  'recipe.t-vaccine.more':
    'The layers are drawn by the size of the harmful gradient at their attention outputs. At most half of the layers at a time.',
  'recipe.t-vaccine.needs': 'Forbidden questions with refusals, and with forbidden answers.',
  'recipe.t-vaccine.formula':
    'L( w; aₗ + ρ gₗ / ‖g‖ in the drawn layers l ), aₗ: attention output, gₗ = ∂L/∂aₗ',
  'recipe.t-vaccine.cost':
    'Two gradients a step, and now and then a third; no copy of the weights, one tensor of attention outputs for each layer.',
  'recipe.t-vaccine.look':
    'Whether refusals survive a short attack, and how much of the everyday ability is left by training so few layers.',
  'recipe.t-vaccine.vaccine': 'Vaccine',
  'recipe.t-vaccine.vaccine.about':
    'Learns to refuse while every layer is pushed to where refusing is hardest, so that the small shifts of an attack do not undo it. Its settings are the best of a few that were tried once on tiny-chat, with all weights.',
  'recipe.t-vaccine.vaccine.more': 'T-Vaccine with all layers: everything is trained, nothing is drawn.',
  'recipe.t-vaccine.vaccine.needs': 'Forbidden questions with refusals. No forbidden answers.',
  'recipe.t-vaccine.vaccine.formula':
    'L( w; aₗ + ρ gₗ / ‖g‖ in every layer l ), aₗ: attention output, gₗ = ∂L/∂aₗ',
  'recipe.t-vaccine.vaccine.cost':
    'Two gradients a step; no copy of the weights, one tensor of attention outputs for each layer.',
  'recipe.t-vaccine.vaccine.look':
    'Whether it refuses everyday questions as well, and how soon an attack breaks it.',
  'recipe.tar.dpo': 'TAR, to refuse',
  'recipe.tar.dpo.about':
    'Attacks itself in every step and learns weights from which such attacks still end in refusals. Everyday chats, and the hidden states of the model it began as, hold the rest in place. Its settings are the best of a few that were tried once on tiny-chat, with all weights.',
  'recipe.tar.dpo.more':
    'Attacks and the questions that resistance is measured on share neither question nor answer. Of the two losses this is the one for models that refuse.',
  'recipe.tar.dpo.needs':
    'Forbidden questions with refusals and with forbidden answers, in two halves; everyday chats.',
  'recipe.tar.dpo.formula':
    'a · mean of DPO(refusal over forbidden answer) at attacked weights + b · ( L(everyday) + mean ‖h(w) − h(first)‖ )',
  'recipe.tar.dpo.cost':
    'For every attack two gradients for each of its steps, and two more; up to five copies of what is trained.',
  'recipe.tar.dpo.look':
    'Whether attacks other than those it met are held off as well: more steps, another rate, adapters.',
  'recipe.tar.entropy': 'TAR, to be unsure',
  'recipe.tar.entropy.about':
    'Attacks itself in every step and learns weights from which such attacks end in answers that are anybody’s guess. Everyday chats, and the hidden states of the model it began as, hold the rest in place. Its settings are the best of a few that were tried once on tiny-chat, with all weights.',
  'recipe.tar.entropy.more':
    'Attacks and the questions that resistance is measured on share neither question nor answer. Of the two losses this is the one that makes forbidden knowledge useless.',
  'recipe.tar.entropy.needs': 'Forbidden questions with forbidden answers, in two halves; everyday chats.',
  'recipe.tar.entropy.formula':
    'a · mean of Σ p log p on forbidden answers at attacked weights + b · ( L(everyday) + mean ‖h(w) − h(first)‖ )',
  'recipe.tar.entropy.cost':
    'For every attack two gradients for each of its steps, and two more; up to five copies of what is trained.',
  'recipe.tar.entropy.look':
    'Degraded answers after an attack, as with SDD, but with everyday ability: does it hold for other attacks?',
} as const;
