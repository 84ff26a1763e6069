"""Lines of a file answered some at a time, asked again while they are refused for now."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from kedge.core.errors import Unavailable
from kedge.serve.lines import TRIES, Line, Outcome, answer_lines


class Server:
    """Refuses the first `refusals` times each line is asked, and counts."""

    def __init__(self, refusals: int = 0, status: int = 429) -> None:
        self.asked: Counter[str] = Counter()
        self.most = 0
        self._now = 0
        self._refusals = refusals
        self._status = status

    async def ask(self, path: str, body: bytes) -> Outcome:
        self.asked[path] += 1
        self._now += 1
        self.most = max(self.most, self._now)
        await asyncio.sleep(0)
        self._now -= 1
        refused = self.asked[path] <= self._refusals
        return Outcome(status=self._status if refused else 200, body=b"{}", id="x", headers={"retry-after": "0"})


def answered(server: Server, lines: int = 10, at_once: int = 3) -> dict[str, int]:
    """The status of each line."""
    got: dict[str, int] = {}
    asked = [Line(id=str(i), path=f"/{i}", body=b"{}") for i in range(lines)]

    def done(line: Line, outcome: Outcome) -> None:
        got[line.id] = outcome.status

    asyncio.run(answer_lines(asked, server, at_once=at_once, done=done, first_pause=0.0))
    return got


def test_every_line_is_answered_once_and_no_more_than_so_many_at_a_time() -> None:
    server = Server()
    assert answered(server) == {str(i): 200 for i in range(10)}
    assert set(server.asked.values()) == {1}
    assert server.most <= 3


@pytest.mark.parametrize("status", [429, 503])
def test_what_is_refused_for_now_is_asked_again(status: int) -> None:
    assert set(answered(Server(refusals=3, status=status)).values()) == {200}


def test_what_is_refused_for_good_is_kept_as_it_is() -> None:
    server = Server(refusals=99, status=400)
    assert set(answered(server).values()) == {400}
    assert set(server.asked.values()) == {1}
    late = Server(refusals=99)
    assert set(answered(late, lines=2).values()) == {429}
    assert set(late.asked.values()) == {TRIES}


def test_an_endpoint_that_is_gone_stops_everything() -> None:
    class Gone(Server):
        async def ask(self, path: str, body: bytes) -> Outcome:
            raise Unavailable("gone")

    with pytest.raises(Unavailable, match="gone"):
        answered(Gone())


@pytest.mark.parametrize(("said", "seconds"), [("7", 7.0), ("", 0.0), ("soon", 0.0), ("9" * 9, 0.0)])
def test_the_other_sides_word_on_when_to_come_again_counts(said: str, seconds: float) -> None:
    assert Outcome(status=429, body=b"", id="", headers={"retry-after": said}).pause == seconds
