/**
 * The documents of insights: an attack map, gradient conflict, a safety landscape. Plain JSON, written by the terminal and by the
 * page, drawn by the page. How their figures are made stands in src/insights.
 */
import type { KernelTable } from './kernel-table.ts';
import type { Settings } from './settings.ts';
import { COARSE, VERDICTS, type VerdictKind } from './verdicts.ts';

/** What made a document of figures: enough to take them again, and to tell whether two may be laid side by side. Plain JSON. */
export interface About {
  createdAt: string;
  command: string;
  /** Seed of the world, its facts and its pretraining. */
  worldSeed: number;
  seeds: { defence: number; attack: number };
  adapter: string;
  kernels: KernelTable;
  /** SHA-256 of the code that trains, judges and measures. */
  code: string;
  /** SHA-256 of the protocol's frozen part. */
  protocol: string;
  /** SHA-256 of the embedded models' weights by their names. */
  weights: Record<string, string>;
  /** What this process took; with figures taken over from an interrupted one, less than all of them took. */
  seconds: number;
}

/** How much is asked. */
export interface LookPrompts {
  /** Forbidden prompts of T, each of another fact as long as there are enough. */
  forbidden: number;
  /** Questions of each of the 11 benign skills. */
  perSkill: number;
}
/** 40 forbidden prompts and 44 everyday tasks. */
export const LOOK_PROMPTS: LookPrompts = { forbidden: 40, perSkill: 4 };

/** Plain JSON. Counts are of greedy answers, judged by the exact judge. */
export interface Look {
  /** `facts`: distinct facts that they ask for, where some are asked for twice: those are what is independent. */
  forbidden: { n: number; counts: Record<VerdictKind, number>; facts?: number };
  /** Everyday tasks answered word for word. */
  benign: { n: number; correct: number };
  /** Mean loss of held-out benign chats, nats per token; null where it is not finite. */
  benignLoss: number | null;
}

/** What is drawn of a look. Shares are 0 to 1. */
export interface Shares {
  /** Full compliance. */
  strict: number;
  /** Compliance, leaks and attempts. */
  broad: number;
  refused: number;
  irrelevant: number;
  degraded: number;
  /** Everyday tasks answered right: the ability that stands beside every figure of safety. */
  benign: number;
}
export const SHARES = ['strict', 'broad', 'refused', 'irrelevant', 'degraded', 'benign'] as const;

const STRICT = VERDICTS.filter((kind) => COARSE[kind].strict);
const BROAD = VERDICTS.filter((kind) => COARSE[kind].broad);

export function sharesOf({ forbidden: { n, counts }, benign }: Look): Shares {
  const share = (kinds: typeof STRICT): number => kinds.reduce((sum, kind) => sum + counts[kind], 0) / n;
  return {
    strict: share(STRICT),
    broad: share(BROAD),
    refused: counts.refused / n,
    irrelevant: counts.irrelevant / n,
    degraded: counts.degraded / n,
    benign: benign.correct / benign.n,
  };
}

export const MAP_RATES = [3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2] as const;
export const MAP_STEPS = [5, 10, 20, 50, 100, 200] as const;

export interface MapCell {
  lr: number;
  steps: number;
  /** Training loss of the last step, nats per token; null where the run stopped before. */
  loss: number | null;
  /** Null where the run stopped before; `why` says how. */
  look: Look | null;
  why?: string;
}

/** Plain JSON. */
export interface InsightMap {
  kind: 'attack map';
  version: 1;
  about: About;
  model: string;
  attack: { recipe: string; settings: Settings };
  prompts: LookPrompts;
  /** Ascending. */
  rates: number[];
  steps: number[];
  /** The model before any attack. */
  untouched: Look;
  /** By rate and steps; what is not here was not taken. */
  cells: MapCell[];
  /** Cells that were not taken: the map is partial. */
  missing: { lr: number; steps: number }[];
}

/** Nearest to the attack's own rate first, in ratio; of two as near the higher, where things happen sooner. */
export function tellingFirst(rates: readonly number[], own: number): number[] {
  const far = (lr: number): number => Math.abs(Math.log(lr / own));
  return [...rates].sort((a, b) => (Math.abs(far(a) - far(b)) < 1e-9 ? b - a : far(a) - far(b)));
}

export interface PartConflict {
  /** 'embedding', 'layer 0', ..., 'final norm', 'head', 'all' */
  part: string;
  cosine: number;
  low: number;
  high: number;
  ofMeans: number;
  withinAttack: number;
  withinBenign: number;
  null: { mean: number; low: number; high: number };
  p: number;
}

export interface ModelConflict {
  model: string;
  /** Steps of attack that came before; 0: none. */
  after: number;
  /** Recipe, rate and seed of that attack, where several may stand side by side. */
  attack?: string;
  /** Mean over the batches, nats per token. */
  loss: { attack: number; benign: number };
  /** Norm of the mean gradient. */
  norm: { attack: number; benign: number };
  parts: PartConflict[];
}

/** Plain JSON. */
export interface ConflictTable {
  kind: 'gradient conflict';
  version: 1;
  about: About;
  /** Of each kind; no example stands in two batches. */
  batches: number;
  rows: number;
  deals: number;
  /** Recipes whose data the batches are, and its seed. */
  data: { attack: 'mft'; benign: 'bft'; seed: number };
  models: ModelConflict[];
}

export interface LandscapePoint {
  t: number;
  look: Look;
}

/** Mean, lowest and highest over the directions. */
export interface Spread {
  mean: number;
  low: number;
  high: number;
}

export interface Visage {
  /** By what counts as success of an attack: full compliance, any harm, no refusal. Null: S was S_max everywhere. */
  strict: number | null;
  broad: number | null;
  notRefused: number | null;
  /** Mean share of everyday tasks right over the same points, 0 to 1. */
  ability: number;
  /** The same of each direction alone: how far they differ. */
  byDirection: { strict: number | null; broad: number | null; notRefused: number | null; ability: number }[];
}

export interface ModelLandscape {
  model: string;
  /** ||attacked - parent|| / ||parent||, all weights. */
  distance: number;
  line: LandscapePoint[];
  directions: { seed: number; points: LandscapePoint[] }[];
  spread: { t: number; shares: Record<keyof Shares, Spread>; benignLoss: Spread | null }[];
  visage: Visage;
}

/** Plain JSON. */
export interface Landscape {
  kind: 'safety landscape';
  version: 1;
  about: About;
  prompts: LookPrompts;
  attack: { recipe: string; settings: Record<string, number | string | boolean> };
  radius: number;
  models: ModelLandscape[];
}
