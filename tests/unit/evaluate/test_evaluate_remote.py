"""Servers are asked several requests at once, again where it makes sense, and never twice."""

from __future__ import annotations

import math
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kedge.core.bundle import Sampling
from kedge.core.dataset import Row
from kedge.core.errors import Invalid, NotFound, Unauthenticated, Unavailable
from kedge.evaluate.answer import Kept, answer
from kedge.evaluate.remote import Remote, Server
from kedge.evaluate.types import Answer, Question
from kedge.testing.progress import RecordingProgress
from kedge.testing.scripted import Scripted


def make_questions(count: int) -> list[Question]:
    return [
        Question(row=Row(id=f"{i}", input=f"in {i}", target="t", source="s"), input=f"in {i}") for i in range(count)
    ]


def ask(server: Scripted, count: int = 1, *, confidence: bool = False, **how: Any) -> list[Answer]:
    sampling = Sampling(max_tokens=7, stop=("\n",), seed=3)
    options = Server(url=server.url, model="m", pause=0.001, **how)
    with Remote(options, sampling, confidence=confidence) as remote:
        return remote.ask(make_questions(count))


def test_answers_come_in_the_order_of_the_questions_however_the_server_takes_its_time(server: Scripted) -> None:
    both = threading.Barrier(4)

    def say(body: dict[str, Any]) -> str:
        both.wait(30)
        return str(body["messages"][-1]["content"])

    server.say = say
    answers = ask(server, 8, concurrency=4, secret="k")

    assert [each.text for each in answers] == [f"in {i}" for i in range(8)]
    assert server.most == 4
    assert set(server.keys) == {"Bearer k"}
    assert server.asked[0].keys() == {"model", "temperature", "max_tokens", "stop", "seed", "messages"}
    assert all(each.tokens == 2 and each.prompt_tokens == 3 and each.seconds > 0 for each in answers)


def test_a_server_that_is_busy_or_hangs_up_is_asked_again(server: Scripted) -> None:
    seen: Counter[str] = Counter()

    def say(body: dict[str, Any]) -> Any:
        text = body["messages"][-1]["content"]
        seen[text] += 1
        faults = [(429, b"{}", {"retry-after": "0"}), (503, b"down", {}), (0, b"", {})]
        return faults[seen[text] - 1] if seen[text] <= 3 else text

    server.say = say

    assert [each.text for each in ask(server, 3)] == ["in 0", "in 1", "in 2"]
    assert set(seen.values()) == {4}


def test_a_server_that_never_answers_is_unavailable_and_says_what_to_do(server: Scripted) -> None:
    server.say = lambda body: (500, b"{}", {})

    with pytest.raises(Unavailable) as caught:
        ask(server, tries=2)

    assert len(server.asked) == 2
    assert "go on" in caught.value.hint


@pytest.mark.parametrize(("status", "error"), [(401, Unauthenticated), (404, NotFound)])
def test_a_wrong_key_or_model_is_no_reason_to_try_again(server: Scripted, status: int, error: type[Exception]) -> None:
    server.say = lambda body: (status, {"error": {"message": "no such thing"}}, {})

    with pytest.raises(error, match="no such thing"):
        ask(server)

    assert len(server.asked) == 1


def test_a_request_that_the_server_minds_is_a_wrong_answer_and_no_failure(server: Scripted) -> None:
    server.say = lambda body: (400, {"error": {"message": "too long"}}, {}) if "in 1" in str(body) else "ok"

    answers = ask(server, 3)

    assert [each.text for each in answers] == ["ok", "", "ok"]
    assert answers[1].error == "too long"


@pytest.mark.parametrize("said", [b"<html>", b"{}", b'{"choices": []}', b"[1]"])
def test_what_is_no_answer_is_told_and_not_taken_for_one(server: Scripted, said: bytes) -> None:
    server.say = lambda body: (200, said, {})

    with pytest.raises(Unavailable, match="cannot be read"):
        ask(server)


def test_completions_are_asked_with_a_prompt_and_probabilities_make_confidence(server: Scripted) -> None:
    told = {"text": "a b", "finish_reason": "length", "logprobs": {"token_logprobs": [-0.1, -0.2]}}
    server.say = lambda body: (200, {"choices": [told]}, {})

    (found,) = ask(server, api="completions", confidence=True, extra={"top_k": 5})

    assert found.confidence == pytest.approx(math.exp(-0.3))
    assert found.finish == "length"
    assert (server.asked[0]["prompt"], server.asked[0]["logprobs"], server.asked[0]["top_k"]) == ("in 0", 0, 5)


def test_calls_of_tools_are_an_answer(server: Scripted) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    server.say = lambda body: (200, {"choices": [{"message": {"content": None, "tool_calls": [call]}}]}, {})

    assert ask(server)[0].text == '{"tool_calls":[{"name":"f","arguments":"{}"}]}'


def test_what_was_answered_before_a_failure_is_not_asked_again(server: Scripted, tmp_path: Path) -> None:
    questions, file = make_questions(10), tmp_path / "kept.jsonl"
    server.say = lambda body: (401, b"{}", {}) if "in 6" in str(body) else "ok"
    options = Server(url=server.url, model="m", concurrency=1)

    def attempt() -> list[Answer]:
        with Remote(options, Sampling()) as remote:
            return answer(
                questions, remote.ask, kept=Kept(file), progress=RecordingProgress(), at_once=2, together=False
            )

    with pytest.raises(Unauthenticated):
        attempt()
    server.say, before = (lambda body: "ok"), len(server.asked)
    answers = attempt()

    assert len(answers) == 10
    assert before in (7, 8)  # the next one may be on its way when the first fails
    assert len(server.asked) - before == 4


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(Invalid):
        Server(url="127.0.0.1:8000", model="m")
