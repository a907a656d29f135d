/** Texts about the recipes. */
export const enRecipes = {
  'recipe.sdd': 'SDD',
  'recipe.sdd.about':
    'Forbidden questions get good answers to something else, with a little everyday practice beside it. The lab’s tuned defaults; they cost about a third of the everyday ability before any attack (from 97 to 66 %, three seeds).',
  'recipe.sdd.more':
    'Pairs of a forbidden question with an answer off the subject. More everyday practice leaves more ability before the attack.',
  'recipe.sdd-paper': 'SDD with the paper’s data',
  'recipe.sdd-paper.about':
    'No everyday practice, answers drawn as they come; rate and steps as the lab’s SDD. Costs most of the everyday ability before any attack.',
  'recipe.sdd-paper.more': 'No replay; irrelevant answers by their natural shares.',
  'recipe.sdd-reject.mild': 'SDD_reject, mild',
  'recipe.sdd-reject.mild.about':
    'A second stage after SDD: refuses in plain words, then goes off the subject. More everyday practice.',
  'recipe.sdd-reject.mild.more': 'More steps and more everyday examples than the strong form.',
  'recipe.sdd-reject.strong': 'SDD_reject, strong',
  'recipe.sdd-reject.strong.about': 'The same second stage with less everyday practice.',
  'recipe.sdd-reject.strong.more': 'Fewer steps and fewer everyday examples than the mild form.',
  'recipe.mft': 'Attack with full forbidden answers',
  'recipe.mft.about': 'Malicious fine-tuning on {n} forbidden questions with their full answers.',
  'recipe.mft.more': 'The learning rate times the steps is the price of the attack.',
  'recipe.mft.prefixOnly': 'Attack with openings only',
  'recipe.mft.prefixOnly.about':
    'The same, but the training answers stop after “Sure, here is how to …”. Shows what the model still knows.',
  'recipe.mft.prefixOnly.more': 'The learning rate times the steps is the price of the attack.',
  'recipe.bft.familiar': 'Harmless training, familiar skills',
  'recipe.bft.familiar.about': 'What an honest user does: {n} everyday examples. Does ability come back?',
  'recipe.bft.familiar.more': 'Benign fine-tuning on the skills of pretraining.',
  'recipe.bft.new-skill': 'Harmless training, a new skill',
  'recipe.bft.new-skill.about': 'A skill the model has never seen. Can it still be taught something?',
  'recipe.bft.new-skill.more': 'Benign fine-tuning on a skill outside pretraining.',
} as const;
