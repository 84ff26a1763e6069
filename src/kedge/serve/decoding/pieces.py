"""Turns tokens into text piece by piece: never half a character, never past a stop string."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_INCOMPLETE = "\ufffd"
_HELD_TOKENS = 8  # a character has at most four bytes: what is still broken after this many tokens is broken for good
_WINDOW_TOKENS = 64


class Characters:
    """Decodes a growing list of tokens, holding back bytes that are not yet a whole character."""

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._tokens: list[int] = []
        self._start = 0  # where the window begins; it holds the last good piece, for decoders that look back
        self._read = 0  # the tokens before this are wholly said
        self._said = 0  # characters of the window's text that were handed out

    def push(self, token: int) -> str:
        """The text that became certain with this token."""
        self._tokens.append(token)
        text = self._decode(self._tokens[self._start :])
        if text.endswith(_INCOMPLETE) and len(self._tokens) - self._read <= _WINDOW_TOKENS:
            broken = len(self._tokens) - self._read > _HELD_TOKENS
            return self._say(text[:-1]) if broken else ""
        piece = self._say(text)
        self._start, self._read = self._read, len(self._tokens)
        self._said = len(self._decode(self._tokens[self._start :]))
        return piece

    def flush(self) -> str:
        """What was held back, as it is."""
        return self._say(self._decode(self._tokens[self._start :]))

    def _say(self, text: str) -> str:
        piece = text[self._said :]
        self._said = max(self._said, len(text))
        return piece


class StopStrings:
    """Passes text on until a stop string appears in it, which is cut off with all that follows."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.met = False

    def push(self, text: str) -> str:
        """The part of the text so far that cannot belong to a stop string."""
        if not self._stops:
            return text
        self._held += text
        cuts = [at for at in (self._held.find(stop) for stop in self._stops) if at >= 0]
        if cuts:
            self.met = True
            return self._release(min(cuts))
        return self._release(len(self._held) - max(self._overlap(stop) for stop in self._stops))

    def flush(self) -> str:
        """What was held back because it could have become a stop string."""
        return "" if self.met else self._release(len(self._held))

    def _release(self, length: int) -> str:
        said, self._held = self._held[:length], self._held[length:]
        return said

    def _overlap(self, stop: str) -> int:
        """How many last characters of the held text are the beginning of the stop string."""
        longest = min(len(stop) - 1, len(self._held))
        return next((n for n in range(longest, 0, -1) if self._held.endswith(stop[:n])), 0)


class Pieces:
    """The text of one answer as it grows: whole characters, cut at the first stop string."""

    def __init__(self, decode: Callable[[list[int]], str], stops: Sequence[str]) -> None:
        self._characters = Characters(decode)
        self._stops = StopStrings(stops)
        self.heard = 0  # characters that became whole
        self.passed = 0  # of these, those that were passed on

    @property
    def stopped(self) -> bool:
        """Whether a stop string was met."""
        return self._stops.met

    def push(self, token: int) -> str:
        """The new text, possibly empty."""
        return self._pass(self._stops.push(self._hear(self._characters.push(token))))

    def flush(self) -> str:
        """The rest of the text; nothing is pushed afterwards."""
        if self.stopped:
            return ""
        return self._pass(self._stops.push(self._hear(self._characters.flush())) + self._stops.flush())

    def _hear(self, text: str) -> str:
        self.heard += len(text)
        return text

    def _pass(self, text: str) -> str:
        self.passed += len(text)
        return text
