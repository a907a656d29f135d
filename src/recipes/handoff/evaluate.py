"""Greedy answers to the held-out prompts, for the way back into the SDD Lab.

    python evaluate.py            answers of the base model with the adapter in out/, or of the model in out/
    python evaluate.py --base     of the base model alone

Writes out/answers-trained.jsonl or out/answers-base.jsonl. What an answer is worth is judged in the lab.
"""
import json
import os
import sys

from chats import OUT, asked, messages_of, own_lines, read, rows


def prompts(run, config):
    """Kind, line and turns of each held-out prompt; of an attack out of the user's own file."""
    for kind in ("harmful", "benign"):
        numbers = config[kind + "_lines"]
        if "warning" in run:
            held = [asked(messages_of(line)) for line in own_lines(run, numbers)]
        else:
            held = [row["messages"] for row in rows("eval", kind + ".jsonl")]
        for number, messages in zip(numbers, held, strict=True):
            yield kind, number, messages


def main():
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    run, config = read("run.json"), read("eval/config.json")
    asked_for = list(prompts(run, config))
    base = "--base" in sys.argv[1:]
    adapter = os.path.exists(os.path.join(OUT, "adapter_config.json"))
    tokenizer = AutoTokenizer.from_pretrained(run["base_model"])
    model = AutoModelForCausalLM.from_pretrained(
        run["base_model"] if base or adapter else OUT, dtype="bfloat16", device_map="auto"
    )
    if adapter and not base:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, OUT)
    model.eval()
    os.makedirs(OUT, exist_ok=True)
    target = os.path.join(OUT, "answers-base.jsonl" if base else "answers-trained.jsonl")
    # a run that is cut short leaves no half a result under this name
    with open(target + ".part", "w", encoding="utf-8") as out:
        for kind, number, messages in asked_for:
            ids = tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
            ).to(model.device)
            with torch.no_grad():
                answer = model.generate(**ids, max_new_tokens=config["max_new_tokens"], do_sample=False)
            text = tokenizer.decode(answer[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
            out.write(json.dumps({"kind": kind, "line": number, "answer": text}) + "\n")
    os.replace(target + ".part", target)


if __name__ == "__main__":
    main()
