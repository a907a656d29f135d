import { existsSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { LlamaConfig } from '../core/config.ts';
import { LabError } from '../core/errors.ts';
import { WEBLLM_SHAPES, webllmModel } from '../core/known-models.ts';
import { ChatTemplate, findTemplate } from '../data/chat-template.ts';
import { TextTokenizer } from '../data/hf-tokenizer.ts';
import { mlcCompanions } from '../data/mlc-companions.ts';
import type { Dtype } from '../files/dtypes.ts';
import { quantisationOf } from '../files/mlc/chat-config.ts';
import { checkAgainstLib, readLibMetadata } from '../files/mlc/library.ts';
import { mlcShapes } from '../files/mlc/names.ts';
import type { ModelDescription } from '../files/model-files.ts';

/**
 * The small files of a bundle, and what is to be said of it. Every Llama is written, also one that no stock library runs: whoever
 * asks for it may have compiled a library of their own, and a list of three shapes is no reason to refuse. But it is said.
 * @throws LabError where the library does not take the weights, or the model has no tokenizer that WebLLM reads
 */
export function mlcBundle(
  config: LlamaConfig,
  description: ModelDescription,
  { dtype, lib }: { dtype: Dtype; lib?: string | undefined },
): { files: { name: string; text: string }[]; notes: string[] } {
  const notes: string[] = [];
  if (lib !== undefined) {
    if (!existsSync(lib))
      throw new LabError('not-found', `${lib} is not there.`, { safe: 'Nothing was written.' });
    const name = basename(lib);
    checkAgainstLib(name, readLibMetadata(name, readFileSync(lib)), mlcShapes(config), dtype);
    notes.push(`${name} takes these weights: every name, shape and type is as it was compiled for.`);
  }
  const stock = webllmModel(config, quantisationOf(dtype));
  if (stock !== null) notes.push(`WebLLM runs it with the library of ${stock}.`);
  else if (lib === undefined)
    notes.push(
      `No stock library of WebLLM runs this shape (${WEBLLM_SHAPES} have one): it needs a library that was compiled for it with mlc_llm.`,
    );
  const tokenizer = new TextTokenizer({ ...description, modelConfig: description.config });
  const template = new ChatTemplate(findTemplate(description.tokenizerConfig, description.template));
  const { files, exact } = mlcCompanions(config, description, { dtype, tokenizer, template });
  if (!exact)
    notes.push(
      "The model's chat template cannot be written as WebLLM's fixed form: answers there may differ from those here.",
    );
  return { files, notes };
}
