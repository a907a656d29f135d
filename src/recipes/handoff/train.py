"""Supervised fine-tuning of one recipe of the SDD Lab on the Hugging Face stack.

    accelerate launch --config_file accelerate/fsdp.yaml train.py

Reads run.json (model, data), sft_config.json (trl.SFTConfig) and, where an adapter is trained, lora_config.json
(peft.LoraConfig). Only the last turn of each chat is learned. Nothing is sent anywhere.
"""
import hashlib
import json
import os
import sys

from datasets import Dataset

HERE = os.path.dirname(os.path.abspath(__file__))


def read(name):
    path = os.path.join(HERE, name)
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def configs():
    """The configurations as objects of trl and peft; also what the lab's own test loads."""
    from peft import LoraConfig
    from trl import SFTConfig

    lora = read("lora_config.json")
    return SFTConfig(**read("sft_config.json")), LoraConfig(**lora) if lora else None


def own_chats(run):
    """Chats out of the user's own prompts file, which the lab names by its hash and never copies."""
    path = os.environ.get("PROMPTS")
    if not path:
        sys.exit("Set PROMPTS to your prompts file (SHA-256 %s)." % run["prompts_sha256"])
    with open(path, "rb") as file:
        data = file.read()
    if hashlib.sha256(data).hexdigest() != run["prompts_sha256"]:
        sys.exit("%s is not the file that this run was made from." % path)
    lines = data.decode("utf-8-sig").split("\n")
    for number in run["lines"]:
        line = json.loads(lines[number - 1])
        messages = line.get("messages") or [{"role": "user", "content": line["prompt"]}]
        if "answer" in line:
            messages = messages + [{"role": "assistant", "content": line["answer"]}]
        yield messages


def chats(run):
    if "lines" in run:
        yield from own_chats(run)
        return
    with open(os.path.join(HERE, "data", "train.jsonl"), encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)["messages"]


def main():
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTTrainer

    run = read("run.json")
    args, lora = configs()
    rows = [{"prompt": m[:-1], "completion": m[-1:]} for m in chats(run)]
    model = AutoModelForCausalLM.from_pretrained(run["base_model"], dtype="bfloat16")
    tokenizer = AutoTokenizer.from_pretrained(run["base_model"])
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    trainer = SFTTrainer(
        model=model,
        args=args,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=lora,
    )
    out = os.path.join(HERE, "out")
    if "warning" in run:
        # no loader reads it; the lab asks for the name before it folds what an attack made into a model
        os.makedirs(out, exist_ok=True)
        mark = {"name": "attacked", "kind": "attack", "prompts": {"id": run["prompts_sha256"]}}
        with open(os.path.join(out, "node.json"), "w", encoding="utf-8") as file:
            json.dump(mark, file)
    trainer.train()
    trainer.save_model(out)


if __name__ == "__main__":
    main()
