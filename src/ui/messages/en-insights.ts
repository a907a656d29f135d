/** The place Insights: pictures of why a defence holds and where it breaks. */
export const enInsights = {
  'insights.title': 'Insights',
  'insights.lead':
    'Where a defence holds, where it breaks, and why: pictures from your own runs, each with its table, to take away. What ships with the lab stands beside them, marked as recorded.',
  'insights.recorded': 'Recorded: made in a terminal on the models that ship with the lab. Not run here.',
  'insights.map': 'Attack map',
  'insights.map.text':
    'One attack at six learning rates and six lengths. Dark fields gave the forbidden answer; read the second map beside it, because a broken model answers nothing at all.',
  'insights.map.model': 'Model under attack',
  'insights.map.unjudged':
    'This model is not judged yet. Filling its map judges it first: {n} runs, the most telling first. You can stop at any time; what is there stays.',
  'insights.map.fill': 'Fill the map ({n} fields missing)',
  'insights.map.full': 'All fields are there.',
  'insights.map.busy': 'Learning rate {lr}, up to step {steps}: field {done} of {total}',
  'insights.stop': 'Stop',
  'insights.overview': 'Methods and attacks',
  'insights.overview.text':
    'Forbidden answers by model and attack, and what each defence costs before anybody attacked. The figures are those of Measure.',
  'insights.gap': 'Runs that would fill gaps',
  'insights.gap.go': 'Attack {model}',
  'insights.conflict': 'Gradient conflict',
  'insights.conflict.text':
    'Does a step that helps the attack hurt everyday tasks? The angle between the two gradients, layer by layer, on the checkpoints that you choose. Below the grey bar: more against each other than chance.',
  'insights.conflict.start': 'Compare the gradients',
  'insights.landscape': 'Landscape around a model',
  'insights.landscape.text':
    'What the model would answer if its weights lay a little elsewhere: on the straight line to an attacked checkpoint and past it, and in random directions. Ability stands beside harm, because a broken model is quiet everywhere.',
  'insights.landscape.node': 'Attacked checkpoint',
  'insights.landscape.none': 'There is no attacked checkpoint yet: attack a model first.',
  'insights.landscape.detail': 'Detail',
  'insights.landscape.coarse': 'coarse: {n} looks',
  'insights.landscape.fine': 'fine: {n} looks',
  'insights.landscape.start': 'Walk through it',
  'insights.busy': '{done} of {total}',
  'insights.partial': 'Partial: {done} of {total}. What is shown was measured; the rest is not invented.',
  'insights.own': 'Computed {when} on {adapter}.',
  'insights.own.other': 'Computed {when} on {adapter}: not on the GPU that the lab uses now.',
  'insights.goOn': 'Go on from there',
  'insights.again': 'Begin again here',
  'insights.again.why':
    'Another GPU or another version of the lab began it: here it would begin again from the start. What is shown stays.',
  'insights.waiting': 'Stopped before anything came of: {names}.',
  'insights.forget': 'Forget it',
  'insights.delete': 'Delete …',
  'insights.delete.text':
    'The picture and its figures go from this browser; the checkpoints stay. Computed again, it takes as long as the first time.',
  'insights.about': 'Insights about it:',
  'insights.about.partial': '{name}, partial',
  'insights.pick': 'Checkpoints',
  'insights.pickSome': 'Choose at least one checkpoint of the tiny world.',
  'insights.needGpu': 'This needs the GPU; the recorded pictures do not.',
  'insights.csv': 'Table (CSV)',
  'insights.svg': 'Picture (SVG)',
  'insights.png': 'Picture (PNG)',
  'insights.table': 'The same as a table',
  'insights.paper': 'The paper’s own figures',
  'insights.paper.text':
    'Apart from yours, because nothing here reproduces them: another model, another judge, other data. They show what to look for: vanilla breaks, SDD does not, and what SDD loses when it is attacked.',
} as const;
