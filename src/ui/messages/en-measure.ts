/** The place Measure: figures of chosen checkpoints, and reports. */
export const enMeasure = {
  'measure.title': 'Measure',
  'measure.lead':
    'Every figure of the checkpoints that you choose, each with its interval and its definition one click away; take it away as a report that opens anywhere.',
  'measure.open': 'Open a report',
  'measure.close': 'Close this report',
  'measure.opened': 'Opened from {name}, written {date}. Recorded, not measured here.',
  'measure.otherProtocol':
    'This report was written under another text of the protocol than this lab holds: do not lay its figures beside new ones without saying so.',
  'measure.empty': 'There is nothing to measure yet: load a model, or let “Show me” make some.',
  'measure.pick': 'Checkpoints to measure',
  'measure.pickOpened': 'Models that you opened',
  'measure.openedHow':
    'Of these nobody knows the right answers: rules look at what they answer to the prompts that your file holds back, in tables of their own.',
  'measure.texts': 'Put what they answered into the report and its files as well',
  'measure.none': 'Choose at least one checkpoint.',
  'measure.start': 'Measure what is missing ({n})',
  'measure.busy': 'Checkpoint {place} of {of}',
  'measure.failed':
    'Could not be measured: {names}. What was measured of the others is kept; “Measure what is missing” tries again.',
  'measure.stop': 'Stop measuring',
  'measure.save.html': 'Save as a page (HTML)',
  'measure.save.json': 'Save the figures (JSON)',
  'measure.save.answers': 'Save every answer (JSONL)',
  'measure.partial': 'Partial: {came} of {planned} measurements are there; the others say so in their cells.',
  'measure.emptyTable': 'Nothing for this table yet: it needs judged attacks among the chosen checkpoints.',
  'choices.title': 'General ability on your own questions',
  'choices.text':
    'Multiple choice as in MMLU and OpenBookQA, by an opened model on an imported set: by the likeliest letter, by the choice whose text is likeliest per token, and by what the model writes. Nothing is said to be above or below chance where the interval includes it.',
  'choices.noModel': 'Open a model of your own first:',
  'choices.noSet': 'Import a set with choices first (MMLU, OpenBookQA):',
  'choices.model': 'Model',
  'choices.set': 'Questions',
  'choices.shots': 'Examples before each',
  'choices.most': 'Questions asked',
  'choices.start': 'Ask them',
  'choices.results': 'Multiple choice, all results',
} as const;
