"""One request while it is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from kedge.core.generation import Finish, GenerationEvent, GenerationRequest
from kedge.serve.decoding.choice import Choice
from kedge.serve.decoding.pieces import Pieces


@dataclass(slots=True, kw_only=True)
class Row:
    """A request that was let in, and its answer as it grows. `room` is how many tokens the answer may have."""

    request: GenerationRequest
    prompt: list[int]
    pieces: Pieces
    choice: Choice
    room: int
    made: int = 0
    last: int = 0
    finish: Finish = ""

    def grow(self, token: int, *, ends: frozenset[int]) -> str:
        """Add a token to the answer, and set `finish` if it ends it; the text that became certain."""
        self.last = token
        self.made += 1
        if token in ends:
            self.finish = "stop"
            return self.pieces.flush()
        text = self.pieces.push(token)
        if self.made >= self.room and not self.pieces.stopped:
            text += self.pieces.flush()
            self.finish = "length"
        if self.pieces.stopped:
            self.finish = "stop"
        return text

    def event(self, text: str = "") -> GenerationEvent:
        """What to say of it now."""
        if not self.finish:
            return GenerationEvent(id=self.request.id, text=text)
        return GenerationEvent(
            id=self.request.id,
            text=text,
            finish=self.finish,
            prompt_tokens=len(self.prompt),
            completion_tokens=self.made,
        )
