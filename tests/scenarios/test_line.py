"""The whole line through the command line: from rows to a watched endpoint, and back. The tests follow one another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openai
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

pytestmark = pytest.mark.slow

FAILED, REFUSED = "fail", 3


@pytest.fixture(scope="module")
def line(kedge: Any) -> Any:
    """A project that was hauled as far as a version."""
    kedge("run")
    return kedge


def test_a_second_run_has_nothing_to_do(line: Any) -> None:
    assert {stage["state"] for stage in line("run")["stages"]} == {"skipped"}


def test_an_answer_is_walked_back_to_the_rows_behind_it(line: Any, tmp_path: Path) -> None:
    promoted = line("promote", "sums@1")
    assert promoted["after"] == 1
    with line.serving() as ready:
        client = openai.OpenAI(base_url=f"{ready['url']}/v1", api_key=ready["key"], max_retries=0)
        response = client.chat.completions.with_raw_response.create(
            model="sums", messages=[{"role": "user", "content": "3+4"}]
        )
        answer = response.parse().choices[0].message.content
        streamed = client.chat.completions.create(
            model="sums", messages=[{"role": "user", "content": "3+4"}], stream=True
        )
        assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed if chunk.choices) == answer
        asked = line.__class__(root=line.root, environment={**line.environment, "KEDGE_KEY": ready["key"]})(
            "ask", "3+4"
        )
        assert asked["answer"] == answer
        (endpoint,) = line("status")["endpoints"]
        assert endpoint["health"] == "serving"
        client.close()
    chain = line("trace", response.headers["x-kedge-receipt"])
    assert chain["answer"]["answer"] == answer
    assert chain["versions"] == ["sums@1"]
    assert chain["run"]["stage"] == "train"
    rows = [json.loads(text) for text in (line.root / "rows.jsonl").read_text().splitlines()]
    for hit in chain["rows"]:
        number = int(hit["source"].rpartition(":")[2])
        assert rows[number - 1]["input"] == hit["input"]
    exported = tmp_path / "exported"
    line("models", "export", "sums@1", str(exported))
    assert greedy(exported, "3+4=") == answer


def greedy(folder: Path, prompt: str) -> str:
    """What transformers makes of a prompt, four tokens at most."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    read = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
    made = model.generate(**read, do_sample=False, max_new_tokens=4)
    text: str = tokenizer.decode(made[0, read["input_ids"].shape[1] :], skip_special_tokens=True)
    return text


def test_a_worse_model_is_refused_then_forced_then_taken_back(line: Any) -> None:
    line("run", "--set", "stages.train.steps=1")
    refused = line("promote", "sums@2", code=REFUSED)["error"]
    assert "perplexity" in refused["message"]
    forced = line("promote", "sums@2", "--override", "a test of taking back")
    assert forced["override"]
    back = line("rollback", "sums")
    assert (back["before"], back["after"]) == (2, 1)
    history = line("models", "history", "sums@production")["history"]
    assert [move["after"] for move in history] == [1, 2, 1]
    assert line("audit", "verify")["whole"]


def test_what_production_reaches_is_kept_and_the_rest_is_reclaimed(line: Any) -> None:
    assert line("models", "delete", "sums@1", code=REFUSED)["error"]["code"] == "refused"
    line("gc", "--grace", "0")
    assert {stage["state"] for stage in line("run")["stages"]} == {"skipped"}
    assert "sums@production" in line.text("status")
