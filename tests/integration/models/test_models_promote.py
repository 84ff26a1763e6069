from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kedge.app import audit, models
from kedge.app.project import Project
from kedge.app.verdicts import gates_in_force, signer
from kedge.core.errors import Conflict, Invalid, NotFound, Refused
from kedge.core.release import Endpoint, Role


def actions(project: Project) -> list[str]:
    return [record.action for record in project.ledger.audit.records()]


def bind(project: Project) -> None:
    project.ledger.releases.bind(Endpoint(name="letters", model="letters", alias="production"))


def test_a_version_that_passed_takes_production(yard: Any) -> None:
    version = yard.make_version("good")

    move = models.promote(yard.project, version.address)

    assert (move.before, move.after, move.override, move.moved) == (None, 1, False, True)
    assert move.verdict == yard.project.ledger.verdicts.about(version.bundle)[-1].id
    assert actions(yard.project)[-1] == "promote"


def test_registering_points_candidate_at_the_newest_version(yard: Any) -> None:
    yard.make_version("good")
    yard.make_version("better")

    (line,) = [line for line in models.listing(yard.project) if "candidate" in line.aliases]

    assert (line.version.version, line.outcome) == (2, "pass")


def test_registering_again_changes_nothing(yard: Any) -> None:
    version = yard.make_version("good")
    before = actions(yard.project)

    assert models.register(yard.project, "letters", version.bundle).version == 1
    assert actions(yard.project) == before


def test_a_version_that_failed_is_refused_with_its_interval_and_the_refusal_is_audited(yard: Any) -> None:
    version = yard.make_version("bad", 0.2)

    with pytest.raises(Refused) as refused:
        models.promote(yard.project, version.address)

    assert "exact_match 0.2 [0.170, 0.230] against 0.55" in refused.value.message
    assert '--override "the reason"' in refused.value.hint
    assert actions(yard.project)[-1] == "refuse"
    assert [alias.alias for alias in yard.project.ledger.models.aliases()] == ["candidate"]


def test_an_undecided_version_is_refused(yard: Any) -> None:
    with pytest.raises(Refused, match="undecided"):
        models.promote(yard.project, yard.make_version("so-so", 0.55).address)


def test_a_version_that_was_never_judged_is_refused(yard: Any) -> None:
    with pytest.raises(Refused, match="no verdict on letters@1"):
        models.promote(yard.project, yard.make_version("unknown", judged=False).address)


def test_an_override_promotes_and_leaves_its_reason_and_the_objections_in_the_audit_chain(yard: Any) -> None:
    version = yard.make_version("bad", 0.2)

    move = models.promote(yard.project, version.address, override="to show it")

    record = yard.project.ledger.audit.records()[-1]
    assert (move.override, move.reason) == (True, "to show it")
    assert (record.action, record.detail["override"], record.detail["reason"]) == ("promote", True, "to show it")
    assert "exact_match" in record.detail["objections"][0]


def test_an_unprotected_alias_moves_without_a_verdict(yard: Any) -> None:
    version = yard.make_version("unknown", judged=False)

    assert models.promote(yard.project, version.address, "staging").after == 1


def test_promoting_what_is_there_already_writes_nothing(yard: Any) -> None:
    version = yard.make_version("good")
    models.promote(yard.project, version.address)
    before = actions(yard.project)

    move = models.promote(yard.project, version.address)

    assert not move.moved
    assert actions(yard.project) == before
    assert len(models.history(yard.project, "letters@production")) == 1


def test_a_tampered_verdict_does_not_count(yard: Any, open_yard: Callable[[], Project]) -> None:
    version = yard.make_version("good")
    (yard.project.state / "signing.key").unlink()

    with pytest.raises(Refused, match="signature"):
        models.promote(open_yard(), version.address)


def test_the_signing_key_is_private(yard: Any) -> None:
    yard.make_version("good")

    assert (yard.project.state / "signing.key").stat().st_mode & 0o777 == 0o600


