/** Golden case O: gradients of two batches by part, the line between two models, and a filter-normalised direction. */
import { parseLlamaConfig } from '../core/config.ts';
import type { Batch } from '../core/types.ts';
import type { Gpu } from '../gpu/gpu.ts';
import {
  along,
  cosines,
  distances,
  dots,
  filterNormalised,
  lerp,
  norms,
  partsOf,
  relativeChanges,
  type Part,
} from '../insights/param-ops.ts';
import { loadTensors } from '../model/hf.ts';
import { Model } from '../model/model.ts';
import { Trainer } from '../train/trainer.ts';
import { trimRows, type PaddedBatch } from './compare.ts';
import { checkerOf, file, json, type CaseFiles, type Report } from './golden-case.ts';

interface Meta {
  group_order: string[];
  groups: Record<string, string[]>;
  t_line: number[];
  t_direction: number[];
}

const OPTIM = { betas: [0.9, 0.999] as [number, number], eps: 1e-8, clip: 0, weight_decay: 0 };

/** What the case calls our parts. */
const storedName = (part: string): string =>
  ({ embedding: 'embed', 'final norm': 'norm', head: 'lm_head', all: 'global' })[part] ??
  part.replace(' ', '.');

export async function runParamOps(gpu: Gpu, files: CaseFiles, report: Report): Promise<void> {
  const meta = json(files, 'meta.json') as Meta;
  const config = parseLlamaConfig(json(files, 'config.json'));
  const tensorsOf = (name: string) => loadTensors(config, { config, weights: [file(files, name)] });
  const batches = json(files, 'batch.json') as { a: PaddedBatch; b: PaddedBatch };
  const { a, b } = { a: trimRows(batches.a), b: trimRows(batches.b) };
  const check = checkerOf(files, report);

  const model = Model.create(gpu, config, tensorsOf('model.safetensors'));
  const { params } = model;
  const tokens = Math.max(...[a, b].map((batch) => batch.reduce((sum, row) => sum + row.ids.length, 0)));
  const trainer = new Trainer(model, OPTIM, { maxTokens: tokens, maxLabels: tokens });
  try {
    const parts = partsOf(params.layout);
    report.add('groups: tensors in another group', misplaced(parts, meta), 0);
    const weights = await params.read();
    const other = params.flatten(tensorsOf('other_model.safetensors'));
    const gradient = async (which: 'a' | 'b', batch: Batch): Promise<Float32Array> => {
      const { loss } = await trainer.gradient([batch]);
      const flat = await trainer.grads.read();
      check(`loss_${which}`, Float64Array.of(loss));
      for (const [name, { data }] of params.tensors(flat)) check(`grad_${which}.${name}`, data);
      return flat;
    };
    const [ga, gb] = [await gradient('a', a), await gradient('b', b)];
    const ops = {
      cosine: cosines(parts, ga, gb),
      dot: dots(parts, ga, gb),
      norm_a: norms(parts, ga),
      norm_b: norms(parts, gb),
      diff_norm: distances(parts, weights, other),
      relative_change: relativeChanges(parts, weights, other),
    };
    for (const [name, values] of Object.entries(ops)) check(name, Float64Array.from(values));

    const raw = params.flatten(tensorsOf('direction_raw.safetensors'));
    const direction = filterNormalised(params.layout, raw, weights);
    for (const [name, { data }] of params.tensors(direction)) check(`direction.${name}`, data);
    const losses = async (at: (t: number) => Float32Array, ts: readonly number[], batch: Batch) => {
      const out: number[] = [];
      for (const t of ts) {
        params.write(at(t));
        out.push((await trainer.evaluate(batch)).loss);
      }
      return Float64Array.from(out);
    };
    for (const [which, batch] of Object.entries({ a, b })) {
      check(`line_loss_${which}`, await losses((t) => lerp(weights, other, t), meta.t_line, batch));
      const away = (t: number) => along(weights, direction, t);
      check(`direction_loss_${which}`, await losses(away, meta.t_direction, batch));
    }
  } finally {
    trainer.destroy();
    model.destroy();
  }
  report.add('stored values that nothing was compared with', check.left().length, 0);
}

/** Tensors that our parts and the case's groups do not agree about, and groups that stand in another place. */
function misplaced(parts: readonly Part[], { group_order, groups }: Meta): number {
  return group_order.reduce(
    (wrong, group, i) => {
      const part = parts[i];
      if (!part || storedName(part.part) !== group) return wrong + 1;
      const [own, stored] = [part.tensors.map((t) => t.name), groups[group]!];
      const extra = own.filter((name) => !stored.includes(name)).length;
      return wrong + extra + stored.filter((name) => !own.includes(name)).length;
    },
    Math.abs(parts.length - group_order.length),
  );
}
