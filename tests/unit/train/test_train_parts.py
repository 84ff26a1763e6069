"""The parts of the loop: schedule, watchdog, Muon, precision, options, checkpoints."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Literal

import pytest
import torch

from kedge.core.errors import Failed, Invalid
from kedge.train import precision
from kedge.train.checkpoints import Checkpoint, Checkpoints
from kedge.train.muon import Muon, orthogonal
from kedge.train.schedule import rate_share
from kedge.train.types import Shape, TrainOptions
from kedge.train.watchdog import Watchdog, advise


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_the_rate_rises_then_falls_to_almost_nothing(decay: Literal["linear", "cosine"]) -> None:
    shares = [rate_share(step, steps=100, warmup=0.1, decay=decay) for step in range(100)]
    assert shares[:10] == sorted(shares[:10])
    assert shares[9] == shares[10] == 1.0
    assert shares[10:] == sorted(shares[10:], reverse=True)
    assert 0.0 < shares[-1] < 0.02


def test_a_training_of_one_step_learns_at_the_peak() -> None:
    assert rate_share(0, steps=1, warmup=0.0, decay="linear") == 1.0


@pytest.mark.parametrize(("loss", "norm"), [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan)])
def test_what_is_no_number_stops_the_training_and_names_the_step(loss: float, norm: float) -> None:
    with pytest.raises(Failed, match="step 7") as stopped:
        Watchdog(advice="try less").see(7, loss=loss, norm=norm)
    assert stopped.value.hint == "try less"


def test_a_loss_that_keeps_rising_stops_the_training() -> None:
    watchdog = Watchdog(first=2.0, smoothed=3.9)
    watchdog.see(50, loss=5.0, norm=1.0)
    with pytest.raises(Failed, match="diverges"):
        watchdog.see(51, loss=9.0, norm=1.0)


def test_the_advice_names_the_options_that_could_help() -> None:
    advice = advise(TrainOptions(matrix_learning_rate=0.4, clip=0.0), "bfloat16")
    for words in ("learning_rate = 0.00075", "matrix_learning_rate = 0.1 (now 0.4)", "clip", "precision = 'float32'"):
        assert words in advice
    assert "matrix" not in advise(TrainOptions(optimizer="adamw"), "float32")


def test_one_bad_batch_does_not_stop_the_training() -> None:
    watchdog = Watchdog()
    for step, loss in enumerate([2.0, 1.0, 30.0, 1.0, 1.0], start=1):
        watchdog.see(step, loss=loss, norm=1.0)
    assert watchdog.smoothed < 3.0


@pytest.mark.parametrize("size", [(16, 16), (24, 8), (8, 24)])
def test_orthogonal_matrices_have_singular_values_near_one(size: tuple[int, int]) -> None:
    found = orthogonal(torch.randn(3, *size))
    values = torch.linalg.svdvals(found)
    assert found.shape == (3, *size)
    assert float(values.min()) > 0.3
    assert float(values.max()) < 1.4


def test_muon_moves_as_the_one_of_torch() -> None:
    start = [torch.randn(8, 8), torch.randn(16, 8), torch.randn(8, 16), torch.randn(8, 8)]
    ours = [torch.nn.Parameter(t.clone()) for t in start]
    theirs = [torch.nn.Parameter(t.clone()) for t in start]
    pair = (
        Muon(ours, lr=0.1, weight_decay=0.1, dtype=torch.bfloat16),
        torch.optim.Muon(theirs, lr=0.1, weight_decay=0.1, adjust_lr_fn="original"),
    )
    for _ in range(3):
        for i, start_of in enumerate(start):
            ours[i].grad = start_of * (i + 1)
            theirs[i].grad = start_of * (i + 1)
        for optimizer in pair:
            optimizer.step()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=0.02, rtol=0.02)


def test_automatic_precision_takes_what_the_processor_is_fast_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert precision.choose_precision("auto") is torch.bfloat16
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert precision.choose_precision("auto") is torch.float32
    with pytest.raises(Invalid, match="bfloat16"):
        precision.choose_precision("bfloat16")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"steps": 0}, "steps"),
        ({"max_tokens": 2000}, "max_tokens"),
        ({"prompt": "hello"}, "{input}"),
        ({"method": "lora"}, "base"),
        ({"warmup": 1.0}, "warmup"),
        ({"learning_rate": -1.0}, "negative"),
    ],
)
def test_impossible_options_are_refused_with_the_reason(options: dict[str, object], reason: str) -> None:
    with pytest.raises(Invalid) as refused:
        TrainOptions(**options)  # type: ignore[arg-type]  # each case has its own types
    assert reason in refused.value.message


def test_a_shape_whose_heads_do_not_fit_is_refused() -> None:
    with pytest.raises(Invalid, match="heads"):
        Shape(hidden=100, heads=3)


def test_rates_and_optimizers_follow_the_method() -> None:
    assert TrainOptions().mover == "muon"
    assert TrainOptions(base="b").mover == "adamw"
    assert TrainOptions(base="b").rate < TrainOptions(base="b", method="lora").rate < TrainOptions().rate
    assert TrainOptions(base="b", learning_rate=0.5).rate == 0.5


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(step=step, facts={"epoch": 1}, tensors={"model/w": torch.full((2,), float(step))})


def test_the_newest_checkpoint_comes_back(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, key="a")
    for step in (5, 10, 15):
        kept.write(checkpoint(step))
    found = kept.newest()
    assert found is not None
    assert (found.step, found.facts) == (15, {"epoch": 1})
    assert found.part("model")["w"].tolist() == [15.0, 15.0]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = Checkpoints(tmp_path, key="a")
    kept.write(checkpoint(5))
    kept.write(checkpoint(10)).write_bytes(b"cut short")
    with caplog.at_level(logging.WARNING):
        found = kept.newest()
    assert found is not None
    assert found.step == 5
    assert "passed over" in caplog.text


def test_a_checkpoint_of_another_training_is_not_taken_up(tmp_path: Path) -> None:
    Checkpoints(tmp_path, key="a").write(checkpoint(5))
    assert Checkpoints(tmp_path, key="b").newest() is None
