/** Why a row is left out, in words, and what to do about it. */
import type { Reason, Refusal } from './types.ts';

const WHAT: Record<Reason, string> = {
  'not-json': 'It is not JSON.',
  'not-object': 'It is JSON, but no object with fields.',
  'too-long': 'It is longer than 4 million characters.',
  cut: 'From here on the file cannot be read (it is cut off, or damaged); nothing after it was read.',
  encoding: 'It has bytes that are not UTF-8, or no text.',
  quote: 'A quotation mark opens a text and does not close it where the cell ends.',
  columns: 'It has {0} cells, and the first row has {1}.',
  missing: 'It has no "{0}".',
  type: '"{0}" has a value of another kind than the layout wants.',
  'empty-question': 'Its question is empty.',
  'empty-answer': 'Its answer, or one of its choices, is empty.',
  turns: 'Message {0} is out of turn: user and assistant do not take turns.',
  role: 'It has a message from "{0}", which is neither user, assistant nor system.',
  'answer-key': 'Its answer "{0}" names none of its choices.',
  duplicate: 'It repeats line {0}: the same question with the same answer.',
};

const REMEDY: Record<Reason, string> = {
  'not-json': 'Put the line right, or delete it.',
  'not-object': 'Write the row as an object: {"prompt": ..., "answer": ...}.',
  'too-long': 'Split it, or delete it; if the whole file is one line, it is perhaps no JSONL.',
  cut: 'Download the file again, or put this place right.',
  encoding: 'Save the file as UTF-8.',
  quote: 'Close the mark; within a quoted text, write each mark twice ("").',
  columns: 'Put texts that hold a comma into quotation marks.',
  missing: 'Add it to the row; or choose another column for the field, or none.',
  type: 'Put the value right; or choose another column for the field.',
  'empty-question': 'Fill it in, or delete the row.',
  'empty-answer': 'Fill it in, or delete the row.',
  turns: 'Join messages that follow each other from one side, or delete the row.',
  role: 'Give the message one of these roles, or delete the row.',
  'answer-key': 'Give the letter (or label) of the right choice.',
  duplicate: 'Nothing is to be done: the first one is kept.',
};

export function sentence({ reason, detail = '' }: Refusal): string {
  const parts = reason === 'columns' ? detail.split('/') : [detail];
  if (reason === 'duplicate' && detail.startsWith('#'))
    return WHAT.duplicate.replace('line {0}', `row ${detail.slice(1)}`);
  return WHAT[reason].replaceAll(/\{(\d)\}/g, (_, i: string) => parts[Number(i)] ?? '');
}

export const remedy = ({ reason }: Refusal): string => REMEDY[reason];
