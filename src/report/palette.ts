/** The colours of reports and of their pictures, light and dark; the page's own (src/ui/styles) are the same. */
export const PALETTE = {
  ink: ['#1b1f23', '#e6e8ea'],
  soft: ['#565d64', '#a9b0b7'],
  line: ['#d9dde0', '#343a40'],
  paper: ['#fff', '#14171a'],
  accent: ['#0d6464', '#5cc4bf'],
  complied: ['#b3261e', '#ff8a7d'],
  attempted: ['#96510a', '#f2a950'],
  leak: ['#a3266b', '#f28cc0'],
  refused: ['#1f5fae', '#7fb2f5'],
  irrelevant: ['#6a4ca0', '#bda3ee'],
  degraded: ['#565d64', '#a9b0b7'],
  on: ['#fff', '#14171a'],
  other: ['#3f6b1f', '#9ccf74'],
} as const satisfies Record<string, readonly [light: string, dark: string]>;
export type Colour = keyof typeof PALETTE;

/** Colours of the lines of a picture, in their order. */
const LINES: readonly Colour[] = [
  'accent',
  'complied',
  'irrelevant',
  'attempted',
  'refused',
  'leak',
  'degraded',
  'other',
];
const VERDICT_COLOURS: readonly Colour[] = [
  'complied',
  'attempted',
  'leak',
  'refused',
  'irrelevant',
  'degraded',
];

/** CSS of the shapes of pictures. @param colour how a colour is written there */
export const pictureRules = (colour: (name: Colour) => string): string =>
  [
    `text{font:12px system-ui,sans-serif;fill:${colour('ink')}}`,
    '.label,.tick{text-anchor:end}',
    '.step,.in{text-anchor:middle}',
    '.head{font-weight:600}',
    `.in{fill:${colour('on')}}`,
    `.grid{stroke:${colour('line')}}`,
    `.zero{stroke:${colour('soft')}}`,
    `.heat{fill:${colour('accent')}}`,
    `.gap{fill:none;stroke:${colour('soft')};stroke-dasharray:3 3}`,
    `.band{fill:${colour('line')}}`,
    'polyline.line,line.line{fill:none;stroke-width:2}',
    'polygon.area{fill-opacity:.15;stroke:none}',
    'path.line{fill:none;stroke-width:6;stroke-linecap:round}',
    `.line.chance{stroke:${colour('ink')}}`,
    ...LINES.map((name, i) => {
      const c = colour(name);
      return `.mark.l${i}{fill:${c};stroke:${c}}.line.l${i}{stroke:${c}}circle.line.l${i},polygon.area.l${i}{fill:${c}}`;
    }),
    `.mark{stroke-width:1.5}.mark.hollow{fill:${colour('paper')}}`,
    ...VERDICT_COLOURS.map((name) => `.v-${name}{fill:${colour(name)}}`),
  ].join('\n');
