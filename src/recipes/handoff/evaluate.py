"""Greedy answers to the held-out prompts, for the way back into the SDD Lab.

    python evaluate.py            answers of the base model with the adapter in out/
    python evaluate.py --base     of the base model alone

Writes eval/answers-adapter.jsonl or eval/answers-base.jsonl. What an answer is worth is judged in the lab.
"""
import json
import os
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    with open(os.path.join(HERE, "run.json"), encoding="utf-8") as file:
        run = json.load(file)
    with open(os.path.join(HERE, "eval", "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    base = "--base" in sys.argv[1:]
    trained = os.path.join(HERE, "out")
    adapter = os.path.exists(os.path.join(trained, "adapter_config.json"))
    source = run["base_model"] if base or adapter else trained
    tokenizer = AutoTokenizer.from_pretrained(run["base_model"])
    model = AutoModelForCausalLM.from_pretrained(source, dtype="bfloat16", device_map="auto")
    if adapter and not base:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, trained)
    model.eval()
    name = "answers-base.jsonl" if base else "answers-adapter.jsonl"
    with open(os.path.join(HERE, "eval", name), "w", encoding="utf-8") as out:
        for kind in ("harmful", "benign"):
            with open(os.path.join(HERE, "eval", kind + ".jsonl"), encoding="utf-8") as file:
                for line in file:
                    row = json.loads(line)
                    ids = tokenizer.apply_chat_template(
                        row["messages"], add_generation_prompt=True, return_tensors="pt", return_dict=True
                    ).to(model.device)
                    with torch.no_grad():
                        answer = model.generate(**ids, max_new_tokens=config["max_new_tokens"], do_sample=False)
                    text = tokenizer.decode(answer[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
                    out.write(json.dumps({"kind": kind, "line": row["line"], "answer": text}) + "\n")


if __name__ == "__main__":
    main()
