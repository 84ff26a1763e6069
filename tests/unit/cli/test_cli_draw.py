"""What a person sees: tables, curves and progress."""

from __future__ import annotations

import math

import pytest

from kedge.cli.columns import columns
from kedge.cli.curves import beside, draw_curve
from kedge.cli.progress import open_progress, span, written
from kedge.cli.render import emit
from kedge.core.run import Point


def curve(*values: float) -> list[Point]:
    return [Point(run="r", name="loss", step=step, value=value, at=0.0) for step, value in enumerate(values)]


def test_columns_are_aligned_whatever_their_colour() -> None:
    drawn = columns(("a", "b"), [("x", "1"), ("\x1b[32mlonger\x1b[0m", "2")])
    assert drawn.splitlines()[1:] == ["x       1", "\x1b[32mlonger\x1b[0m  2"]


def test_a_falling_curve_falls() -> None:
    lines = draw_curve("loss", curve(4.0, 3.0, 2.0, 1.0), width=4, height=2)
    assert "loss  1" in lines[0]
    assert lines[1].startswith("        4 ┤")
    assert "█▃" in lines[1]
    assert lines[2].startswith("        1 ┤")
    assert "0" in lines[3]
    assert "3" in lines[3]


def test_a_curve_with_gaps_and_one_without_numbers_are_drawn() -> None:
    assert "·" in draw_curve("loss", curve(1.0, math.nan, 2.0), width=3)[-2]
    assert "not a number" in draw_curve("loss", curve(math.nan, math.nan), width=3)[1]


def test_a_long_curve_fits_its_width() -> None:
    lines = draw_curve("loss", curve(*[1.0 / (i + 1) for i in range(5000)]), width=40)
    assert all(len(line) < 70 for line in lines)


def test_charts_stand_side_by_side_where_there_is_room() -> None:
    charts = [["a", "b"], ["c", "d"]]
    assert beside(charts, width=80).splitlines() == ["a   c", "b   d"]
    assert beside(charts, width=4).splitlines() == ["a", "b", "", "c", "d"]


@pytest.mark.parametrize(("seconds", "text"), [(0.44, "0.4 s"), (12.4, "12 s"), (185.0, "3 min 05 s")])
def test_spans_are_short(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_facts_are_written_for_people() -> None:
    assert written({"loss": 0.31234, "tokens_per_second": 5104.2, "row": 3}) == "loss 0.3123  tokens/s 5,104  row 3"


def test_progress_in_a_pipe_is_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with open_progress(quiet=False) as progress:
        progress.note(stage="data", state="skipped")
        progress.note(stage="tokenizer", state="skipped")
        progress.note(stage="train", state="running", why="never run")
        progress.start(10, "training")
        progress.note(loss=0.5)
        progress.advance(10)
        progress.note(stage="train", state="succeeded", seconds=2.0)
    assert capsys.readouterr().err.splitlines() == [
        "data, tokenizer: up to date",
        "train: running (never run)",
        "train: training (10)",
        "train: done in 2.0 s  loss 0.5",
    ]


def test_quiet_progress_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with open_progress(quiet=True) as progress:
        progress.start(3, "x")
    assert capsys.readouterr() == ("", "")


def test_a_result_is_json_or_what_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    emit(curve(1.0)[0], as_json=True, draw=lambda: "")
    emit(curve(1.0)[0], as_json=False, draw=lambda: "a picture")
    assert capsys.readouterr().out == '{"run":"r","name":"loss","step":0,"value":1.0,"at":0.0}\na picture\n'
