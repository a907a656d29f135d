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
  'measure.none': 'Choose at least one checkpoint.',
  'measure.start': 'Measure what is missing ({n})',
  'measure.busy': 'Checkpoint {place} of {of}',
  'measure.stop': 'Stop measuring',
  'measure.save.html': 'Save as a page (HTML)',
  'measure.save.json': 'Save the figures (JSON)',
  'measure.save.answers': 'Save every answer (JSONL)',
  'measure.partial': 'Partial: {came} of {planned} measurements are there; the others say so in their cells.',
  'measure.emptyTable': 'Nothing for this table yet: it needs judged attacks among the chosen checkpoints.',
} as const;
