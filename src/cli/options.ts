import { LabError } from '../core/errors.ts';

/** @throws LabError 'bad-input' naming the option */
export function whole(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least)
    throw new LabError('bad-input', `${name} wants a whole number from ${least}, not "${text}".`);
  return value;
}

/** Numbers with commas between them. @throws LabError 'bad-input' naming the option */
export function numbers(name: string, text: string): number[] {
  const values = text.split(',').map((part) => (part.trim() === '' ? NaN : Number(part)));
  if (values.every(Number.isFinite)) return values;
  throw new LabError('bad-input', `${name} wants numbers with commas between them, not "${text}".`);
}
