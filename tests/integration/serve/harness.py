"""Scores one local task by lm_eval's `hf` and by its `local-completions` client, each as it comes; prints both as JSON.

Run by the test as a process of its own: python harness.py FOLDER URL, with the key in OPENAI_API_KEY.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import datasets
import lm_eval
import torch
import transformers
from lm_eval.tasks import TaskManager

CASES = [
    {"given": "one two three", "others": [" four five", " seven", " ten"]},
    {"given": "the kedge is the small", "others": [" anchor a ship", " ship", " three"]},
    {"given": "größe straße", "others": [" café naïve", " 日本語 🙂", " ende"]},
    {"given": "def add(a, b):", "others": [" return a + b", " return", " one two"]},
]
CHOOSE = {
    "task": "choose",
    "custom_dataset": lambda **_: {"test": datasets.Dataset.from_list(CASES)},
    "test_split": "test",
    "output_type": "multiple_choice",
    "doc_to_text": "{{given}}",
    "doc_to_choice": "{{others}}",
    "doc_to_target": 0,
    "target_delimiter": "",
    "metric_list": [{"metric": "acc"}],
}


def score(backend: str, /, **arguments: Any) -> Any:
    """Each case's log-likelihoods and whether they are greedy, and the metric."""
    got = lm_eval.simple_evaluate(
        model=backend,
        model_args=arguments,
        tasks=[CHOOSE],
        task_manager=TaskManager(include_defaults=False),  # the harness's own are thousands of files
        log_samples=True,
        bootstrap_iters=0,
    )
    samples = sorted(got["samples"]["choose"], key=lambda sample: sample["doc_id"])
    return {"resps": [sample["filtered_resps"] for sample in samples], "acc": got["results"]["choose"]["acc,none"]}


def main() -> None:
    """Both, beside the number of tokens of each continuation."""
    folder, url = sys.argv[1:]
    torch.set_num_threads(1)
    reference = score("hf", pretrained=folder, dtype="float32", device="cpu", batch_size=1)
    served = score(
        "local-completions",
        model="words",
        base_url=f"{url}/v1/completions",
        tokenizer_backend="huggingface",
        tokenizer=folder,
        max_length=128,
        num_concurrent=1,
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokens = [[len(tokenizer(other)["input_ids"]) for other in case["others"]] for case in CASES]
    print(json.dumps({"hf": reference, "served": served, "tokens": tokens}))


if __name__ == "__main__":
    main()
