"""Frames survive any way of cutting the stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge.core.bundle import Bundle, Sampling
from kedge.core.errors import Broken, Invalid, KedgeError, Limited, Refused, Unavailable
from kedge.core.generation import EngineFacts, GenerationEvent, GenerationRequest, Likelihood
from kedge.core.spec import Spec
from kedge.serve.frames import (
    LONGEST,
    Cancel,
    Command,
    Events,
    Frames,
    Open,
    Ready,
    Report,
    Score,
    Scores,
    Submit,
    decode_command,
    decode_report,
    encode,
    trouble_of,
)

COMMANDS: tuple[Command, ...] = (
    Open(name="a", bundle=Bundle(model="sha256:0", engine=Spec(name="echo", args={"delay": 0.5})), folder="/tmp/x"),
    Submit(
        requests=[
            GenerationRequest(id="a", sampling=Sampling(stop=("é",), seed=2**60), prompt="x" * 70_000),
            GenerationRequest(id="b", sampling=Sampling(), messages=[{"role": "user", "content": "🙂"}]),
        ]
    ),
    Cancel(ids=["a"]),
    Score(id="s", pairs=[("a", "b")]),
)
REPORTS: tuple[Report, ...] = (
    Ready(name="a", facts=EngineFacts(name="echo", context=5)),
    Events(events=[GenerationEvent(id="a", text="🙂"), GenerationEvent(id="a", finish="stop", prompt_tokens=1)]),
    Scores(id="s", likelihoods=[Likelihood(logprob=-1.5, tokens=2)]),
    trouble_of(Refused("no", hint="yes"), "s"),
)


@given(st.lists(st.integers(1, 5000), max_size=40))
def test_frames_come_out_whole_however_the_stream_is_cut(cuts: list[int]) -> None:
    stream = b"".join(encode(command) for command in COMMANDS[1:])
    frames = Frames()
    found = []
    for cut in [*cuts, len(stream)]:
        found += [decode_command(body) for body in frames.feed(stream[:cut])]
        stream = stream[cut:]
    assert len(found) == 3
    assert isinstance(found[0], Submit)
    assert found[0].requests[1].messages == [{"role": "user", "content": "🙂"}]


def test_commands_and_reports_come_back_as_they_were() -> None:
    for command in (COMMANDS[0], *COMMANDS[2:]):
        (body,) = Frames().feed(encode(command))
        assert decode_command(body) == command
    for report in REPORTS:
        (body,) = Frames().feed(encode(report))
        assert decode_report(body) == report


def test_a_length_that_cannot_be_is_broken() -> None:
    with pytest.raises(Broken, match="cannot be"):
        list(Frames().feed((LONGEST + 1).to_bytes(4, "big")))


@pytest.mark.parametrize("error", [Refused("a"), Invalid("b", hint="c"), Limited("d"), Unavailable("e"), Broken("f")])
def test_an_error_comes_back_as_its_own_class(error: KedgeError) -> None:
    back = trouble_of(error, "s").error()
    assert type(back) is type(error)
    assert (back.message, back.hint) == (error.message, error.hint)
