"""`kedge data` and `kedge trace` as they are typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.integration.data.conftest import Line

from kedge.cli.main import main
from kedge.core.dataset import Split
from kedge.testing.data import make_examples, write_jsonl

Run = Callable[..., tuple[int, str, str]]

NASTY = (
    b'{"input": "a", "input": "b"}\n{"input": "\\ud800", "target": ""}\n{"input": "x", "n": NaN}\n'
    b'{"input": "x", "n": 123456789012345678901234567890}\n{"input": "\xff"}\n'
    b'{"input": ' + b"[" * 200_000 + b"]" * 200_000 + b"}\nnot json\n[]\n"
)


@pytest.fixture
def kedge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the command in the test's folder: its exit code, and what it wrote to stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(word) for word in words])
        written = capfd.readouterr()
        return code, written.out, written.err

    return run


def told(result: tuple[int, str, str]) -> Any:
    code, out, _ = result
    assert code == 0
    assert out.count("\n") == 1
    return json.loads(out)


def test_nothing_waits_for_pandas_where_it_is_installed(
    kedge: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", [*make_examples(100), *make_examples(3)])
    path.write_bytes(path.read_bytes() + NASTY)
    (tmp_path / "poisoned").mkdir()
    (tmp_path / "poisoned" / "pandas.py").write_text("raise RuntimeError('imported')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "poisoned"))
    assert told(kedge("data", "ingest", "rows.jsonl", "--json"))["rows"] == 100


def test_ingesting_bad_lines_ends_with_one_object_that_counts_them(kedge: Run, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", [*make_examples(100), *make_examples(3)])
    path.write_bytes(path.read_bytes() + NASTY)
    found = told(kedge("data", "ingest", "rows.jsonl", "--json"))
    assert found["dataset"].startswith("sha256:")
    assert (found["name"], found["rows"], found["quarantined"], found["dropped"]) == ("rows", 100, 8, 3)
    assert found["reasons"] == {
        "depth": 1,
        "duplicate-key": 1,
        "duplicate:exact": 3,
        "encoding": 1,
        "json": 1,
        "not-an-object": 1,
        "number:integer": 1,
        "number:nan": 1,
        "surrogate": 1,
    }
    assert (tmp_path / "kedge.toml").exists()
    rejects = told(kedge("data", "rejects", "rows", "--reason", "number", "--json"))
    assert [reject["source"] for reject in rejects["rejects"]] == ["rows.jsonl:106", "rows.jsonl:107"]


def test_a_file_with_nothing_good_in_it_is_an_empty_dataset(kedge: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_bytes(NASTY)
    (tmp_path / "empty.jsonl").write_bytes(b"")
    found = told(kedge("data", "ingest", "bad.jsonl", "empty.jsonl", "--json"))
    assert (found["rows"], found["quarantined"]) == (0, 8)


def test_a_link_that_leads_to_itself_is_recorded(kedge: Run, tmp_path: Path) -> None:
    (tmp_path / "loop.jsonl").symlink_to("loop.jsonl")
    found = told(kedge("data", "ingest", "loop.jsonl", "--json"))
    assert (found["rows"], found["reasons"]) == (0, {"unreadable": 1})


def test_ingesting_again_makes_a_version_only_if_something_changed(kedge: Run, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", make_examples(50))
    first = told(kedge("data", "ingest", path, "--json"))
    assert told(kedge("data", "ingest", path, "--json")) == first  # not even run again
    write_jsonl(path, [*make_examples(50), *make_examples(2, begin=90)])
    second = told(kedge("data", "ingest", path, "--json"))
    assert told(kedge("data", "ingest", path, "--json")) == second
    versions = told(kedge("data", "list", "--json"))
    assert [(each["digest"], each["version"], each["parent"]) for each in versions] == [
        (first["dataset"], 1, ""),
        (second["dataset"], 2, first["dataset"]),
    ]
    found = told(kedge("data", "diff", "rows@1", "rows@2", "--json"))
    assert (found["added"], found["removed"], found["kept"]) == (2, 0, 50)
    assert "added" in kedge("data", "diff", "rows@1", "rows")[1]


def test_what_was_there_before_is_a_version_again(kedge: Run, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    for count in (50, 52, 50, 50, 52, 52):
        write_jsonl(path, make_examples(count))
        assert told(kedge("data", "ingest", path, "--json"))["rows"] == count
    assert [each["rows"] for each in told(kedge("data", "list", "--json"))] == [50, 52, 50, 52]


def test_every_kind_of_file_is_taken_in_at_once(kedge: Run, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    write_jsonl(folder / "a.jsonl", make_examples(2))
    pq.write_table(pa.table({"prompt": ["what is b?"], "completion": ["b"]}), folder / "b.parquet")
    (folder / "c.txt").write_text("A paragraph of text.\n\nAnd another one, which is longer.\n")
    (folder / "d.py").write_text("class A:\n    def method(self): ...\n")
    (folder / "e.bin").write_bytes(b"\0")
    found = told(kedge("data", "ingest", folder, "--test", 0, "--validation", 0, "--json"))
    assert (found["name"], found["rows"]) == ("mixed", 6)


def test_a_row_tells_its_history_and_a_dataset_its_log(kedge: Run, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", [*make_examples(40), *make_examples(1)])
    first = told(kedge("data", "ingest", path, "--licence", "cc0-1.0", "--json"))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:20], '{"input": "written anew", "target": "1"}', *lines[21:]]) + "\n")
    told(kedge("data", "ingest", path, "--licence", "cc0-1.0", "--json"))
    newest, oldest = told(kedge("data", "log", "rows", "--json"))
    assert (newest["added"], newest["removed"], newest["changed"]) == (0, 0, 1)
    assert newest["written"] < oldest["written"]
    assert (oldest["version"]["digest"], oldest["added"]) == (first["dataset"], 40)
    assert "+0 -0 ~1" in kedge("data", "log", "rows")[1]
    (was, became), *_ = told(kedge("data", "diff", "rows@1", "rows@2", "--json"))["changed_rows"]
    history = told(kedge("data", "why", was, "--json"))
    assert [(version["dataset"], version["fate"]) for version in history["versions"]] == [
        ("rows@1", "kept"),
        ("rows@2", "gone"),
    ]
    assert history["source"] == "rows.jsonl:21"
    shown = kedge("data", "why", became)[1]
    assert "read from rows.jsonl:21 by files" in shown
    assert "left as it was" in shown
    rejected = told(kedge("data", "rejects", "rows", "--json"))["rejects"][0]
    assert "the same as" in kedge("data", "why", rejected["row"])[1]
    kept = rejected["detail"].rpartition(" ")[2]
    assert f"{rejected['row']} from" in kedge("data", "why", kept)[1]
    assert "No model on record learned" in kedge("data", "models", kept)[1]


def test_the_card_of_a_version_is_printed_and_written(kedge: Run, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", make_examples(40))
    made = told(kedge("data", "ingest", path, "--licence", "cc0-1.0", "--json"))
    found = told(kedge("data", "card", "rows", "--json"))
    assert (found["@id"], found["license"]) == (made["dataset"], "cc0-1.0")
    assert kedge("data", "card", "rows", "-o", tmp_path / "card.json")[0] == 0
    assert json.loads((tmp_path / "card.json").read_text()) == found


def test_models_that_learned_from_a_row_are_told(kedge: Run, line: Line) -> None:
    at = ("-C", line.project.root)
    row = line.rows(Split.TRAIN)[3]
    assert line.model in told(kedge(*at, "data", "models", row.id, "--json"))["models"]
    assert line.model in kedge(*at, "data", "models", row.id)[1]


def test_patterns_are_expanded_and_a_project_is_made_where_none_is(kedge: Run, tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("a.jsonl", "deep/b.jsonl", "c.txt"):
        (tmp_path / "in" / name).write_text(json.dumps({"text": name}) + "\n")
    (tmp_path / "p").mkdir()
    for pattern in (f"{tmp_path}/in/**/*.jsonl", "in/**/*.jsonl"):
        code, out, said = kedge("-C", "p", "data", "ingest", pattern, "--test", 0, "--validation", 0, "--json")
        assert (code, json.loads(out)["rows"]) == (0, 2), said
    assert (tmp_path / "p" / "kedge.toml").exists()


def test_fields_and_names_can_be_given(kedge: Run, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", [{"q": "one question", "a": "1"}, {"q": "quite another", "a": "2"}])
    found = told(kedge("data", "ingest", path, "--name", "faq", "--input", "q", "--target", "a", "--json"))
    assert (found["name"], found["rows"]) == ("faq", 2)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("data", "ingest", "none.jsonl"), 4, "no such file or folder"),
        (("data", "ingest", "rows.csv", "--source", "jsonx"), 4, "no source is called"),
        (("data", "ingest", "rows.csv", "--name", "Not A Name"), 2, "not a valid dataset name"),
        (("data", "ingest"), 2, "Missing argument"),
    ],
)
def test_what_cannot_be_taken_in_is_an_error(kedge: Run, tmp_path: Path, words: Any, code: int, said: str) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n")
    found = kedge(*words)
    assert found[0] == code
    assert said in found[2]


def test_looking_at_data_outside_a_project_is_an_error(kedge: Run) -> None:
    code, _, said = kedge("data", "list")
    assert code == 4
    assert "no kedge.toml" in said


def test_a_dataset_a_row_and_its_rejects_are_drawn(kedge: Run, line: Line) -> None:
    at = ("-C", line.project.root)
    row = line.rows(Split.TRAIN)[0]
    assert "library@1" in kedge(*at, "data", "list")[1]
    shown = kedge(*at, "data", "show", "library")[1]
    assert line.dataset in shown
    assert "duplicate:exact" in shown
    assert "module" in shown
    shown = kedge(*at, "data", "show", row.id[:10])[1]
    assert row.input in shown
    assert row.source in shown
    assert "leak:name" in kedge(*at, "data", "rejects", "library", "--reason", "leak", "--limit", 2)[1]


def test_an_export_is_read_by_other_tools(kedge: Run, tmp_path: Path, line: Line) -> None:
    found = told(kedge("-C", line.project.root, "data", "export", "library", tmp_path / "out", "--json"))
    tables = {"train.parquet", "test.parquet", "validation.parquet"}
    assert set(found["files"]) == {*tables, "manifest.json", "croissant.json", "README.md"}
    table = pq.read_table(tmp_path / "out" / "test.parquet")
    assert table.num_rows == len(line.rows(Split.TEST))
    assert table.schema.field("args").type == pa.int64()
    code, _, said = kedge("-C", line.project.root, "data", "export", "library", tmp_path / "out")
    assert code == 5
    assert "is there already" in said


def test_an_answer_is_traced_as_a_tree_and_as_an_object(kedge: Run, line: Line) -> None:
    row = line.rows(Split.TRAIN)[30]
    receipt = line.answered(100, row.input, row.target)
    found = told(kedge("-C", line.project.root, "trace", receipt, "--json"))
    assert [found["bundle"], found["model"], found["dataset"]["digest"]] == [line.bundle, line.model, line.dataset]
    assert found["rows"][0]["id"] == row.id
    tree = kedge("-C", line.project.root, "trace", receipt)[1]
    order = ["answer", row.input, line.bundle, line.model, "trained", line.dataset, row.id, row.source]
    assert [tree.index(part) for part in order] == sorted(tree.index(part) for part in order)


def test_a_row_is_traced_as_a_tree_and_as_an_object(kedge: Run, line: Line) -> None:
    row = line.rows(Split.TRAIN)[30]
    found = told(kedge("-C", line.project.root, "trace", row.id, "--json"))
    assert line.model in found["models"]
    tree = kedge("-C", line.project.root, "trace", row.id)[1]
    assert "learned" in tree
    assert "headers@1" in tree
    held_out = kedge("-C", line.project.root, "trace", line.rows(Split.TEST)[0].id)[1]
    assert "No model on record learned from this row." in held_out


def test_a_lost_trace_and_a_forged_receipt_are_told_apart(kedge: Run, line: Line) -> None:
    receipt = line.receipt(12345)
    code, tree, _ = kedge("-C", line.project.root, "trace", receipt)
    assert code == 0
    assert "not kept" in tree
    assert "gap" in tree
    code, out, _ = kedge("-C", line.project.root, "trace", receipt[:-1] + "g", "--json")
    assert (code, json.loads(out)["error"]["code"]) == (2, "invalid")
    forged = receipt[:-2] + ("00" if receipt[-2:] != "00" else "11")
    code, out, _ = kedge("-C", line.project.root, "trace", forged, "--json")
    assert (code, json.loads(out)["error"]["code"]) == (3, "refused")