def test_a_verdict_rewritten_in_the_ledger_does_not_count(yard: Any) -> None:
    version = yard.make_version("bad", 0.2)
    with yard.project.ledger._database.write() as connection:
        connection.exec_driver_sql("UPDATE verdicts SET body = replace(body, 'fail', 'pass'), outcome = 'pass'")

    with pytest.raises(Refused, match="signature"):
        models.promote(yard.project, version.address)


def test_a_gate_set_after_the_evaluation_began_does_not_count(open_yard: Callable[[], Project], make_yard: Any) -> None:
    yard = make_yard(open_yard())
    version = yard.make_version("good")
    yard.set_gate()

    with pytest.raises(Refused, match="was set after the evaluation"):
        models.promote(yard.project, version.address)


def test_each_model_answers_to_the_gate_its_own_stages_name(open_yard: Callable[[], Project], tmp_path: Path) -> None:
    toml = (tmp_path / "kedge.toml").read_text()
    second = toml.split("[stages.gate]")[1].replace("[stages.register]", "[stages.register2]")
    second = second.replace('model = "letters"', 'model = "digits"').replace("0.55", "0.9")
    (tmp_path / "kedge.toml").write_text(f"{toml}\n[stages.strict]{second}")
    project = open_yard()

    assert [gate.name for gate in gates_in_force(project, "letters")] == ["gate"]
    assert [gate.name for gate in gates_in_force(project, "digits")] == ["strict"]
    assert [gate.name for gate in gates_in_force(project, "imported")] == ["gate", "strict"]


def test_processes_that_need_the_signing_key_at_once_agree_on_one(yard: Any) -> None:
    script = (
        "import sys; from kedge.app.project import open_project; from kedge.app.verdicts import signer; "
        "print(signer(open_project(sys.argv[1])).public.hex())"
    )
    command = [sys.executable, "-c", script, str(yard.project.root)]

    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    keys = [process.communicate()[0] for process in processes]

    assert all(process.returncode == 0 for process in processes)
    assert set(keys) == {f"{signer(yard.project).public.hex()}\n"}


def test_a_gate_changed_after_the_evaluation_does_not_count(
    yard: Any, open_yard: Callable[[], Project], tmp_path: Path
) -> None:
    version = yard.make_version("bad", 0.2)
    file = tmp_path / "kedge.toml"
    file.write_text(file.read_text().replace("0.55", "0.1"))

    with pytest.raises(Refused, match="no longer in force"):
        models.promote(open_yard(), version.address)


def test_promotion_sends_the_bundle_to_the_endpoints_that_follow(yard: Any) -> None:
    bind(yard.project)
    version = yard.make_version("good")

    models.promote(yard.project, version.address)

    release = yard.project.ledger.releases.current("letters")[Role.STABLE]
    assert (release.bundle, release.share) == (version.bundle, 1.0)


def test_rollback_returns_to_the_exact_bundle_before(yard: Any) -> None:
    bind(yard.project)
    good, bad = yard.make_version("good"), yard.make_version("bad", 0.2)
    models.promote(yard.project, good.address)
    models.promote(yard.project, bad.address, override="to show it")

    move = models.rollback(yard.project, "letters@production", reason="worse")

    assert (move.before, move.after, move.rollback, move.reason) == (2, 1, True, "worse")
    assert yard.project.ledger.releases.current("letters")[Role.STABLE].bundle == good.bundle
    assert actions(yard.project)[-1] == "rollback"
    with pytest.raises(Refused, match="no earlier version"):
        models.rollback(yard.project, "letters")


def test_rollback_happens_even_when_the_blobs_of_another_version_are_gone(yard: Any) -> None:
    for name in ("one", "two", "three"):
        models.promote(yard.project, yard.make_version(name).address)
    yard.project.blobs.delete(yard.project.ledger.models.version("letters", 1).bundle)

    assert models.rollback(yard.project, "letters").after == 2


