/** A recipe's hyper-parameters in the words of trainers on the Hugging Face stack. */
import type { Schedule } from '../../core/schedule.ts';
import { LORA_TARGETS } from '../../model/lora.ts';
import type { RunPlan } from '../recipe.ts';

/** Where the run is to happen: the lab's batch is kept, spread over GPUs. */
export interface HandoffPlace {
  /** Model on the Hugging Face Hub, or a folder. */
  base: string;
  gpus: number;
  /** Longest row in tokens. */
  maxLength: number;
}

/** Rows of one GPU at once, at most. */
const MOST_ROWS = 2;

/**
 * The batch of the lab as processes x rows x accumulation, exactly: each process is one GPU, and where the batch does not divide
 * by their number as many of them work as do divide it.
 */
export function batchShares(
  batch: number,
  gpus: number,
): { processes: number; perDevice: number; accumulation: number } {
  const divisor = (of: number, most: number): number => {
    let n = Math.min(of, most);
    while (of % n !== 0) n--;
    return n;
  };
  const processes = divisor(batch, gpus);
  const perDevice = divisor(batch / processes, MOST_ROWS);
  return { processes, perDevice, accumulation: batch / processes / perDevice };
}

/** The lab's schedule by the name that transformers has for it: the same rate at every step. */
function scheduler(schedule: Schedule): Record<string, unknown> {
  if (schedule.decay === 'none')
    return { lr_scheduler_type: 'constant_with_warmup', warmup_steps: schedule.warmup };
  return {
    lr_scheduler_type: 'cosine_with_min_lr',
    lr_scheduler_kwargs: { min_lr_rate: schedule.floor },
    warmup_steps: schedule.warmup,
  };
}

/** Keyword arguments of trl.SFTConfig. */
export function sftConfig(plan: RunPlan, place: HandoffPlace, seed: number): Record<string, unknown> {
  const { perDevice, accumulation } = batchShares(plan.batch, place.gpus);
  const { optim } = plan;
  return {
    output_dir: 'out',
    max_steps: plan.steps,
    learning_rate: plan.lr,
    ...scheduler(plan.schedule),
    per_device_train_batch_size: perDevice,
    gradient_accumulation_steps: accumulation,
    optim: 'adamw_torch',
    adam_beta1: optim.betas[0],
    adam_beta2: optim.betas[1],
    adam_epsilon: optim.eps,
    weight_decay: optim.weight_decay,
    // 0 turns clipping off in both
    max_grad_norm: optim.clip,
    max_length: place.maxLength,
    packing: false,
    completion_only_loss: true,
    bf16: true,
    gradient_checkpointing: true,
    gradient_checkpointing_kwargs: { use_reentrant: false },
    logging_steps: 1,
    save_strategy: 'no',
    report_to: 'none',
    seed,
    data_seed: seed,
  };
}

/** Keyword arguments of peft.LoraConfig; null where all weights are trained. */
export function loraConfig(plan: RunPlan): Record<string, unknown> | null {
  if (!plan.lora) return null;
  return {
    r: plan.lora.r,
    lora_alpha: plan.lora.alpha,
    lora_dropout: 0,
    bias: 'none',
    target_modules: LORA_TARGETS.filter((t) => plan.lora!.targets.includes(t)),
    task_type: 'CAUSAL_LM',
  };
}

export function axolotlConfig(plan: RunPlan, place: HandoffPlace, seed: number): Record<string, unknown> {
  const { perDevice, accumulation } = batchShares(plan.batch, place.gpus);
  const { optim, lora } = plan;
  const { lr_scheduler_type, warmup_steps, lr_scheduler_kwargs } = sftConfig(plan, place, seed);
  return {
    base_model: place.base,
    datasets: [
      {
        path: 'data/train.jsonl',
        ds_type: 'json',
        type: 'chat_template',
        field_messages: 'messages',
        roles_to_train: ['assistant'],
        train_on_eos: 'turn',
      },
    ],
    chat_template: 'tokenizer_default',
    sequence_len: place.maxLength,
    sample_packing: false,
    ...(lora && {
      adapter: 'lora',
      lora_r: lora.r,
      lora_alpha: lora.alpha,
      lora_dropout: 0,
      lora_target_modules: [...lora.targets],
    }),
    max_steps: plan.steps,
    micro_batch_size: perDevice,
    gradient_accumulation_steps: accumulation,
    learning_rate: plan.lr,
    lr_scheduler: lr_scheduler_type,
    ...(lr_scheduler_kwargs !== undefined && { lr_scheduler_kwargs }),
    warmup_steps,
    optimizer: 'adamw_torch',
    adam_beta1: optim.betas[0],
    adam_beta2: optim.betas[1],
    adam_epsilon: optim.eps,
    weight_decay: optim.weight_decay,
    max_grad_norm: optim.clip,
    bf16: true,
    gradient_checkpointing: true,
    logging_steps: 1,
    output_dir: 'out',
    seed,
  };
}

export const FSDP = {
  compute_environment: 'LOCAL_MACHINE',
  distributed_type: 'FSDP',
  mixed_precision: 'bf16',
  fsdp_config: {
    fsdp_version: 2,
    fsdp_auto_wrap_policy: 'TRANSFORMER_BASED_WRAP',
    fsdp_transformer_layer_cls_to_wrap: 'LlamaDecoderLayer',
    fsdp_reshard_after_forward: true,
    fsdp_state_dict_type: 'FULL_STATE_DICT',
    fsdp_cpu_ram_efficient_loading: true,
    fsdp_offload_params: false,
  },
} as const;

export const DEEPSPEED = {
  compute_environment: 'LOCAL_MACHINE',
  distributed_type: 'DEEPSPEED',
  mixed_precision: 'bf16',
  deepspeed_config: {
    zero_stage: 3,
    zero3_init_flag: true,
    zero3_save_16bit_model: true,
    offload_optimizer_device: 'none',
    offload_param_device: 'none',
  },
} as const;

/** YAML of plain data: blocks for objects, and JSON, which YAML contains, for all else. */
export function yaml(value: Record<string, unknown>, indent = ''): string {
  return Object.entries(value)
    .map(([key, x]) =>
      typeof x === 'object' && x !== null && !Array.isArray(x)
        ? `${indent}${key}:\n${yaml(x as Record<string, unknown>, `${indent}  `)}`
        : `${indent}${key}: ${JSON.stringify(x)}\n`,
    )
    .join('');
}
