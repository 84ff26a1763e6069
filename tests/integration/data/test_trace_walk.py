"""From an answer back to the rows behind it, and from a row to all it touched."""

from __future__ import annotations

import json

import msgspec
import pytest
from tests.integration.data.conftest import Line, make_model

from kedge.app.touched import Touched
from kedge.app.trace import Walk, plain_text, trace
from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.bundle import Bundle
from kedge.core.dataset import Row, Split
from kedge.core.errors import Broken, Invalid, NotFound, Refused
from kedge.registry.bundle import write_bundle


def walked(line: Line, receipt: str, **options: object) -> Walk:
    found = trace(line.project, receipt, patience=0.0, **options)  # type: ignore[arg-type]  # the test's own
    assert isinstance(found, Walk)
    return found


def reached(line: Line, row: Row) -> Touched:
    found = trace(line.project, row.id)
    assert isinstance(found, Touched)
    return found


def test_an_answer_leads_to_the_rows_it_came_from(line: Line) -> None:
    row = line.rows(Split.TRAIN)[100]
    found = walked(line, line.answered(1, row.input, row.target))
    assert (found.bundle, found.model, found.versions) == (line.bundle, line.model, ("headers@1",))
    assert found.run is not None
    assert found.run.step == "train"
    assert found.dataset is not None
    assert (found.dataset.digest, found.dataset.name, found.index) == (line.dataset, "library", line.index)
    assert len(found.rows) == 5
    nearest = found.rows[0]
    assert (nearest.id, nearest.similarity, nearest.source) == (row.id, 1.0, row.source)
    assert nearest.file == f"{line.project.root}/{row.source}"
    assert found.gaps == ()


def test_chat_messages_are_searched_by_what_they_say(line: Line) -> None:
    row = line.rows(Split.TRAIN)[50]
    prompt = json.dumps([{"role": "system", "content": "-"}, {"role": "user", "content": row.input}])
    assert walked(line, line.answered(2, prompt, row.target)).rows[0].id == row.id


def test_the_walk_is_one_object_of_digests_and_ids(line: Line) -> None:
    told = json.loads(msgspec.json.encode(walked(line, line.answered(3, "def f(a):", "{}"))))
    assert told["bundle"] == line.bundle
    assert told["dataset"]["digest"] == line.dataset
    assert all(len(row["id"]) == 32 for row in told["rows"])


def test_a_forged_receipt_is_refused(line: Line) -> None:
    receipt = line.receipt(1)
    forged = receipt[:-1] + ("0" if receipt[-1] != "0" else "1")
    with pytest.raises(Refused, match="not issued by this project"):
        trace(line.project, forged)
    other = line.receipt(1).replace(line.bundle[7:], "b" * 64)
    with pytest.raises(Refused):
        trace(line.project, other)
    for malformed in ("rcpt_", "rcpt_abc", receipt + "0"):
        with pytest.raises(Invalid):
            trace(line.project, malformed)
    with pytest.raises(Invalid, match="neither a receipt nor a row id"):
        trace(line.project, "hello")


def test_a_receipt_whose_trace_is_lost_still_leads_from_the_bundle(line: Line) -> None:
    found = walked(line, line.receipt(999))
    assert found.answer is None
    assert (found.model, found.dataset and found.dataset.digest) == (line.model, line.dataset)
    assert found.rows == ()
    assert "dropped or is purged" in found.gaps[0]
    row = line.rows(Split.TRAIN)[3]
    assert walked(line, line.receipt(999), text=f"{row.input} {row.target}").rows[0].id == row.id


def test_a_trace_without_its_texts_says_so(line: Line) -> None:
    receipt = line.answered(9, "", "")
    found = walked(line, receipt)
    assert (found.rows, found.gaps) == ((), ("the gateway keeps no texts: --text gives what was answered",))
    assert walked(line, receipt, text=line.rows(Split.TRAIN)[0].input).rows


