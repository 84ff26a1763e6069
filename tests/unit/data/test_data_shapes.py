"""Chats, instructions and preferences become rows, whatever they are called."""

from __future__ import annotations

from typing import Any

import pytest

from kedge.data.shapes.recognise import recognise
from kedge.data.sources.jsonl import take_fields
from kedge.data.strict import BadLine

CHAT = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]


def taken(values: dict[str, Any]) -> tuple[str, str, Any]:
    row = take_fields(values, "f:1", "", "", None)
    return row.input, row.target, row.tags


def test_a_chat_of_one_turn_is_its_question_and_its_answer() -> None:
    assert taken({"messages": CHAT, "topic": "x"}) == ("hi", "hello", {"topic": "x", "messages": CHAT})


def test_sharegpt_is_the_same_chat() -> None:
    turns = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]
    assert taken({"conversations": turns}) == taken({"messages": CHAT})


def test_earlier_turns_stand_under_their_roles() -> None:
    turns = [{"role": "system", "content": "be brief"}, *CHAT, {"role": "user", "content": "and now?"}]
    given, wanted, tags = taken({"messages": [*turns, {"role": "assistant", "content": "bye"}]})
    assert given == "system: be brief\n\nuser: hi\n\nassistant: hello\n\nuser: and now?"
    assert (wanted, len(tags["messages"])) == ("bye", 5)
    assert taken({"messages": turns})[1] == ""


def test_parts_of_a_turn_and_calls_of_tools_are_kept() -> None:
    parts = [{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": "x"}}]
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    given, wanted, tags = taken({"messages": [{"role": "user", "content": parts}, call]})
    assert (given, wanted, tags["messages"][1]) == ("what is this?", "", call)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"instruction": "add", "input": "1 2", "output": "3"}, ("add\n\n1 2", "3", {})),
        ({"instruction": "add", "input": "", "output": "3"}, ("add", "3", {})),
        ({"instruction": "add", "output": "3", "id": 7}, ("add", "3", {"id": 7})),
        ({"prompt": "p", "completion": "c"}, ("p", "c", {})),
        ({"prompt": CHAT[:1], "completion": CHAT[1:]}, ("hi", "hello", {"messages": CHAT})),
        ({"question": "q", "answer": "a"}, ("q", "a", {})),
        ({"text": "t"}, ("t", "", {})),
    ],
)
def test_instructions_and_completions_are_recognised(values: dict[str, Any], expected: Any) -> None:
    assert taken(values) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"prompt": "p", "chosen": "c", "rejected": "r"}, ("p", "c", {"rejected": "r"})),
        (
            {"chosen": "\n\nHuman: q\n\nAssistant: good", "rejected": "\n\nHuman: q\n\nAssistant: bad"},
            ("\n\nHuman: q\n\nAssistant:", " good", {"rejected": " bad"}),
        ),
        (
            {"chosen": CHAT, "rejected": [CHAT[0], {"role": "assistant", "content": "go away"}]},
            ("hi", "hello", {"messages": CHAT, "rejected": "go away"}),
        ),
        (
            {"prompt": CHAT[:1], "chosen": CHAT[1:], "rejected": [{"role": "assistant", "content": "no"}]},
            ("hi", "hello", {"messages": CHAT, "rejected": "no"}),
        ),
        (
            {"prompt": "hi", "chosen": CHAT[1:], "rejected": [{"role": "assistant", "content": "no"}]},
            ("hi", "hello", {"messages": CHAT, "rejected": "no"}),
        ),
    ],
)
def test_preferences_keep_what_was_rejected(values: dict[str, Any], expected: Any) -> None:
    assert taken(values) == expected


@pytest.mark.parametrize(
    "values",
    [
        {"messages": []},
        {"messages": [1]},
        {"messages": [{"role": "wizard", "content": "x"}]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": 3}]},
        {"chosen": "a", "rejected": 3},
        {"instruction": "a", "input": 3, "output": "x"},
    ],
)
def test_a_shape_that_is_broken_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(BadLine, match="shape"):
        recognise(values)


def test_fields_that_are_named_go_before_shapes() -> None:
    row = take_fields({"instruction": "a", "output": "b", "text": "c"}, "f:1", "text", "", None)
    assert (row.input, row.tags) == ("c", {"instruction": "a", "output": "b"})
