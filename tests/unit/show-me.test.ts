import { describe, expect, it } from 'vitest';
import { EngineClient } from '../../src/app/client.ts';
import { Lab } from '../../src/app/lab.svelte.ts';
import { RECIPES } from '../../src/recipes/index.ts';
import { settle } from '../../src/recipes/recipe.ts';
import {
  GREEDY,
  type Evaluation,
  type FromWorker,
  type LabNode,
  type RecipeInfo,
  type Settings,
  type ToWorker,
} from '../../src/worker/protocol.ts';

const recipes = RECIPES.map((r): RecipeInfo => {
  const { id, kind, settings, continuable } = r;
  return { id, kind, settings: [...settings], continuable, steps: r.plan(settle(r)).steps };
});
const defaults = (id: string): Settings => settle(RECIPES.find((r) => r.id === id)!);

interface Made {
  id: string;
  parentId: string | null;
  recipe: string | null;
  steps: number;
  settings?: Settings;
  seed?: number;
  judged?: boolean;
}

function node({ id, parentId, recipe, steps, settings, seed = 1, judged = true }: Made): LabNode {
  const info = recipes.find((r) => r.id === recipe);
  return {
    id,
    parentId,
    recipe,
    steps,
    name: id,
    kind: info?.kind ?? 'base',
    root: 'tiny-chat',
    settings: settings ?? (recipe ? defaults(recipe) : {}),
    seeds: { world: 0, defence: seed, attack: seed },
    ...(judged && { verdicts: { T: { n: 14, quick: true } } }),
  } as unknown as LabNode;
}

const CHAIN: Made[] = [
  { id: 'chat', parentId: null, recipe: null, steps: 0 },
  { id: 'chat+20', parentId: 'chat', recipe: 'mft', steps: 20 },
  { id: 'sdd', parentId: 'chat', recipe: 'sdd', steps: recipes.find((r) => r.id === 'sdd')!.steps },
  { id: 'sdd+20', parentId: 'sdd', recipe: 'mft', steps: 20 },
  {
    id: 'reject',
    parentId: 'sdd',
    recipe: 'sdd-reject',
    steps: recipes.find((r) => r.id === 'sdd-reject')!.steps,
  },
  { id: 'reject+20', parentId: 'reject', recipe: 'mft', steps: 20 },
];

/** A lab that has just opened its store: nodes and recipes are there, nothing was done yet. */
function opened(made: readonly Made[]): Lab {
  const lab = new Lab(
    new EngineClient(() => {
      throw new Error('nothing may be asked of the engine');
    }),
  );
  lab.recipes = recipes;
  lab.nodes = made.map(node);
  return lab;
}

const evaluation = (nodeId: string, set: 'V' | 'T', quick: boolean, prompts: string[]): Evaluation =>
  ({
    nodeId,
    set,
    quick,
    answers: prompts.map((prompt) => ({
      prompt,
      answer: `${nodeId} on ${prompt}`,
      verdict: { kind: 'refused' },
    })),
  }) as unknown as Evaluation;

describe('Show me, from what is stored', () => {
  it('is done where all six models are there and judged', () => {
    const show = opened(CHAIN).showMe;
    expect(new Set(Object.values(show.stages))).toEqual(new Set(['done']));
    expect(show.shown.map((n) => n.id)).toEqual(CHAIN.map((n) => n.id));
  });

  it.each(CHAIN.map((n) => n.id))('is not done while %s is not judged, parents included', (id) => {
    const show = opened(CHAIN.map((n) => ({ ...n, judged: n.id !== id }))).showMe;
    expect(show.stages['quick-look']).toBe('waiting');
    expect(show.stages.ask).toBe('waiting');
    expect(show.stages['attack-sdd-reject']).toBe('done');
  });

  it('shows nothing that was not run like that: other seed, other settings, other length', () => {
    const others: Partial<Made>[] = [
      { seed: 2 },
      { settings: { ...defaults('mft'), lr: 3e-3 } },
      { steps: 19 },
      { recipe: 'bft' },
    ];
    for (const other of others) {
      const show = opened(CHAIN.map((n) => (n.id === 'sdd+20' ? { ...n, ...other } : n))).showMe;
      expect(show.stages['attack-sdd'], JSON.stringify(other)).toBe('waiting');
      expect(show.shown.map((n) => n.id)).not.toContain('sdd+20');
    }
    const tuned = { settings: { ...defaults('sdd'), lr: 2e-3 } };
    const show = opened(CHAIN.map((n) => (n.id === 'sdd' ? { ...n, ...tuned } : n))).showMe;
    expect(show.shown.map((n) => n.id)).toEqual(['chat', 'chat+20']);
  });

  it('asks greedily, whatever Compare is set to, and leaves that as it is', async () => {
    const asked: ToWorker[] = [];
    const results: Partial<Record<string, unknown>> = { loadEmbedded: node(CHAIN[0]!), evaluations: [] };
    const listeners: ((e: { data: FromWorker }) => void)[] = [];
    const lab = new Lab(
      new EngineClient(() => ({
        postMessage: (message) => {
          asked.push(message);
          if (message.type !== 'request') return;
          const result = results[message.method] ?? [];
          queueMicrotask(() =>
            listeners.forEach((on) => on({ data: { type: 'result', id: message.id, result } })),
          );
        },
        terminate: () => {},
        addEventListener: (type: string, listener: unknown) => {
          if (type === 'message') listeners.push(listener as (typeof listeners)[number]);
        },
      })),
    );
    lab.recipes = recipes;
    lab.nodes = CHAIN.map(node);
    lab.phase = 'ready';
    lab.compare.sampling = { ...GREEDY, temperature: 1.5, topK: 3 };
    await lab.showMe.start();
    const question = asked.find((m) => m.type === 'request' && m.method === 'generate');
    expect(question).toMatchObject({ params: { sampling: GREEDY, nodeIds: CHAIN.map((n) => n.id) } });
    expect(lab.compare.sampling).toMatchObject({ temperature: 1.5, topK: 3 });
  });

  it('has larger amounts only where they were run', () => {
    const lab = opened([...CHAIN, { id: 'chat+50', parentId: 'chat', recipe: 'mft', steps: 50 }]);
    const [chat, sdd] = lab.showMe.models;
    expect(lab.showMe.after(chat!, 50)?.id).toBe('chat+50');
    expect(lab.showMe.after(sdd!, 50)).toBeUndefined();
    expect(lab.showMe.after(chat!, 100)).toBeUndefined();
  });

  it('puts the question of the quick look, and reads its stored answers', () => {
    const lab = opened(CHAIN);
    const { showMe: show } = lab;
    expect(show.prompt).toBe('');
    lab.evaluations.byNode = Object.fromEntries(
      CHAIN.map(({ id }) => [
        id,
        [
          evaluation(id, 'T', false, ['p', 'q', 'r']),
          evaluation(id, 'V', true, ['v']),
          evaluation(id, 'T', true, ['q']),
        ],
      ]),
    );
    expect(show.prompt).toBe('q');
    expect(show.recorded('sdd')?.answer).toBe('sdd on q');
    expect(show.recorded('reject+20')?.answer).toBe('reject+20 on q');
  });
});
