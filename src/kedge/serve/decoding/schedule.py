"""Decides what is decoded next: newcomers are read together and join a batch; batches of unlike length take turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from kedge.core.generation import GenerationEvent, TokenChoice
from kedge.serve.decoding.batch import Batch, Decoder, can_join, join, keep
from kedge.serve.decoding.echo import read_aloud
from kedge.serve.decoding.logits import adjust, told
from kedge.serve.decoding.row import Row
from kedge.serve.decoding.sampling import choose
from kedge.serve.decoding.tokens import Tokens

_CUT = 8  # finished rows are cut out when they are one in this many


@dataclass(slots=True, kw_only=True)
class _Group:
    """A batch and its rows. Finished ones stay until cutting them out is worth it, or where they cannot be until all are
    done."""

    batch: Batch
    rows: list[Row]


class Schedule:
    """The rows of an engine, from let in to done.

    At most `batch` are decoded at once, `prefill_tokens` read at once, and `cache_bytes` held by the cache; a row that
    alone is over a bound is decoded alone.
    """

    def __init__(self, decoder: Decoder, tokens: Tokens, *, batch: int, prefill_tokens: int, cache_bytes: int) -> None:
        self._decoder = decoder
        self._tokens = tokens
        self._batch = batch
        self._prefill_tokens = prefill_tokens
        self._cache_bytes = cache_bytes
        self._newcomers: deque[Row] = deque()
        self._groups: deque[_Group] = deque()

    @property
    def room(self) -> int:
        """How many more rows are worth letting in now."""
        return max(0, 2 * self._batch - len(self._newcomers))

    def add(self, rows: Iterable[Row]) -> None:
        """Queue newcomers."""
        self._newcomers.extend(rows)

    def step(self) -> list[GenerationEvent]:
        """Read newcomers if there is room, then decode one token of the batch whose turn it is."""
        events = self._read() if self._worth_reading() else []
        if self._groups:
            group = self._groups.popleft()
            events += self._take(group, self._decoder.advance(group.batch, [row.last for row in group.rows]))
        return events

    def cancel(self, ids: frozenset[str]) -> list[GenerationEvent]:
        """End these rows wherever they stand."""
        events = []
        for row in self._all():
            if row.request.id in ids and not row.finish:
                row.finish = "cancelled"
                events.append(row.event())
        self._newcomers = deque(row for row in self._newcomers if not row.finish)
        groups, self._groups = self._groups, deque()
        for group in groups:
            self._put_back(group)
        return events

    def asked_of(self, bundle: str) -> Iterator[str]:
        """The requests under way that name a bundle."""
        return (row.request.id for row in self._all() if row.request.bundle == bundle and not row.finish)

    def _all(self) -> Iterator[Row]:
        yield from self._newcomers
        for group in self._groups:
            yield from group.rows

    @property
    def _free(self) -> int:
        """How many more rows may be decoded."""
        return self._batch - sum(1 for _ in self._live())

    def _live(self) -> Iterator[Row]:
        return (row for group in self._groups for row in group.rows if not row.finish)

    def _worth_reading(self) -> bool:
        """All newcomers fit, or so many that the others do not have to stop for each."""
        return bool(self._newcomers) and self._free >= min(len(self._newcomers), max(1, self._batch // 4))

    def _read(self) -> list[GenerationEvent]:
        rows = self._next_newcomers()
        if not rows:
            return []
        if not rows[0].request.echo:
            batch, logits = self._decoder.prefill(rows)
            return self._take(_Group(batch=batch, rows=rows), logits)
        batch, logits, said = read_aloud(self._decoder, rows, self._tokens.text, vocabulary=self._tokens.size)
        events = [self._echo(row, tokens) for row, tokens in zip(rows, said, strict=True)]
        return events + self._take(_Group(batch=batch, rows=rows), logits)

    def _echo(self, row: Row, tokens: list[TokenChoice]) -> GenerationEvent:
        added = 0 if row.request.tokens is not None else self._tokens.added(row.prompt)
        text = row.request.prompt if row.request.prompt is not None else self._tokens.decode(row.prompt[added:])
        return row.echo(text, tokens[added:])

    def _next_newcomers(self) -> list[Row]:
        """As many newcomers as the bounds let in now; the first in any case when nothing else is under way."""
        free = self._free
        held = sum(len(row.prompt) + row.room for row in self._live())
        rows: list[Row] = []
        longest = 0
        while self._newcomers and len(rows) < free:
            row = self._newcomers[0]
            if rows and row.request.echo is not rows[0].request.echo:
                break
            longest = max(longest, len(row.prompt))
            held += len(row.prompt) + row.room
            if rows and longest * (len(rows) + 1) > self._prefill_tokens:
                break
            if (rows or self._groups) and held * self._decoder.token_bytes > self._cache_bytes:
                break
            rows.append(self._newcomers.popleft())
        return rows

    def _take(self, group: _Group, logits: torch.Tensor) -> list[GenerationEvent]:
        """Choose each row's next token, and say what it yields."""
        events = []
        tokens = choose(adjust(logits, group.rows), [row.choice for row in group.rows])
        choices = self._told(group.rows, tokens, logits)
        for i, (row, token) in enumerate(zip(group.rows, tokens, strict=True)):
            if row.finish:
                continue
            text = row.grow(token, ends=self._tokens.ends, choice=choices.get(i))
            if text or row.finish:
                events.append(row.event(text))
        self._put_back(group)
        return events

    def _told(self, rows: list[Row], tokens: list[int], logits: torch.Tensor) -> dict[int, TokenChoice]:
        """What is told of the tokens chosen, by row, where that was asked for."""
        wanted = [i for i, row in enumerate(rows) if row.request.logprobs is not None and not row.finish]
        if not wanted:
            return {}
        tops = [rows[i].request.logprobs or 0 for i in wanted]
        return dict(
            zip(wanted, told(logits[wanted], [tokens[i] for i in wanted], tops, self._tokens.text), strict=True)
        )

    def _put_back(self, group: _Group) -> None:
        """Cut finished rows out; what is left joins a batch of like length or takes turns with it."""
        going = [i for i, row in enumerate(group.rows) if not row.finish]
        if not going:
            return
        done = len(group.rows) - len(going)
        if done and done * _CUT >= len(group.rows) and group.batch.roomy:
            group.rows = [group.rows[place] for place in keep(group.batch, going)]
        for other in self._groups:
            if can_join(other.batch, group.batch):
                join(other.batch, group.batch)
                other.rows += group.rows
                return
        self._groups.append(group)
