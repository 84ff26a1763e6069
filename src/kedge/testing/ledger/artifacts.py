"""What a ledger must do with artifacts."""

from __future__ import annotations

import pytest

from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.errors import Invalid, NotFound, Refused
from kedge.core.ledger import Ledger
from kedge.core.run import RunStatus
from kedge.testing.ledger.make import add_artifact, add_version, at, make_digest, make_run, send_release


class ArtifactsConformance:
    """Artifacts, holds, and what cannot be removed."""

    def test_an_artifact_comes_back_as_it_was_added(self, ledger: Ledger) -> None:
        artifact = Artifact(digest=make_digest("a"), kind=ArtifactKind.DATASET, size=2**40)
        ledger.artifacts.add(artifact, at=at())
        assert ledger.artifacts.get(artifact.digest) == artifact

    def test_adding_again_changes_nothing(self, ledger: Ledger) -> None:
        add_artifact(ledger, "a")
        add_artifact(ledger, "a")
        assert len(ledger.artifacts.all()) == 1

    def test_all_are_listed_oldest_first(self, ledger: Ledger) -> None:
        for seconds, name in ((2, "c"), (0, "a"), (1, "b")):
            artifact = Artifact(digest=make_digest(name), kind=ArtifactKind.MODEL, size=1)
            ledger.artifacts.add(artifact, at=at(seconds))
        assert [artifact.digest for artifact in ledger.artifacts.all()] == [make_digest(name) for name in "abc"]

    def test_a_unique_prefix_of_the_digest_is_enough(self, ledger: Ledger) -> None:
        digest = add_artifact(ledger, "a")
        assert ledger.artifacts.get(digest[:13]).digest == digest
        assert ledger.artifacts.get(digest.removeprefix("sha256:")[:6]).digest == digest

    def test_an_ambiguous_prefix_is_invalid(self, ledger: Ledger) -> None:
        for end in "01":
            ledger.artifacts.add(Artifact(digest="sha256:" + "a" * 63 + end, kind=ArtifactKind.MODEL, size=1), at=at())
        with pytest.raises(Invalid):
            ledger.artifacts.get("a" * 63)

    @pytest.mark.parametrize("text", ["", "abc", "sha256:abc", "zzzzzz", "sha512:abcdef", "%%%%%%"])
    def test_what_is_no_digest_is_invalid(self, ledger: Ledger, text: str) -> None:
        with pytest.raises(Invalid):
            ledger.artifacts.get(text)

    def test_an_unknown_digest_is_not_found(self, ledger: Ledger) -> None:
        with pytest.raises(NotFound):
            ledger.artifacts.get(make_digest("nothing"))

    def test_removed_artifacts_are_gone(self, ledger: Ledger) -> None:
        kept, *gone = [add_artifact(ledger, name) for name in "abc"]
        ledger.artifacts.remove([*gone, make_digest("never there")])
        assert [artifact.digest for artifact in ledger.artifacts.all()] == [kept]

    def test_a_held_artifact_is_not_removed_until_released(self, ledger: Ledger) -> None:
        digest = add_artifact(ledger, "a")
        ledger.artifacts.hold(digest, "audit in progress")
        with pytest.raises(Refused, match="audit in progress"):
            ledger.artifacts.remove([digest])
        ledger.artifacts.release(digest)
        ledger.artifacts.remove([digest])
        assert ledger.artifacts.all() == []

    def test_holds_are_listed_with_their_newest_reason(self, ledger: Ledger) -> None:
        digest = add_artifact(ledger, "a")
        ledger.artifacts.hold(digest, "first")
        ledger.artifacts.hold(digest, "second")
        assert ledger.artifacts.holds() == {digest: "second"}

    def test_holding_or_releasing_what_is_not_there_is_not_found(self, ledger: Ledger) -> None:
        with pytest.raises(NotFound):
            ledger.artifacts.hold(make_digest("nothing"), "why")
        with pytest.raises(NotFound):
            ledger.artifacts.release(add_artifact(ledger, "a"))

    def test_the_parts_of_a_registered_version_are_not_removed(self, ledger: Ledger) -> None:
        version = add_version(ledger)
        for digest in (version.bundle, version.model):
            with pytest.raises(Refused, match="schemas@1"):
                ledger.artifacts.remove([digest])

    def test_nothing_is_removed_if_one_of_many_is_refused(self, ledger: Ledger) -> None:
        free = add_artifact(ledger, "free")
        held = add_artifact(ledger, "held")
        ledger.artifacts.hold(held, "keep")
        with pytest.raises(Refused):
            ledger.artifacts.remove([free, held])
        assert len(ledger.artifacts.all()) == 2

    def test_inputs_of_a_running_run_are_not_removed(self, ledger: Ledger) -> None:
        digest = add_artifact(ledger, "data")
        ledger.runs.start(make_run(inputs={"dataset": digest}))
        with pytest.raises(Refused, match="run-1"):
            ledger.artifacts.remove([digest])
        ledger.runs.finish("run-1", RunStatus.SUCCEEDED, ended=at(1))
        ledger.artifacts.remove([digest])
        assert ledger.artifacts.all() == []

    def test_the_bundle_an_endpoint_serves_is_not_removed(self, ledger: Ledger) -> None:
        version = add_version(ledger)
        send_release(ledger, version)
        with pytest.raises(Refused):
            ledger.artifacts.remove([version.bundle])
