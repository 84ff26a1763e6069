"""A training of seconds: rows that a tiny Llama learns by heart. `python -m kedge.testing.training FOLDER` does it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kedge.core.dataset import Row
from kedge.core.hashing import row_id
from kedge.core.ports import Silent
from kedge.train.loop import Reports
from kedge.train.tokenizer import train_tokenizer
from kedge.train.train import TrainRequest, train
from kedge.train.types import Shape, TokenizerOptions, TrainOptions, TrainResult

_NAMES = ("split", "join_all", "getValue", "open", "_close", "read2", "write_to", "find")
TINY = Shape(hidden=32, intermediate=64, layers=2, heads=2, context=64)


@dataclass(slots=True)
class RecordedMetrics:
    """A MetricLog that keeps the values of each metric with their steps."""

    values: dict[str, list[tuple[int, float]]] = field(default_factory=dict)

    def log(self, name: str, value: float, step: int = 0) -> None:
        """Keep one value."""
        self.values.setdefault(name, []).append((step, value))


def make_rows(count: int, *, first: int = 0) -> list[Row]:
    """Function headers and their schemas, all different."""
    rows = []
    for i in range(first, first + count):
        name, argument = f"{_NAMES[i % len(_NAMES)]}_{i}", _NAMES[(i * 3 + 1) % len(_NAMES)]
        text, target = f"def {name}({argument}):", f'{{"name": "{name}", "args": ["{argument}"]}}'
        content = {"input": text, "target": target}
        rows.append(Row(id=row_id(content, f"m.py:{i}"), input=text, target=target, source=f"m.py:{i}"))
    return rows


def write_tokenizer(folder: Path, rows: Sequence[Row]) -> Path:
    """A tokenizer learned from the rows, in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = [text for row in rows for text in (row.input, row.target)]
    for name, content in train_tokenizer(texts, TokenizerOptions(vocabulary=320, cut="pieces")).items():
        (folder / name).write_bytes(content)
    return folder


def tiny_request(workdir: Path, options: TrainOptions, *, base: Path | None = None) -> TrainRequest:
    """A request to learn 40 rows, watched on 8 others."""
    rows = make_rows(40)
    return TrainRequest(
        options=options,
        rows=rows,
        validation=make_rows(8, first=40),
        tokenizer=base or write_tokenizer(workdir / "tokenizer", rows),
        base=base,
        workdir=workdir,
    )


def tiny_options(*, steps: int, checkpoint_every: int = 1000) -> TrainOptions:
    """Options of a tiny training on one core."""
    return TrainOptions(
        prompt="{input}\n",
        shape=TINY,
        steps=steps,
        batch_tokens=256,
        max_tokens=64,
        precision="float32",
        threads=1,
        validate_every=20,
        checkpoint_every=checkpoint_every,
    )


def tiny_train(workdir: Path, options: TrainOptions, *, base: Path | None = None) -> TrainResult:
    """Train it, without telling anybody how it goes."""
    reports = Reports(progress=Silent(), metrics=RecordedMetrics())
    return train(tiny_request(workdir, options, base=base), reports)


if __name__ == "__main__":
    tiny_train(Path(sys.argv[1]), tiny_options(steps=int(sys.argv[2]), checkpoint_every=int(sys.argv[3])))
