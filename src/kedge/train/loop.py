"""The training loop: batches in, moved weights out, with live metrics, checkpoints and a watchdog."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from kedge.core.ports import MetricLog, Progress
from kedge.train.batches import Batch, Position, walk
from kedge.train.checkpoints import Checkpoint, Checkpoints
from kedge.train.examples import Examples
from kedge.train.loss import batch_loss, validate
from kedge.train.optimizers import Optimizers
from kedge.train.precision import name_of
from kedge.train.schedule import rate_share
from kedge.train.types import TrainOptions
from kedge.train.watchdog import Watchdog, advise


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What is learned from, and what the loss is watched on (perhaps nothing)."""

    train: Examples
    validation: Examples


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Where a training tells how it goes."""

    progress: Progress
    metrics: MetricLog


@dataclass(slots=True)
class _Window:
    """What happened since the last report."""

    loss: float = 0.0
    steps: int = 0
    tokens: int = 0
    began: float = 0.0


class Loop:
    """Moves a model's weights step by step. `run` may be called once; state lives here, so that it can be kept."""

    def __init__(
        self, model: Any, options: TrainOptions, *, data: Data, precision: torch.dtype, checkpoints: Checkpoints
    ) -> None:
        self._model = model
        self._options = options
        self._data = data
        self._precision = precision
        self._checkpoints = checkpoints
        self._optimizers = Optimizers(model, options, dtype=precision)
        self._watchdog = Watchdog(advice=advise(options, name_of(precision)))
        self._position = Position()
        self._trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.step = 0
        self.tokens = 0
        self.validation_loss: float | None = None

    @property
    def loss(self) -> float:
        """The moving average of the loss."""
        return self._watchdog.smoothed

    def resume(self) -> int:
        """Go back to the newest checkpoint, if there is one; the step it was taken after (0: from the beginning)."""
        found = self._checkpoints.newest()
        if found is None:
            return 0
        with torch.no_grad():
            for name, tensor in found.part("model").items():
                self._trained[name].copy_(tensor)
        self._optimizers.restore(found.part("optimizer"))
        torch.set_rng_state(found.tensors["random"])
        self._position = Position(**found.facts["position"])
        self._watchdog.first, self._watchdog.smoothed = found.facts["losses"]
        self.validation_loss = found.facts["validation_loss"]
        self.step = found.step
        self.tokens = found.facts["tokens"]
        return found.step

    def run(self, reports: Reports) -> None:
        """Train until the last step. `Failed` if the watchdog stops it."""
        options = self._options
        reports.progress.start(options.steps, "train")
        reports.progress.advance(self.step)
        batches = walk(self._data.train, batch_tokens=options.batch_tokens, seed=options.seed, position=self._position)
        window = _Window(began=time.monotonic())
        self._model.train()
        while self.step < options.steps:
            batch = next(batches)
            window.loss += self._learn(batch)
            window.steps += 1
            window.tokens += batch.tokens
            self.step += 1
            self.tokens += batch.tokens
            self._position = batch.next
            reports.progress.advance()
            if self._due(options.log_every):
                self._report(window, reports)
                window = _Window(began=time.monotonic())
            if self._due(options.validate_every) and len(self._data.validation):
                self._validate(reports)
                window.began = time.monotonic()
            if self._due(options.checkpoint_every):
                self._checkpoints.write(self._checkpoint())

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self._options.steps

    def _learn(self, batch: Batch) -> float:
        """One step; its loss in nats a token."""
        options = self._options
        loss = batch_loss(self._model, batch, self._precision)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        norm = torch.nn.utils.clip_grad_norm_(self._trained.values(), options.clip or math.inf)
        share = rate_share(self.step, steps=options.steps, warmup=options.warmup, decay=options.decay)
        value = float(loss.detach())
        self._watchdog.see(self.step + 1, loss=value, norm=float(norm))
        self._optimizers.step(share)
        return value

    def _report(self, window: _Window, reports: Reports) -> None:
        loss = window.loss / window.steps
        values: Mapping[str, float] = {
            "loss": loss,
            "perplexity": math.exp(min(loss, 700.0)),
            "learning_rate": self._optimizers.rate,
            "tokens_per_second": window.tokens / max(time.monotonic() - window.began, 1e-9),
        }
        for name, value in values.items():
            reports.metrics.log(name, value, self.step)
        reports.progress.note(loss=round(loss, 4), tokens_per_second=round(values["tokens_per_second"]))

    def _validate(self, reports: Reports) -> None:
        self.validation_loss = validate(
            self._model, self._data.validation, precision=self._precision, batch_tokens=self._options.batch_tokens
        )
        reports.metrics.log("validation_loss", self.validation_loss, self.step)
        reports.metrics.log("validation_perplexity", math.exp(min(self.validation_loss, 700.0)), self.step)
        reports.progress.note(validation_loss=round(self.validation_loss, 4))

    def _checkpoint(self) -> Checkpoint:
        tensors = {f"model/{name}": parameter.detach() for name, parameter in self._trained.items()}
        tensors |= {f"optimizer/{name}": tensor for name, tensor in self._optimizers.state().items()}
        facts = {
            "position": asdict(self._position),
            "losses": [self._watchdog.first, self._watchdog.smoothed],
            "validation_loss": self.validation_loss,
            "tokens": self.tokens,
        }
        return Checkpoint(step=self.step, facts=facts, tensors={**tensors, "random": torch.get_rng_state()})