def test_a_trace_about_another_bundle_is_a_damage(line: Line) -> None:
    line.answered(4, "a", "b", bundle="sha256:" + "c" * 64)
    with pytest.raises(Broken, match="another bundle"):
        walked(line, line.receipt(4))


def test_without_an_index_every_row_is_read(line: Line) -> None:
    row = line.rows(Split.TRAIN)[20]
    receipt = line.answered(5, row.input, row.target)
    expected = walked(line, receipt)
    size = line.project.ledger.artifacts.get(line.index).size
    line.project.ledger.artifacts.remove([line.index])
    try:
        found = walked(line, receipt)
    finally:
        index = Artifact(digest=line.index, kind=ArtifactKind.REPORT, size=size)
        line.project.ledger.artifacts.add(index, at=line.project.clock.now())
    assert found.index == ""
    assert found.rows == expected.rows


def test_an_imported_model_ends_the_way(line: Line) -> None:
    model = make_model(line.project, b"imported")
    bundle = write_bundle(line.project.blobs, Bundle(model=model.digest))
    found = walked(line, line.answered(6, "a", "b", bundle=bundle.digest))
    assert (found.model, found.run, found.dataset, found.rows) == (model.digest, None, None, ())
    assert found.gaps == ("no run on record trained this model from a dataset: it was imported",)


def test_the_way_leads_through_models_made_from_models(line: Line) -> None:
    row = line.rows(Split.TRAIN)[10]
    pruned = make_model(line.project, b"pruned")
    line.record("prune", {"model": line.model}, {"model": pruned})
    bundle = write_bundle(line.project.blobs, Bundle(model=pruned.digest))
    line.record("bundle", {"model": pruned.digest}, {"bundle": bundle})
    found = walked(line, line.answered(7, row.input, row.target, bundle=bundle.digest))
    assert found.dataset is not None
    assert found.rows[0].id == row.id
    models = reached(line, row).models
    assert set(models) == {line.model, pruned.digest}


def test_a_training_row_leads_to_the_models_and_answers_it_touched(line: Line) -> None:
    before = line.project.traces.count(bundle=line.bundle)
    line.answered(8, "a", "b")
    found = reached(line, line.rows(Split.TRAIN)[0])
    assert [(each.digest, each.split) for each in found.datasets] == [(line.dataset, Split.TRAIN)]
    learned = {run.step: run.learned for run in found.runs}
    assert learned["train"]
    assert not learned["index"]
    assert not learned["evaluate"]
    bundle = next(each for each in found.bundles if each.digest == line.bundle)
    assert (bundle.model, bundle.versions, bundle.answers) == (line.model, ("headers@1",), before + 1)
    assert "headers@1" in found.versions
    assert found.answers >= before + 1


def test_a_held_out_row_touched_no_model(line: Line) -> None:
    found = reached(line, line.rows(Split.TEST)[0])
    assert found.datasets[0].split is Split.TEST
    assert (found.models, found.bundles, found.answers) == ((), (), 0)
    assert {run.step for run in found.runs} >= {"train", "evaluate"}
    assert not any(run.learned for run in found.runs)


def test_a_row_nobody_knows_is_not_found(line: Line) -> None:
    with pytest.raises(NotFound, match="no row"):
        trace(line.project, "f" * 32)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("plain", "plain"),
        ("def f(): {", "def f(): {"),
        ('{"name": "f", "args": []}', '{"name": "f", "args": []}'),
        ('[{"role": "user", "content": "a"}, {"role": "assistant", "content": null}]', "a"),
        ('[{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}]}]', "a"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "a"),
        ('{"prompt": "a"}', "a"),
        ('{"prompt": ["a", "b"]}', "a\nb"),
        ("[1, 2]", "[1, 2]"),
        ("{broken", "{broken"),
    ],
)
def test_the_text_of_a_prompt_is_what_was_said(given: str, text: str) -> None:
    assert plain_text(given) == text
