"""A rollout plan in the project file."""

from __future__ import annotations

from pathlib import Path

import pytest

from kedge.config import list_settings, load_config
from kedge.core.errors import Invalid
from kedge.core.release import Role

PLAN = """[endpoints.api]
model = "m"

[endpoints.api.rollout]
steps = [{ role = "shadow", hold = "10m" }, { share = 0.05, hold = "1h", min_answers = 50 }]
quality = ["valid_json", { name = "regex", pattern = "a" }]
margins = { quality = 0.03 }
"""


def load(folder: Path, text: str, **changes: str) -> object:
    file = folder / "kedge.toml"
    file.write_text(text)
    return load_config(file, sets=tuple(f"{key}={value}" for key, value in changes.items()))


def test_a_plan_is_read(tmp_path: Path) -> None:
    plan = load(tmp_path, PLAN).endpoints["api"].rollout  # type: ignore[attr-defined]  # a Config
    assert [(step.role, step.part, step.seconds, step.min_answers) for step in plan.steps] == [
        (Role.SHADOW, 1.0, 600.0, 0),
        (Role.CANARY, 0.05, 3600.0, 50),
    ]
    assert plan.quality == ("valid_json", {"name": "regex", "pattern": "a"})
    assert (plan.margins.quality, plan.margins.errors, plan.alpha) == (0.03, 0.02, 0.05)


def test_an_endpoint_needs_no_plan(tmp_path: Path) -> None:
    config = load(tmp_path, '[endpoints.api]\nmodel = "m"\n')
    assert config.endpoints["api"].rollout is None  # type: ignore[attr-defined]  # a Config
    assert list_settings(config)  # type: ignore[arg-type]  # a Config


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("alpha", "alpha", ""),
        ("min_answers", "min_answer", "unknown key 'min_answer'"),
        ("share = 0.05", "share = 5", "share of a canary"),
        ('hold = "1h"', 'hold = "soon"', "not a duration"),
        ("quality = 0.03", "quality = 3.0", "margin"),
        ('role = "shadow"', 'role = "ghost"', "ghost"),
    ],
)
def test_what_is_wrong_in_a_plan_names_the_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = PLAN.replace(old, new)
    if not said:
        assert load(tmp_path, text)
        return
    with pytest.raises(Invalid) as caught:
        load(tmp_path, text)
    assert said in caught.value.message
    assert "kedge.toml:" in caught.value.message
