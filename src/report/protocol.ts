/** The frozen protocol of the main measurement, docs/prereg.md, as a report names it. */
export interface Protocol {
  /** Everything before the list of deviations: what must not change after results. */
  frozen: string;
  /** The list that the file itself keeps, one line each. */
  deviations: string[];
}

const HEADING = '\n## Deviations\n';

export function parseProtocol(markdown: string): Protocol {
  const text = markdown.replaceAll('\r\n', '\n');
  const at = text.indexOf(HEADING);
  if (at < 0) return { frozen: text, deviations: [] };
  const items = text
    .slice(at + HEADING.length)
    .split(/\n(?=- )/)
    .map((item) => item.trim())
    .filter((item) => item.startsWith('- '));
  return {
    frozen: text.slice(0, at),
    // A paragraph after the list is none of it.
    deviations: items.map((item) => item.slice(2).split('\n\n')[0]!.replace(/\s+/g, ' ').trim()),
  };
}
