/** Looks at an opened model in training: loss on held-out answers of the user's file, and what it says. Nothing is judged. */
import type { Example } from '../core/types.ts';
import type { Request, Task } from '../data/task.ts';
import { rowLosses } from '../eval/perplexity.ts';
import { spread } from '../core/spread.ts';
import type { Probes } from './probes.ts';
import type { NodeKind, ProbePoint } from './protocol.ts';

/** Prompts of each kind that are asked at every look, and rows of the held-out loss. */
const SAMPLES = 2;
const LOSS_ROWS = 8;
const ANSWER_TOKENS = 48;

export function ownProbes(task: Task, kind: NodeKind): Probes {
  const { harmful, benign } = task.heldOut;
  const answered = harmful.flatMap((r) => (r.answer === null ? [] : [{ ...r, answer: r.answer }]));
  const scored = kind === 'attack' && answered.length > 0 ? answered : benign;
  const rows = spread(scored, LOSS_ROWS, `loss/${task.id}`).map((chat) => ({
    ...chat,
    role: 'benign' as const,
  }));
  const heldOut: Example[] = task.codec.encode(rows).examples;
  const asked = [
    ...spread(harmful, SAMPLES, `asked/${task.id}`).map((request) => ({ role: 'harmful' as const, request })),
    ...spread<Request>(benign, SAMPLES, `asked/${task.id}`).map((request) => ({
      role: 'benign' as const,
      request,
    })),
  ];
  return {
    heldOut,
    async look(step, generator, trainer, cap): Promise<ProbePoint> {
      const scorer = { cap, evaluate: trainer.evaluate.bind(trainer), logits: trainer.logits.bind(trainer) };
      const losses = heldOut.length > 0 ? await rowLosses(scorer, heldOut) : [];
      const labels = losses.reduce((n, row) => n + row.labels, 0);
      const ownSamples: NonNullable<ProbePoint['ownSamples']> = [];
      const ends = new Set(task.codec.ends);
      for (const { role, request } of asked) {
        const ids = task.codec.prompt(request).slice(0, generator.cap.maxLen - 1);
        const maxNewTokens = Math.min(ANSWER_TOKENS, generator.cap.maxLen - ids.length);
        const [row] = await generator.generate([ids], { maxNewTokens, eos: ends });
        const said = row!.map((token) => token.id).filter((id) => !ends.has(id));
        ownSamples.push({ role, prompt: request.prompt, answer: task.codec.decode(said) });
      }
      return {
        step,
        heldOutLoss: labels > 0 ? losses.reduce((sum, row) => sum + row.sum, 0) / labels : null,
        strict: 0,
        broad: 0,
        n: 0,
        benign: 0,
        benignN: 0,
        samples: [],
        benignSamples: [],
        ownSamples,
      };
    },
  };
}
