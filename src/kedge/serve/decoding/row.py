"""One request while it is decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from kedge.core.generation import Finish, GenerationEvent, GenerationRequest, TokenChoice
from kedge.serve.decoding.choice import Choice
from kedge.serve.decoding.pieces import Pieces


class Obeyed(Protocol):
    """A schema that an answer obeys, as far as the answer has come."""

    @property
    def done(self) -> bool:
        """Whether nothing can follow."""
        ...

    @property
    def trouble(self) -> str:
        """Why it cannot be obeyed any further ("" while it can)."""
        ...

    def allowed(self) -> bytes:
        """Which tokens may come next: a bit each, the lowest first."""
        ...

    def take(self, token: int) -> None:
        """Go on by one token."""
        ...


@dataclass(slots=True)
class _Told:
    """A token and where its text ends in the answer (-1 while its character is not whole)."""

    token: TokenChoice
    end: int = -1


@dataclass(slots=True, kw_only=True)
class Row:
    """A request that was let in, and its answer as it grows. `room` is how many tokens the answer may have; `counts`
    are those it has, kept where penalties need them; `schema` is what it obeys, `adapter` what its tokens go through."""

    request: GenerationRequest
    prompt: list[int]
    pieces: Pieces
    choice: Choice
    room: int
    made: int = 0
    last: int = 0
    finish: Finish = ""
    schema: Obeyed | None = None
    adapter: int = 0
    counts: Counter[int] = field(default_factory=Counter)
    _told: list[_Told] = field(default_factory=list)

    @property
    def adjusts(self) -> bool:
        """Whether its logits are changed before a token is chosen."""
        return self.schema is not None or self.request.penalties is not None

    def grow(self, token: int, *, ends: frozenset[int], choice: TokenChoice | None = None) -> str:
        """Add a token to the answer, and set `finish` if it ends it; the text that became certain. `choice` is what is
        told of the token, where that was asked for."""
        self.last = token
        self.made += 1
        if self.schema is not None and self.schema.trouble:  # the token is only what is left when nothing is allowed
            self.finish = "error"
            return ""
        if token in ends:
            self.finish = "stop"
            if choice is not None:
                self._told.append(_Told(replace(choice, text="")))
            return self.pieces.flush()
        if self.request.penalties is not None:
            self.counts[token] += 1
        text = self._push(token, choice)
        if self.schema is not None:
            self.schema.take(token)
            if self.schema.trouble:
                self.finish = "error"
            elif self.schema.done and not self.pieces.stopped:
                text += self.pieces.flush()
                self.finish = "stop"
        if self.made >= self.room and not self.pieces.stopped and not self.finish:
            text += self.pieces.flush()
            self.finish = "length"
        if self.pieces.stopped:
            self.finish = "stop"
        return text

    def _push(self, token: int, choice: TokenChoice | None) -> str:
        before = self.pieces.heard
        text = self.pieces.push(token)
        if choice is not None:
            self._told.append(_Told(choice))
            if self.pieces.heard > before:
                for told in self._told:
                    told.end = self.pieces.heard if told.end < 0 else told.end
        return text

    def echo(self, text: str, tokens: Sequence[TokenChoice]) -> GenerationEvent:
        """The prompt, said before the answer; the end of it all where no token is to be made."""
        if self.room <= 0:
            self.finish = "length"
        event = self.event(text)
        return replace(event, tokens=tuple(tokens))

    def event(self, text: str = "") -> GenerationEvent:
        """What to say of it now, after `text` has become certain."""
        tokens = self._certain() if self._told else ()
        if not self.finish:
            return GenerationEvent(id=self.request.id, text=text, tokens=tokens)
        if self.finish == "error" and self.schema is not None:
            why = self.schema.trouble
            return GenerationEvent(id=self.request.id, text=text, finish="error", error=why, error_code="invalid")
        return GenerationEvent(
            id=self.request.id,
            text=text,
            finish=self.finish,
            prompt_tokens=len(self.prompt),
            completion_tokens=self.made,
            tokens=tokens,
        )

    def _certain(self) -> tuple[TokenChoice, ...]:
        """The tokens whose text was passed on since the last time: at the end all, but what a stop string cut off."""
        passed = self.pieces.passed
        ended = bool(self.finish) and not self.pieces.stopped
        count = next(
            (i for i, told in enumerate(self._told) if not ended and not 0 <= told.end <= passed), len(self._told)
        )
        tokens = tuple(told.token for told in self._told[:count])
        del self._told[:count]
        return tokens
