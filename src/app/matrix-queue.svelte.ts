/** Runs and judges what is missing of the matrix, one after the other. What is done is in the tree: stopped, it goes on where it was. */
import type { Evaluations } from './evaluations.svelte.ts';
import { judgedBest } from './own-map.ts';
import { matrixTasks, taskCost, type MatrixTask, type Way } from './matrix-plan.ts';
import { AMOUNTS, attackTo, isRunOf } from './series.ts';
import type { RunView } from './runs.svelte.ts';
import type { Training } from './training.svelte.ts';
import type { LabNode, RecipeInfo } from '../worker/protocol.ts';

/** What it uses of the lab. */
export interface MatrixLab {
  readonly nodes: readonly LabNode[];
  readonly recipes: readonly RecipeInfo[];
  readonly training: Pick<Training, 'runs' | 'interrupted' | 'shownId' | 'start' | 'control' | 'reopen'>;
  readonly evaluations: Pick<Evaluations, 'byNode' | 'open' | 'run'>;
}

export interface MatrixWork {
  task: MatrixTask;
  /** Tasks that ended, and all of them. */
  done: number;
  total: number;
  /** Null until something was measured. */
  secondsLeft: number | null;
}

export class MatrixQueue {
  #lab: MatrixLab;
  #abort: AbortController | null = null;
  /** What training steps and looks took so far, and how long. */
  #pace = { steps: 0, ms: 0 };

  work = $state.raw<MatrixWork | null>(null);
  /** Tasks that could not be done since the queue was started: their runs say why, or the page's error where one could not be judged. */
  failed = $state.raw<readonly MatrixTask[]>([]);

  constructor(lab: MatrixLab) {
    this.#lab = lab;
  }

  /** What is missing of these models under these attacks. */
  tasks(models: readonly LabNode[], ways: readonly Way[]): MatrixTask[] {
    const { nodes, recipes, evaluations } = this.#lab;
    const judged = (id: string): boolean => judgedBest(evaluations.byNode[id] ?? []) !== null;
    return matrixTasks({ nodes, recipes, judged }, models, ways);
  }

  /** Until nothing is missing, or `stop`. A task that fails is left out; the others go on. */
  async run(modelIds: readonly string[], ways: readonly Way[]): Promise<void> {
    if (this.#abort) return;
    const { signal } = (this.#abort = new AbortController());
    this.failed = [];
    this.#pace = { steps: 0, ms: 0 };
    let done = 0;
    try {
      for (;;) {
        const models = this.#lab.nodes.filter((n) => modelIds.includes(n.id));
        const open = this.tasks(models, ways).filter((t) => this.failed.every((f) => f.key !== t.key));
        const next = open.find((t) => t.parent !== null);
        if (!next || signal.aborted) return;
        const left = open.reduce((sum, t) => sum + taskCost(t), 0);
        const { steps, ms } = this.#pace;
        const secondsLeft = steps > 0 ? (left * ms) / steps / 1000 : null;
        this.work = { task: next, done, total: done + open.length, secondsLeft };
        const begun = performance.now();
        const whole = await this.#do(next, next.parent!, signal);
        if (signal.aborted) return;
        if (!whole) this.failed = [...this.failed, next];
        else this.#pace = { steps: steps + taskCost(next), ms: ms + performance.now() - begun };
        done++;
      }
    } finally {
      this.#abort = null;
      this.work = null;
    }
  }

  /** The run under way is given up; everything before it stays. */
  stop(): void {
    this.#abort?.abort();
  }

  /** @returns whether all of it was run and judged */
  async #do(task: MatrixTask, parent: LabNode, signal: AbortSignal): Promise<boolean> {
    if (task.steps.length > 0) {
      const run = await this.#train(task, parent);
      if (!run) return false;
      const stop = (): void => void this.#lab.training.control(run.id, { action: 'stop', discard: true });
      signal.addEventListener('abort', stop, { once: true });
      if (signal.aborted) stop();
      const how = await run.ended();
      signal.removeEventListener('abort', stop);
      if (how !== 'finished') return false;
    }
    for (;;) {
      // made meanwhile: the task as it stands now
      const now = this.tasks([task.model], [task.way]).find((t) => t.key === task.key);
      const node = now?.unjudged[0];
      if (!node) return (now?.steps.length ?? 0) === 0;
      if (signal.aborted || !(await this.#judge(node.id, signal))) return false;
    }
  }

  /** A run of an earlier visit goes on; else a run that can be made longer; else a new one. */
  async #train({ series, way, steps }: MatrixTask, parent: LabNode): Promise<RunView | null> {
    const { training, nodes } = this.#lab;
    const waiting = training.interrupted.find(
      (r) => isRunOf(r, series, parent.id) && r.head.state === 'stopped' && r.head.elsewhere !== true,
    );
    if (waiting) {
      const run = await training.reopen(waiting.id);
      if (run) await training.control(run.id, { action: 'resume' });
      return run;
    }
    if (way.amounts === AMOUNTS)
      return attackTo(training as Training, nodes, series, parent.id, steps.at(-1)!, 0);
    return training.start({
      ...{ parentNodeId: parent.id, recipe: series.recipe.id, settings: series.settings },
      ...{ seed: series.seed, saveAt: [...steps], probeEvery: 0 },
    });
  }

  async #judge(nodeId: string, signal: AbortSignal): Promise<boolean> {
    const { evaluations } = this.#lab;
    if (!evaluations.byNode[nodeId]) await evaluations.open(nodeId);
    if (judgedBest(evaluations.byNode[nodeId] ?? [])) return true;
    return (await evaluations.run(nodeId, { quick: true, signal })) !== null;
  }
}
