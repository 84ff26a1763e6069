from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kedge.cli.main import main


@pytest.fixture
def kedge(yard: Any, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command in the yard's project; gives the exit code and both outputs."""

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["-C", str(yard.project.root), *words])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_promote_says_what_happened_and_that_it_happened_already(yard: Any, kedge: Any) -> None:
    yard.make_version("good")

    first, again = kedge("promote", "letters@1"), kedge("promote", "letters@1")

    assert first[0] == 0
    assert first[1].startswith("letters@production is now letters@1\npermitted by verdict sha256:")
    assert again[:2] == (0, "letters@production is letters@1 already: nothing to do\n")


def test_a_refusal_exits_with_3_and_shows_the_way_on(yard: Any, kedge: Any) -> None:
    yard.make_version("bad", 0.2)

    code, out, err = kedge("promote", "letters@1")

    assert (code, out) == (3, "")
    assert "fail: exact_match 0.2 [0.170, 0.230] against 0.55" in err
    assert "--override" in err


def test_a_refusal_is_one_json_object(yard: Any, kedge: Any) -> None:
    yard.make_version("bad", 0.2)

    code, out, _ = kedge("promote", "letters@1", "--json")

    assert code == 3
    assert json.loads(out)["error"]["code"] == "refused"


def test_override_rollback_and_history(yard: Any, kedge: Any) -> None:
    yard.make_version("good")
    yard.make_version("bad", 0.2)

    kedge("promote", "letters@1")
    kedge("promote", "letters@2", "--override", "a test")
    code, out, _ = kedge("rollback", "letters", "--reason", "worse", "--json")
    history = json.loads(kedge("models", "history", "letters@production", "--json")[1])["history"]

    assert code == 0
    assert (json.loads(out)["after"], json.loads(out)["moved"]) == (1, True)
    assert [(move["after"], move["override"], move["rollback"]) for move in history] == [
        (1, False, False), (2, True, False), (1, False, True),
    ]  # fmt: skip
    told = [line.split() for line in kedge("models", "history", "letters")[1].splitlines()]
    assert any("overridden" in words and words[-2:] == ["a", "test"] for words in told)


def test_models_lists_shows_exports_and_deletes(yard: Any, kedge: Any, tmp_path: Path) -> None:
    yard.make_version("good")
    yard.make_version("bad", 0.2)

    assert "letters@2  candidate  fail" in kedge("models")[1]
    assert json.loads(kedge("models", "list", "--json")[1])["models"][0]["outcome"] == "pass"
    assert "pass       exact_match 0.7" in kedge("models", "show", "letters@1")[1]
    assert "model.safetensors" in kedge("models", "export", "letters@1", str(tmp_path / "out"))[1]
    assert kedge("models", "delete", "letters@1")[0] == 0
    assert kedge("models", "delete", "letters@2")[0] == 3
    assert kedge("models", "show", "letters@1")[0] == 4


def test_a_bundle_can_be_registered_by_hand(yard: Any, kedge: Any) -> None:
    _, bundle = yard.make_bundle("imported")

    assert json.loads(kedge("models", "register", "others", bundle.digest, "--json")[1])["version"] == 1


def test_audit_lists_and_verifies(yard: Any, kedge: Any) -> None:
    yard.make_version("good")

    listed = json.loads(kedge("audit", "list", "--subject", "letters", "--json")[1])["records"]
    code, out, _ = kedge("audit", "verify", "--json")

    assert [record["action"] for record in listed] == ["register", "alias"]
    assert (code, json.loads(out)["whole"], json.loads(out)["records"]) == (0, True, 3)
    assert kedge("audit", "list")[1].count("\n") == 4


def test_a_damaged_chain_exits_with_70_and_names_the_place(yard: Any, kedge: Any) -> None:
    yard.make_version("good")
    database = yard.project.ledger._database
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE audit SET subject = 'other' WHERE seq = 2")

    code, out, _ = kedge("audit", "verify")

    assert code == 70
    assert "record 2 is not what was written" in out


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    paths = (tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    for path, right in zip(paths, (50, 80), strict=True):
        path.write_text("".join(json.dumps({"id": str(i), "score": int(i < right)}) + "\n" for i in range(100)))
    return str(paths[0]), str(paths[1])


def test_two_files_are_compared_anywhere(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *files, "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["n"], found["needed"]) == ("pass", 100, 0)
    assert found["difference"] == pytest.approx(0.3)
    assert found["interval"][0] < 0.3 < found["interval"][1]


def test_the_exit_code_follows_the_verdict_only_when_asked(files: tuple[str, str]) -> None:
    worse = [files[1], files[0]]

    assert main(["compare", *worse]) == 0
    assert main(["compare", *worse, "--gate"]) == 3
    assert main(["compare", *files, "--gate"]) == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not JSON"),
        ("[1]", "no id"),
        ('{"score": 1}', "no id"),
        ('{"id": "x"}', "'score' is not a number"),
        ('{"id": "x", "score": "1"}', "'score' is not a number"),
        ('{"id": "1", "score": 1}', "'1' comes twice"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(
    line: str, said: str, files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with Path(files[0]).open("a") as file:
        file.write(line + "\n")

    assert main(["compare", *files]) == 2
    assert f"a.jsonl:101: {said}" in capsys.readouterr().err
