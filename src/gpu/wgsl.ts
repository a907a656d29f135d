/**
 * The small template language of the shaders, so that one WGSL file serves every tile size and feature set.
 * Directives are comments, so a file stays readable (and highlightable) as WGSL:
 *
 *   //:include lib/reduce_subgroup      the file's text, expanded with the same names
 *   //:if NAME | //:if !NAME            kept when the define is neither 0 nor false nor absent
 *   //:else
 *   //:for i 0 R                        the body once for each integer i in [0, R); bounds are numbers or defines
 *   //:end
 *   ${NAME}                             a define or a loop variable
 *
 * No expressions: arithmetic belongs to WGSL, whose compiler folds it. No eval, so a strict CSP holds.
 */
export type Defines = Readonly<Record<string, number | string | boolean>>;

/**
 * @param name file name inside shaders/ without the extension
 * @param source looks a file up; throws when there is none
 */
export function expandShader(name: string, defines: Defines, source: (name: string) => string): string {
  const lines = source(name).split('\n');
  return expandLines(name, lines, 0, lines.length, defines, source).join('\n');
}

function expandLines(
  file: string,
  lines: string[],
  from: number,
  to: number,
  defines: Defines,
  source: (name: string) => string,
): string[] {
  const out: string[] = [];
  for (let at = from; at < to; at++) {
    const line = lines[at]!;
    const directive = /^\s*\/\/:(\w+)\s*(.*?)\s*$/.exec(line);
    if (!directive) {
      out.push(substitute(file, at, line, defines));
      continue;
    }
    const [, verb, rest] = directive as unknown as [string, string, string];
    if (verb === 'include') {
      out.push(expandShader(rest, defines, source));
    } else if (verb === 'if') {
      const block = findBlock(file, lines, at, to);
      const wanted = truthy(rest.replace('!', ''), defines) !== rest.startsWith('!');
      const [begin, end] = wanted ? [at + 1, block.middle] : [block.middle + 1, block.end];
      out.push(...expandLines(file, lines, begin, Math.min(end, block.end), defines, source));
      at = block.end;
    } else if (verb === 'for') {
      const block = findBlock(file, lines, at, to);
      const [variable, low, high] = rest.split(/\s+/) as [string, string, string];
      for (let i = bound(file, at, low, defines); i < bound(file, at, high, defines); i++) {
        out.push(...expandLines(file, lines, at + 1, block.end, { ...defines, [variable]: i }, source));
      }
      at = block.end;
    } else {
      throw new Error(`shaders/${file}.wgsl:${at + 1}: unexpected //:${verb}`);
    }
  }
  return out;
}

/** Where the block opened at `open` has its //:else (or its end, if none) and its //:end. */
function findBlock(file: string, lines: string[], open: number, to: number): { middle: number; end: number } {
  let depth = 0;
  let middle = -1;
  for (let at = open; at < to; at++) {
    const verb = /^\s*\/\/:(\w+)/.exec(lines[at]!)?.[1];
    if (verb === 'if' || verb === 'for') depth++;
    else if (verb === 'else' && depth === 1) middle = at;
    else if (verb === 'end' && --depth === 0) return { middle: middle < 0 ? at : middle, end: at };
  }
  throw new Error(`shaders/${file}.wgsl:${open + 1}: block without //:end`);
}

function truthy(name: string, defines: Defines): boolean {
  const value = defines[name];
  return value !== undefined && value !== 0 && value !== false;
}

function bound(file: string, at: number, text: string, defines: Defines): number {
  const value = /^\d+$/.test(text) ? Number(text) : defines[text];
  if (typeof value !== 'number') throw new Error(`shaders/${file}.wgsl:${at + 1}: '${text}' is no number`);
  return value;
}

function substitute(file: string, at: number, line: string, defines: Defines): string {
  return line.replace(/\$\{(\w+)\}/g, (_, name: string) => {
    const value = defines[name];
    if (value === undefined) throw new Error(`shaders/${file}.wgsl:${at + 1}: '${name}' is not defined`);
    return String(value);
  });
}
