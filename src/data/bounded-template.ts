/**
 * Jinja with a budget. A chat template is a program that comes with a model's files, and @huggingface/jinja runs it to its
 * end, however far that is. Its interpreter evaluates every part of a program through one public method; here that method
 * counts the parts and the size of what they give, so that endless loops, doubling texts and nested lists end in an error
 * in both a worker and Node. One operation is charged after it: what it can build at once is bounded by the bounds on what
 * goes in and by the longest string that the JavaScript engine allows.
 */
import { Environment, Interpreter, Template } from '@huggingface/jinja';

type Value = ReturnType<Interpreter['evaluate']>;
type Program = Template['parsed'];

/** A template asked for more than the budget. */
export class BudgetError extends Error {}

/** Characters of a template; the longest published ones have some tens of thousands. */
export const MAX_SOURCE = 128 * 1024;
/** The library's preprocessing takes time quadratic in a run of blanks. */
const LONG_BLANK = /\s{1025}/;
/** Evaluated parts of the program and rounds of its loops: far from any real template, and less than a second. */
const MAX_WORK = 50_000;
/** List items, and texts by CHARACTERS_A_UNIT, of everything that was evaluated. */
const MAX_SIZE = 3e6;
const CHARACTERS_A_UNIT = 256;
/** Of one text. */
const MAX_CHARACTERS = 1024 * 1024;
/** Of range(). */
const MAX_ITEMS = 100_000;

const tooMuch = (what: string): BudgetError => new BudgetError(what);

class BoundedInterpreter extends Interpreter {
  #work = 0;
  #size = 0;
  /** The parts that loops under way go through. */
  #looped = new WeakSet<object>();

  override evaluate(...[statement, environment]: Parameters<Interpreter['evaluate']>): Value {
    this.#spend(1);
    if (statement?.type === 'For') {
      const { iterable } = statement as unknown as { iterable: { type: string; lhs?: object } };
      // with a condition, 'for x in list if ...', the list stands in lhs
      this.#looped.add((iterable.type === 'SelectExpression' && iterable.lhs) || iterable);
    }
    const value = super.evaluate(statement, environment);
    if (statement && this.#looped.has(statement)) this.#spend(lengthOf(value.value));
    this.#weigh(value);
    return value;
  }

  #spend(units: number): void {
    this.#work += units;
    if (this.#work > MAX_WORK) throw tooMuch(`it needs more than ${MAX_WORK} operations`);
  }

  /** Lists count as written out: a list of two lists of two lists ... is long although it is small in memory. */
  #weigh(value: Value): void {
    const open: unknown[] = [value.value];
    while (open.length > 0) {
      const one = open.pop();
      if (typeof one === 'string') {
        if (one.length > MAX_CHARACTERS)
          throw tooMuch(`it makes a text of more than ${MAX_CHARACTERS} characters`);
        this.#size += one.length / CHARACTERS_A_UNIT;
      } else if (Array.isArray(one) || one instanceof Map) {
        this.#size += 1 + lengthOf(one);
        for (const item of one.values() as Iterable<Value>) open.push(item.value);
      }
      if (this.#size > MAX_SIZE) throw tooMuch('it makes too long lists and texts');
    }
  }
}

const lengthOf = (value: unknown): number =>
  Array.isArray(value) ? value.length : value instanceof Map ? value.size : 0;

function range(start: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  if (step === 0) throw new Error('range() step must not be zero');
  const items = Math.max(0, Math.ceil((to - from) / step));
  if (!(items <= MAX_ITEMS)) throw tooMuch(`it counts to more than ${MAX_ITEMS}`);
  return Array.from({ length: items }, (_, i) => from + i * step);
}

const MONTHS = 'January February March April May June July August September October November December'.split(
  ' ',
);

/**
 * Python's strftime in its default locale, as far as the library has it. The library names months in the language of the
 * machine, and a model has read English ones.
 */
function strftime(date: Date, format: string): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  const month = MONTHS[date.getMonth()]!;
  const parts: Record<string, string> = {
    '%Y': String(date.getFullYear()),
    '%m': two(date.getMonth() + 1),
    '%d': two(date.getDate()),
    '%b': month.slice(0, 3),
    '%B': month,
    '%H': two(date.getHours()),
    '%M': two(date.getMinutes()),
    '%%': '%',
  };
  return format.replace(/%[YmdbBHM%]/g, (one) => parts[one]!);
}

/** What the library gives every template, with a range() that has an end, and this moment as now. */
function globals(now: Date): Environment {
  const environment = new Environment();
  const names = { true: true, True: true, false: false, False: false, none: null, None: null };
  for (const [name, value] of Object.entries(names)) environment.set(name, value);
  environment.set('range', range);
  environment.set('raise_exception', (why: string) => {
    throw new Error(why);
  });
  environment.set('strftime_now', (format: string) => strftime(now, format));
  return environment;
}

/** @throws SyntaxError of the library, or BudgetError */
export function parseTemplate(source: string): Program {
  if (source.length > MAX_SOURCE) throw tooMuch(`it is longer than ${MAX_SOURCE} characters`);
  if (LONG_BLANK.test(source)) throw tooMuch('it holds more than 1024 blanks in a row');
  return new Template(source).parsed;
}

/**
 * The text that a template makes of these variables, at this moment if it asks for the time.
 * @throws BudgetError where it asks for too much; else what the library throws
 */
export function renderTemplate(program: Program, variables: Record<string, unknown>, now: Date): string {
  const environment = globals(now);
  for (const [name, value] of Object.entries(variables)) environment.set(name, value);
  try {
    return String(new BoundedInterpreter(environment).run(program).value);
  } catch (error) {
    // the engine's own bounds: calls within calls, and the longest string
    if (error instanceof RangeError) throw tooMuch('it nests too deeply or makes too long a text');
    throw error;
  }
}
