"""Records are words on a terminal and JSON elsewhere, with the ids of what is worked on."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from kedge import log


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    logger = logging.getLogger("kedge")
    before = (logger.handlers[:], logger.level, logger.propagate)
    token = log.TRACE.set("")
    yield
    log.TRACE.reset(token)
    logger.handlers[:], logger.level, logger.propagate = before


def test_a_record_is_one_json_object_with_its_facts_and_ids() -> None:
    stream = io.StringIO()
    log.configure(stream=stream, run="r1")
    log.TRACE.set("t1")
    logging.getLogger("kedge.train").warning("the loss is not a number", extra={"step": 3})
    line = json.loads(stream.getvalue())
    assert line.pop("at") > 0
    assert line == {
        "level": "warning",
        "logger": "kedge.train",
        "message": "the loss is not a number",
        "run": "r1",
        "trace": "t1",
        "step": 3,
    }
    log.configure(run="")


def test_a_terminal_gets_words() -> None:
    stream = Terminal()
    log.configure(stream=stream, verbose=True)
    logging.getLogger("kedge.train").info("a checkpoint is written", extra={"step": 3})
    assert stream.getvalue().endswith("info    a checkpoint is written step=3\n")


def test_what_is_said_quietly_is_left_out_unless_asked() -> None:
    stream = io.StringIO()
    log.configure(stream=stream)
    logging.getLogger("kedge.train").info("a checkpoint is written")
    assert stream.getvalue() == ""


def test_an_exception_keeps_its_traceback() -> None:
    stream = io.StringIO()
    log.configure(stream=stream)
    try:
        raise KeyError("x")
    except KeyError:
        logging.getLogger("kedge").exception("it went wrong")
    assert "KeyError: 'x'" in json.loads(stream.getvalue())["traceback"]
