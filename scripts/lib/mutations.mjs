/** The faults of npm run mutate, and the test that each must turn red. */

/**
 * @typedef {object} Mutation
 * @property {string} name
 * @property {string} file
 * @property {string} find occurs exactly once
 * @property {string} replace
 * @property {string[]} test arguments of vitest
 */

/** @type {Mutation[]} */
export const mutations = [
  {
    name: 'rope-pairing',
    file: 'shaders/04_rope.wgsl',
    find: 'qkv[at + P.half_dim];\n  qkv[at] = a * turn.x - b * sin;\n  qkv[at + P.half_dim] =',
    replace: 'qkv[at + 1u];\n  qkv[at] = a * turn.x - b * sin;\n  qkv[at + 1u] =',
    test: ['--project', 'gpu', 'tests/golden/engine.test.ts', '-t', 'case A_gqa_padded$'],
  },
  {
    name: 'dropped-row-weight',
    file: 'shaders/10_cross_entropy_backward.wgsl',
    find: 'P.scale * weights[n]',
    replace: 'P.scale',
    test: ['--project', 'gpu', 'tests/gradcheck/engine.test.ts', '-t', 'gradients of weighted rows'],
  },
  {
    name: 'simpo-without-length',
    file: 'src/recipes/preference.ts',
    find: 'rejected: (-slope * beta) / l.labels',
    replace: 'rejected: -slope * beta',
    test: ['--project', 'gpu', 'tests/gradcheck/defences.test.ts', '-t', 'simpo, full'],
  },
  {
    name: 'recovery-that-learns-harm',
    file: 'src/data/chat.ts',
    find: '...behind.map(() => IGNORE)',
    replace: '...behind',
    test: ['--project', 'unit', 'tests/unit/defence-data.test.ts', '-t', 'refuse behind some'],
  },
  {
    name: 'defence-that-reads-the-attack',
    file: 'src/data/defence-sets.ts',
    find: "const requests = drawRequests(rng, task.requests('defence'), o.pairs);\n  return {",
    replace: "const requests = drawRequests(rng, task.requests('attack'), o.pairs);\n  return {",
    test: ['--project', 'unit', 'tests/unit/defence-data.test.ts', '-t', 'simpo reads no text'],
  },
  {
    name: 'dropped-epsilon',
    file: 'shaders/02_rmsnorm.wgsl',
    find: ' + P.eps)',
    replace: ')',
    test: ['--project', 'gpu', 'tests/golden/engine.test.ts', '-t', 'case A_gqa_padded$'],
  },
  {
    name: 'leaked-buffer',
    file: 'src/train/trainer.ts',
    find: '    this.gpu.free(this.partial);\n',
    replace: '',
    test: ['--project', 'gpu', 'tests/session/session.test.ts', '-t', 'closing a run gives everything back'],
  },
  {
    name: 'buffer-per-step',
    file: 'src/train/trainer.ts',
    find: '    const step = ++this.steps;\n',
    replace: "    const step = ++this.steps;\n    this.gpu.buffer('leak', 1024);\n",
    test: ['--project', 'gpu', 'tests/session/session.test.ts', '-t', '50 steps make no GPU buffer'],
  },
  {
    name: 'leaked-heap',
    file: 'src/train/trainer.ts',
    find: '    const step = ++this.steps;\n',
    replace: '    const step = ++this.steps;\n    (this.leak ??= []).push(new Float32Array(4096));\n',
    test: ['--project', 'gpu', 'tests/session/session.test.ts', '-t', 'leave the JavaScript heap as it was'],
  },
  {
    name: 'skipped-restore',
    file: 'src/train/session.ts',
    find: '    this.trainer.restore({ step: state.step, m: state.m, v: state.v });\n',
    replace: '',
    test: ['--project', 'gpu', 'tests/session/session.test.ts', '-t', '10 steps, a checkpoint, and 10 more'],
  },
  {
    name: 'stop-that-does-not-stick',
    file: 'shaders/22_adamw.wgsl',
    find: '  if (state.stopped != 0u) { return; }\n',
    replace: '',
    test: [
      '--project',
      'gpu',
      'tests/session/session.test.ts',
      '-t',
      'leaves weights and moments as they were',
    ],
  },
  {
    name: 'columns-that-forget',
    file: 'shaders/08_cross_entropy.wgsl',
    find: 'before.total * exp(before.top - top) + ',
    replace: '',
    test: ['--project', 'gpu', 'tests/gradcheck/memory.test.ts', '-t', 'logits in pieces'],
  },
  {
    name: 'layer-not-again',
    file: 'src/model/backward.ts',
    find: "acts.keep === 'inputs' && ",
    replace: "acts.keep === 'nothing' && ",
    test: ['--project', 'gpu', 'tests/gradcheck/memory.test.ts', '-t', 'a layer computed again'],
  },
  {
    name: 'swapped-adapter-parts',
    file: 'src/model/lora-ops.ts',
    find: 'b: lowOf(j) }',
    replace: 'b: lowOf(0) }',
    test: ['--project', 'gpu', 'tests/gradcheck/engine.test.ts', '-t', 'gradients of an adapter'],
  },
  {
    name: 'believed-download',
    file: 'src/hub/download.ts',
    find: 'if (found === file.hash.hex) {',
    replace: 'if (found) {',
    test: ['--project', 'unit', 'tests/unit/hub-download.test.ts', '-t', 'refused by name the second time'],
  },
  {
    name: 'forgotten-rng',
    file: 'src/train/session.ts',
    find: '    this.#rng = Rng.from(state.rng);\n',
    replace: '',
    test: ['--project', 'gpu', 'tests/session/session.test.ts', '-t', 'go on with what a recipe draws'],
  },
  {
    name: 'freed-in-use',
    file: 'src/worker/bases.ts',
    find: 'if (held.users === 0 && id !== but) this.#free(id, held);',
    replace: 'if (id !== but) this.#free(id, held);',
    test: ['--project', 'unit', 'tests/unit/bases.test.ts'],
  },
  {
    name: 'rows-beyond-positions',
    file: 'src/worker/tasks.ts',
    find: 'Math.min(context, positions ?? ROW_TOKENS)',
    replace: 'context',
    test: [
      '--project',
      'gpu',
      'tests/session/opened.test.ts',
      '-t',
      'no longer than the model has positions',
    ],
  },
  {
    name: 'reference-is-the-model-itself',
    file: 'src/cli/experiment/lab.ts',
    find: '        const before = await params.read();\n        params.write(weights);\n',
    replace: '        const before = await params.read();\n',
    test: ['--project', 'gpu', 'tests/session/experiment.test.ts', '-t', 'the other measures'],
  },
  {
    name: 'twenty-steps-alone',
    file: 'src/app/series.ts',
    find: '    for (const steps of AMOUNTS) {\n',
    replace: '    for (const steps of [node.steps]) {\n',
    test: ['--project', 'unit', 'tests/unit/measure-report.test.ts'],
  },
  {
    name: 'markup-from-text',
    file: 'src/report/markup.ts',
    find: '    .replace(/[&<>"\']/g, (c) => ENTITIES[c]!);',
    replace: ';',
    test: ['--project', 'unit', 'tests/unit/report-file.test.ts', '-t', 'text from anywhere'],
  },
  {
    name: 'held-budget-that-counts-as-broken',
    file: 'src/app/budget.ts',
    find: "  if (most === null) return w('unbroken', { last: over });",
    replace: '  if (most === null) return String(over);',
    test: ['--project', 'unit', 'tests/unit/measure-report.test.ts'],
  },
  {
    name: 'unswapped-model',
    file: 'src/worker/models.ts',
    find: 'const tensors = unflatten(config, await this.#ctx.store.weights(bottom.id));',
    replace: "const tensors = unflatten(config, await this.#ctx.store.weights('tiny-chat'));",
    test: ['--project', 'e2e', 'tests/e2e/main-job.test.ts'],
  },
  {
    name: 'map-that-begins-again',
    file: 'src/insights/attack-map.ts',
    find: 'const at = lengths.filter((n) => bench.stored(lr, n) === null);\n    if (at.length',
    replace: 'const at = lengths;\n    if (at.length',
    test: ['--project', 'gpu', 'tests/session/insights.test.ts', '-t', 'goes on behind the last cell'],
  },
  {
    name: 'direction-of-any-length',
    file: 'src/insights/param-ops.ts',
    find: 'const scale = Math.sqrt(own) / (',
    replace: 'const scale = 1 / (',
    test: ['--project', 'gpu', 'tests/gradcheck/insights.test.ts', '-t', 'filter-normalised directions'],
  },
  {
    name: 'undealt-batches',
    file: 'src/insights/conflict.ts',
    find: 'rng.sample(all, n)',
    replace: 'all.slice(0, n)',
    test: ['--project', 'unit', 'tests/unit/insights.test.ts', '-t', 'far below the null'],
  },
];
