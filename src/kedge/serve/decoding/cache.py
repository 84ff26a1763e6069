"""A key-value cache whose rows come and go. New columns are written into spare room instead of copying the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as functional
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

_SPARE = 64  # columns of room made at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """How the last rows fill the places of rows that are done: row `of[i]` goes `to[i]`; `rows` are left."""

    of: list[int]
    to: list[int]
    rows: int

    def order(self) -> list[int]:
        """The old place of each row that is left."""
        order = list(range(self.rows))
        for source, target in zip(self.of, self.to, strict=True):
            order[target] = source
        return order


def moves_to_keep(rows: Sequence[int]) -> Moves:
    """The fewest moves that bring these rows, given in rising order, to the front."""
    kept = set(rows)
    free = [place for place in range(len(rows)) if place not in kept]
    return Moves(of=[row for row in rows if row >= len(rows)], to=free, rows=len(rows))


class RoomyLayer(DynamicLayer):  # type: ignore[misc]  # transformers is not typed
    """Keys and values (rows, heads, columns, size) as views of buffers with room at the end."""

    keys: torch.Tensor
    values: torch.Tensor
    _key_buffer: torch.Tensor
    _value_buffer: torch.Tensor

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Make buffers for tensors like these."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self._hold(key_states[:, :, :0], value_states[:, :, :0], room=key_states.shape[-2] + _SPARE)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append columns; all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.keys.shape[-2]
        end = start + key_states.shape[-2]
        if end > self._key_buffer.shape[-2]:
            self._hold(self.keys, self.values, room=key_states.shape[-2] + max(_SPARE, start // 2))
        self._key_buffer[:, :, start:end] = key_states
        self._value_buffer[:, :, start:end] = value_states
        self.keys = self._key_buffer[:, :, :end]
        self.values = self._value_buffer[:, :, :end]
        return self.keys, self.values

    def keep(self, moves: Moves, first: int) -> None:
        """Move rows into the places of those that are done, and let go of the rest and of the columns before `first`."""
        end = self.keys.shape[-2]
        for buffer in (self._key_buffer, self._value_buffer):
            buffer[moves.to, :, :end] = buffer[moves.of, :, :end]
        self._key_buffer = self._key_buffer[: moves.rows, :, first:]
        self._value_buffer = self._value_buffer[: moves.rows, :, first:]
        self.keys = self._key_buffer[:, :, : end - first]
        self.values = self._value_buffer[:, :, : end - first]

    def join(self, other: RoomyLayer, columns: int) -> None:
        """Take in another layer's rows, both widened on the left to `columns`."""
        keys = torch.cat([_widened(self.keys, columns), _widened(other.keys, columns)])
        values = torch.cat([_widened(self.values, columns), _widened(other.values, columns)])
        self._hold(keys, values, room=_SPARE)

    def _hold(self, keys: torch.Tensor, values: torch.Tensor, *, room: int) -> None:
        """Copy these into buffers with `room` columns to spare."""
        columns = keys.shape[-2]
        self._key_buffer = functional.pad(keys, (0, 0, 0, room))
        self._value_buffer = functional.pad(values, (0, 0, 0, room))
        self.keys = self._key_buffer[:, :, :columns]
        self.values = self._value_buffer[:, :, :columns]


def make_cache(config: Any) -> Cache:
    """An empty cache for a model; roomy where every layer attends to all of the past."""
    cache = DynamicCache(config=config)
    if all(type(layer) is DynamicLayer for layer in cache.layers):
        cache.layers = [RoomyLayer() for _ in cache.layers]
    return cache


def size_of(cache: Cache) -> int:
    """How many bytes its keys and values take, spare room aside."""
    held = [getattr(layer, name, None) for layer in cache.layers for name in ("keys", "values")]
    return sum(part.nbytes for part in held if part is not None)


def is_roomy(cache: Cache) -> bool:
    """Whether rows can be cut out of it and put in."""
    return all(isinstance(layer, RoomyLayer) for layer in cache.layers)


def keep_rows(cache: Cache, moves: Moves, first: int) -> None:
    """Keep the first `moves.rows` rows after the moves, and the columns from `first` on."""
    for layer in _roomy(cache):
        layer.keep(moves, first)


def join_rows(cache: Cache, other: Cache, columns: int) -> None:
    """Put the rows of `other` behind those of `cache`; shorter ones are padded on the left."""
    for layer, joining in zip(_roomy(cache), _roomy(other), strict=True):
        layer.join(joining, columns)


def _roomy(cache: Cache) -> Sequence[RoomyLayer]:
    layers: Sequence[RoomyLayer] = cache.layers
    return layers


def _widened(states: torch.Tensor, columns: int) -> torch.Tensor:
    return functional.pad(states, (0, 0, columns - states.shape[-2], 0))
