"""Where the answers to one request come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kedge.core.generation import GenerationRequest
from kedge.serve.answers import Answers
from kedge.serve.gateway.exchange import Exchange
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.routing import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Answers on their way and the lane that they come from, which stays open until `close`."""

    lane: Lane
    answers: Answers

    def close(self) -> None:
        """Cancel what is unfinished, and let go of the lane."""
        self.answers.close()
        self.lane.running.leave()


async def ask(gateway: Gateway, exchange: Exchange, lane: Lane, requests: Sequence[GenerationRequest]) -> Source:
    """Ask the lane's engine. Raises why it does not answer."""
    lane.running.enter()
    try:
        answers = await lane.running.engine.ask(requests)
    except BaseException:
        lane.running.leave()
        raise
    exchange.aim(answers)
    return Source(lane=lane, answers=answers)
