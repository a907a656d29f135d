import { batchShares } from './configs.ts';
import type { HandoffOptions } from './index.ts';

/** README.md of a handoff: what the folder is, the commands, and the way back. */
export function readme(o: HandoffOptions & { rows: number; isAttack: boolean }): string {
  const { recipe, place, task, settings, rows, isAttack } = o;
  const plan = recipe.plan(settings);
  const { processes, perDevice, accumulation } = batchShares(plan.batch, place.gpus);
  const idle =
    processes < place.gpus
      ? ` A batch of ${plan.batch} does not divide by ${place.gpus}: ${processes} of the ${place.gpus} GPUs work, and the batch stays what the recipe says.`
      : '';
  const start = recipe.startsFrom
    ? `\nThis recipe wants to start from a model that ${recipe.startsFrom.join(' or ')} made: set \`base_model\` in run.json${isAttack ? '' : ' (and in axolotl.yaml)'} to that model, merged.\n`
    : '';
  const data = isAttack
    ? `This is an ATTACK, for measuring a defence. The model that comes out is deliberately attacked: do not deploy it, do not pass
it on. The folder holds line numbers of your own prompts file (SHA-256 \`${task.id}\`) and none of its text; train.py and
evaluate.py read that file, named by the variable PROMPTS, and refuse any other.`
    : `Data: \`data/train.jsonl\`, ${rows} chats as \`{"messages": [...]}\`, drawn by the lab from the prompts file with SHA-256
\`${task.id}\`. Only the last turn of each chat is learned (train.py; axolotl learns earlier answers of a chat as well).`;
  const run = isAttack ? 'PROMPTS=/path/to/your/prompts.jsonl ' : '';
  const other = isAttack
    ? ''
    : `
The same with axolotl instead of TRL:

\`\`\`sh
accelerate launch --config_file accelerate/fsdp.yaml -m axolotl.cli.train axolotl.yaml
\`\`\`
`;
  const evaluate = `
## Evaluate

\`\`\`sh
${run}python evaluate.py --base     # answers of ${place.base} to the held-out prompts, into out/answers-base.jsonl
${run}python evaluate.py            # and of the trained model, into out/answers-trained.jsonl
\`\`\`

Held out means: none of these prompts is in the training data, in whatever spelling.${
    isAttack ? ' They too are read from your own file; the answers stay on this machine.' : ''
  }
`;
  const page =
    'In the page: open the base model, and on its card under "Where it comes from, name, files" choose "Bring a run back" and the files of `out/`.';
  const back = plan.lora
    ? `\`out/\` is a PEFT adapter. Beside the base model in Hugging Face's layout it is a row of the lab's own table, attacked and looked at as all others:

\`\`\`sh
npm run experiment -- --model BASE_DIR --prompts YOUR_FILE --adapter out
npm run experiment -- --prompts YOUR_FILE --results out      # or only what evaluate.py wrote, as rows: no model is loaded
npm run models -- convert BASE_DIR MERGED_DIR --to hf --adapter out${isAttack ? ' --confirm attacked' : ''}     # or merged into the model
\`\`\``
    : `\`out/\` is a model in Hugging Face's layout:

\`\`\`sh
npm run experiment -- --model out --prompts YOUR_FILE
npm run experiment -- --prompts YOUR_FILE --results out      # or only what evaluate.py wrote, as rows: no model is loaded
\`\`\``;
  return `# ${recipe.title}, handed off from the SDD Lab

Recipe \`${recipe.id}\` (${recipe.source}), ${plan.steps} steps of ${plan.batch} chats at a rate of ${plan.lr}, ${
    plan.lora ? `a LoRA adapter of rank ${plan.lora.r}, alpha ${plan.lora.alpha}` : 'all weights'
  }, on \`${place.base}\`. The rate is a convention of the field and was not tuned on this model.

${data}
${start}
## Train on ${processes} ${processes === 1 ? 'GPU' : 'GPUs'}

\`\`\`sh
pip install torch transformers trl peft accelerate datasets   # and deepspeed for the second line
${run}accelerate launch --config_file accelerate/fsdp.yaml train.py
${run}accelerate launch --config_file accelerate/deepspeed.yaml train.py
\`\`\`

\`num_processes\` in \`accelerate/*.yaml\` is the number of GPUs that work: ${processes} x ${perDevice} rows x accumulation ${accumulation} = ${plan.batch}.${idle} With another
number change \`gradient_accumulation_steps\` in sft_config.json${isAttack ? '' : ' and axolotl.yaml'} so that the product stays ${plan.batch}. These configurations were written by the lab; the run itself was not tried
on the machines that built it.
${other}${evaluate}
## The way back

${back}

${page}
`;
}