def test_history_tells_what_was_in_force_and_why(yard: Any) -> None:
    first, second = yard.make_version("one"), yard.make_version("two")
    models.promote(yard.project, first.address)
    models.promote(yard.project, second.address)
    models.rollback(yard.project, "letters", reason="slower")

    moves = models.history(yard.project, "letters@production")

    assert [(move.after, move.rollback, move.reason) for move in moves] == [
        (1, False, ""),
        (2, False, ""),
        (1, True, "slower"),
    ]


def test_the_version_in_production_cannot_be_deleted(yard: Any) -> None:
    version = yard.make_version("good")
    models.promote(yard.project, version.address)

    with pytest.raises(Refused):
        models.delete(yard.project, version.address)
    assert actions(yard.project)[-1] == "promote"


def test_a_version_nothing_refers_to_can_be_deleted(yard: Any) -> None:
    yard.make_version("one")
    yard.make_version("two")

    assert models.delete(yard.project, "letters@1").version == 1
    assert [line.version.version for line in models.listing(yard.project)] == [2]
    assert actions(yard.project)[-1] == "delete"


@pytest.mark.parametrize("address", ["letters", "letters@candidate"])
def test_deleting_wants_a_version_named(yard: Any, address: str) -> None:
    yard.make_version("one")

    with pytest.raises(Invalid):
        models.delete(yard.project, address)


@pytest.mark.parametrize("address", ["letters@9", "letters@nightly", "letter@1"])
def test_what_does_not_exist_is_not_found(yard: Any, address: str) -> None:
    yard.make_version("one")

    with pytest.raises(NotFound):
        models.promote(yard.project, address)


def test_promotion_wants_a_version_or_alias_named(yard: Any) -> None:
    yard.make_version("one")

    with pytest.raises(Invalid, match="which version"):
        models.promote(yard.project, "letters")


def test_stock_tools_see_versions_and_aliases(yard: Any) -> None:
    version = yard.make_version("good")
    models.promote(yard.project, version.address)

    index = (yard.project.root / ".kedge" / "blobs" / "index.json").read_text()

    assert all(f'"{name}"' in index for name in ("letters-1", "letters-candidate", "letters-production"))


def test_show_gives_the_evidence(yard: Any) -> None:
    yard.make_version("good")

    view = models.show(yard.project, "letters")

    assert (view.version.version, view.aliases) == (1, ("candidate",))
    assert view.verdicts[0].outcome == "pass"
    assert view.bundle["prompt"] == "{input}\n"


def test_export_writes_the_files_and_never_over_others(yard: Any, tmp_path: Path) -> None:
    version = yard.make_version("good")

    exported = models.export(yard.project, version.address, tmp_path / "out")

    assert exported.files == ("config.json", "kedge.json", "model.safetensors")
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == b"good"
    with pytest.raises(Conflict):
        models.export(yard.project, version.address, tmp_path / "out")


def test_promotions_at_once_line_up(yard: Any, open_yard: Callable[[], Project]) -> None:
    versions = [yard.make_version(f"v{i}") for i in range(4)]
    failures: list[Exception] = []

    def promote(project: Project, address: str) -> None:
        try:
            models.promote(project, address)
        except Conflict as conflict:
            failures.append(conflict)

    threads = [threading.Thread(target=promote, args=(open_yard(), v.address)) for v in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    moves = models.history(yard.project, "letters@production")
    assert len(moves) + len(failures) == 4
    assert [move.before for move in moves[1:]] == [move.after for move in moves[:-1]]
    assert audit.verify(yard.project).whole


def test_every_change_is_in_the_audit_chain(yard: Any) -> None:
    version = yard.make_version("good")
    models.promote(yard.project, version.address)

    report = audit.verify(yard.project)

    assert report.whole
    assert [record.action for record in audit.listing(yard.project)] == ["judge", "register", "alias", "promote"]
    assert report.records == 4
    assert datetime.now(UTC) > audit.listing(yard.project)[0].at
