"""Supervised fine-tuning of one recipe of the SDD Lab on the Hugging Face stack.

    accelerate launch --config_file accelerate/fsdp.yaml train.py

Reads run.json (model, data), sft_config.json (trl.SFTConfig) and, where an adapter is trained, lora_config.json
(peft.LoraConfig). Only the last turn of each chat is learned. Nothing is sent anywhere. All that goes back into the lab
lies in out/ afterwards.
"""
import json
import os
import shutil

from chats import HERE, OUT, messages_of, own_lines, read, rows


def configs():
    """The configurations as objects of trl and peft; also what the lab's own test loads."""
    from peft import LoraConfig
    from trl import SFTConfig

    lora = read("lora_config.json")
    return SFTConfig(**read("sft_config.json")), LoraConfig(**lora) if lora else None


def chats(run):
    if "lines" in run:
        return [messages_of(line) for line in own_lines(run, run["lines"])]
    return [row["messages"] for row in rows("data", "train.jsonl")]


def main():
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTTrainer

    run = read("run.json")
    args, lora = configs()
    data = [{"prompt": m[:-1], "completion": m[-1:]} for m in chats(run)]
    model = AutoModelForCausalLM.from_pretrained(run["base_model"], dtype="bfloat16")
    tokenizer = AutoTokenizer.from_pretrained(run["base_model"])
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    trainer = SFTTrainer(
        model=model,
        args=args,
        train_dataset=Dataset.from_list(data),
        processing_class=tokenizer,
        peft_config=lora,
    )
    os.makedirs(OUT, exist_ok=True)
    if "warning" in run:
        # no loader reads it; the lab asks for the name before it folds what an attack made into a model
        mark = {"name": "attacked", "kind": "attack", "prompts": {"id": run["prompts_sha256"]}}
        with open(os.path.join(OUT, "node.json"), "w", encoding="utf-8") as file:
            json.dump(mark, file)
    trainer.train()
    trainer.save_model(OUT)
    shutil.copy(os.path.join(HERE, "run.json"), OUT)


if __name__ == "__main__":
    main()
