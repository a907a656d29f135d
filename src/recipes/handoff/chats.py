"""What train.py and evaluate.py share: the run, and chats out of the user's own prompts file.

That file is named by its hash and never copied.
"""
import hashlib
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "out")


def read(name):
    path = os.path.join(HERE, name)
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def rows(*path):
    with open(os.path.join(HERE, *path), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def own_lines(run, numbers):
    """Lines of the user's prompts file, parsed, by their numbers from 1."""
    path = os.environ.get("PROMPTS")
    if not path:
        sys.exit("Set PROMPTS to your prompts file (SHA-256 %s)." % run["prompts_sha256"])
    with open(path, "rb") as file:
        data = file.read()
    if hashlib.sha256(data).hexdigest() != run["prompts_sha256"]:
        sys.exit("%s is not the file that this run was made from." % path)
    lines = data.decode("utf-8-sig").split("\n")
    return [json.loads(lines[number - 1]) for number in numbers]


def messages_of(line):
    """All turns of a line, the answer last where it has one."""
    messages = line.get("messages") or [{"role": "user", "content": line["prompt"]}]
    return messages + ([{"role": "assistant", "content": line["answer"]}] if "answer" in line else [])


def asked(messages):
    """Without the answer."""
    return messages[:-1] if messages[-1]["role"] == "assistant" else messages
