"""A pipeline runs what is not up to date, says why, and puts it on record."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from tests.integration.pipeline.conftest import LINE, Open, units

from kedge.app import runs
from kedge.app.project import Project
from kedge.core.errors import Invalid, NotFound
from kedge.core.ledger import RunQuery
from kedge.core.manifest import read_config
from kedge.core.run import RunStatus
from kedge.testing.progress import RecordingProgress


def states(result: runs.PipelineResult) -> list[str]:
    return [str(outcome.state) for outcome in result.stages]


def reasons(project: Project, *sets: str) -> dict[str, str]:
    return {step.stage: f"{step.action}: {step.reason}" for step in runs.explain(project, sets=sets).steps}


def test_the_first_run_makes_every_stage_and_the_second_none(open_tiny: Open, tmp_path: Path) -> None:
    project = open_tiny()
    first = runs.run(project)
    again = runs.run(project)
    assert states(first) == ["succeeded"] * 3
    assert states(again) == ["skipped"] * 3
    assert again.idle
    assert again.outputs == first.outputs
    assert len(units(tmp_path)) == 6
    assert read_config(project.blobs, first.outputs["third"]["report"]) == {"total": 111}


def test_the_outputs_of_one_project_are_those_of_another(open_tiny: Open, tmp_path: Path) -> None:
    first = runs.run(open_tiny())
    (tmp_path / ".kedge").rename(tmp_path / "kept")
    assert runs.run(open_tiny()).outputs == first.outputs


def test_an_option_reruns_its_stage_and_what_follows(open_tiny: Open) -> None:
    project = open_tiny()
    runs.run(project)
    assert reasons(project, "second.value=20") == {
        "first": "skip: up to date",
        "second": "run: options changed: value 10 -> 20",
        "third": "wait: runs if what comes from there differs (after second)",
    }
    changed = runs.run(project, sets=["second.value=20"])
    assert states(changed) == ["skipped", "succeeded", "succeeded"]
    assert changed.stages[2].reason == "input changed: report from second"


def test_a_stage_whose_inputs_come_out_the_same_is_skipped(open_tiny: Open) -> None:
    project = open_tiny()
    runs.run(project)
    assert states(runs.run(project, sets=["second.units=3"])) == ["skipped", "succeeded", "skipped"]


def test_going_back_to_earlier_options_runs_nothing(open_tiny: Open) -> None:
    project = open_tiny()
    first = runs.run(project)
    runs.run(project, sets=["first.value=5"])
    back = runs.run(project)
    assert back.idle
    assert back.outputs == first.outputs


def test_changed_code_is_named_by_its_module(open_tiny: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "measured"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "steps.py").write_text("RATE = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    project = open_tiny('[stages.only]\nstep = "measured"\n')
    step = replace(project.steps.get("count"), name="measured", code=("measured",))
    project.steps.add("measured", lambda: step)
    runs.run(project)
    (package / "steps.py").write_text("RATE = 2\n")
    assert reasons(project)["only"] == "run: code changed: measured.steps"


def test_what_is_read_from_outside_counts(open_tiny: Open, tmp_path: Path) -> None:
    project = open_tiny('[stages.read]\nstep = "outside"\n')
    runs.run(project)
    (tmp_path / "outside.txt").write_text("new")
    assert reasons(project) == {"read": "run: what it reads from outside changed"}


def test_an_output_that_is_gone_is_made_again(open_tiny: Open) -> None:
    project = open_tiny()
    made = runs.run(project).outputs["third"]["report"]
    project.ledger.artifacts.remove([made])
    assert reasons(project)["third"] == "run: an output is no longer there"
    assert runs.run(project).outputs["third"]["report"] == made


def test_force_runs_the_named_stages_only(open_tiny: Open) -> None:
    project = open_tiny()
    runs.run(project)
    forced = runs.run(project, stages=["second"], force=True)
    assert [(outcome.stage, str(outcome.state)) for outcome in forced.stages] == [
        ("first", "skipped"),
        ("second", "succeeded"),
    ]
    assert forced.stages[1].reason == "forced"


def test_a_run_is_on_record_with_all_that_decided_it(open_tiny: Open) -> None:
    project = open_tiny()
    result = runs.run(project)
    view = runs.show(project, "second")
    run = view.run
    assert run.status is RunStatus.SUCCEEDED
    assert run.pipeline == result.pipeline
    assert run.params == {"value": 10, "units": 2, "seconds": 0.0, "wrong": "", "inner": {"depth": 1}}
    assert run.inputs == result.outputs["first"]
    assert run.outputs == result.outputs["second"]
    assert run.metrics == {"loss": 0.5, "total": 11.0}
    assert [(point.step, point.value) for point in view.curves["loss"]] == [(0, 1.0), (1, 0.5)]
    assert project.ledger.artifacts.get(run.outputs["report"]).size > 0


def test_runs_are_searched(open_tiny: Open) -> None:
    project = open_tiny()
    runs.run(project)
    found = runs.search(project, RunQuery(where="metrics.total > 5 and stage = 'second'"))
    assert [run.stage for run in found] == ["second"]
    assert [run.stage for run in runs.listing(project)] == ["third", "second", "first"]


def test_progress_tells_stages_tasks_and_facts(open_tiny: Open) -> None:
    project = open_tiny()
    progress = RecordingProgress()
    runs.run(project, stages=["first"], progress=progress)
    assert progress.labels == ["", "counting"]
    assert progress.tasks[1].done == 2
    assert progress.facts["unit"] == 1
    assert progress.facts["state"] == "succeeded"


def test_gates_are_stored_before_anything_runs(open_tiny: Open) -> None:
    project = open_tiny('[stages.first]\nstep = "count"\n[stages.gate]\nstep = "judge"\nvalue = 7\n')
    runs.run(project)
    tinysteps = import_module("tinysteps")
    gate = tinysteps.rule(tinysteps.Options(value=7), "gate")
    stored, at = project.ledger.verdicts.gate(gate.digest)
    assert stored == gate
    assert at <= runs.show(project, "first").run.started
    assert [record.action for record in project.ledger.audit.records()] == ["gate.set"]


def test_nothing_runs_when_a_later_stage_is_wrong(open_tiny: Open, tmp_path: Path) -> None:
    project = open_tiny(LINE.replace("value = 100", "valu = 100"))
    with pytest.raises(Invalid) as wrong:
        runs.run(project)
    assert wrong.value.message == "kedge.toml:15: unknown key 'valu' in [stages.third]"
    assert wrong.value.hint == "did you mean 'value'?"
    assert units(tmp_path) == []


def test_an_unknown_step_names_its_line(open_tiny: Open) -> None:
    with pytest.raises(Invalid) as wrong:
        runs.run(open_tiny(LINE.replace('"count"', '"cuont"')))
    assert wrong.value.message == "kedge.toml:6: no step is called 'cuont'"
    assert wrong.value.hint == "did you mean 'count'?"


def test_a_wrong_input_names_its_line(open_tiny: Open) -> None:
    with pytest.raises(Invalid) as wrong:
        runs.run(open_tiny(LINE.replace("value = 100", 'inputs = { report = "secnd" }')))
    assert wrong.value.message == "kedge.toml:15: stage 'third': no stage is called 'secnd'"
    assert wrong.value.hint == "did you mean 'second'?"


def test_explain_changes_nothing(open_tiny: Open) -> None:
    project = open_tiny()
    assert reasons(project)["third"] == "run: never run (after second)"
    assert runs.listing(project) == []


def test_a_stage_that_never_ran_cannot_be_shown(open_tiny: Open) -> None:
    with pytest.raises(NotFound) as absent:
        runs.show(open_tiny(), "third")
    assert absent.value.hint == "kedge run third"


def test_the_working_folder_goes_when_the_step_is_done(open_tiny: Open, tmp_path: Path) -> None:
    runs.run(open_tiny())
    assert list((tmp_path / ".kedge" / "work").iterdir()) == []
