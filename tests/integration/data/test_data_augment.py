"""`kedge data augment` with a model behind an endpoint: asked at once, in order, never twice, and never told who we are."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kedge.app.ingest import IngestOptions, ingest
from kedge.app.project import open_project
from kedge.app.rewrites import RewriteOptions
from kedge.app.shape import Augmented, Method, MoreOptions, make_more
from kedge.cli.main import main
from kedge.core.errors import Invalid, Unauthenticated, Unavailable
from kedge.testing.data import make_examples, write_jsonl
from kedge.testing.progress import RecordingProgress
from kedge.testing.scripted import Scripted, scripted


@pytest.fixture
def server() -> Iterator[Scripted]:
    """Says what it was given backwards."""
    with scripted() as made:
        made.say = lambda body: text_of(body)[::-1]
        yield made


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a dataset of thirty rows, all for training."""
    write_jsonl(tmp_path / "rows.jsonl", make_examples(30))
    ingest(tmp_path, [str(tmp_path / "rows.jsonl")], IngestOptions(test=0, validation=0))
    return tmp_path


def text_of(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"]).partition("\n\n")[2]


def make(folder: Path, server: Scripted, method: Method = "paraphrase", *, copies: int = 1, **how: Any) -> Augmented:
    options = RewriteOptions(endpoint=server.url, model="m", **how)
    project = open_project(folder)
    try:
        return make_more(
            project, "rows", folder / "more.jsonl", MoreOptions(method=method, copies=copies, anew=options)
        )
    finally:
        project.close()


def read(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "more.jsonl").read_text().splitlines()]


def test_each_made_row_follows_its_parent_and_names_how_it_was_made(project: Path, server: Scripted) -> None:
    made = make(project, server, seed=5)
    rows = read(project)
    assert (made.rows, made.made, made.refused, len(rows)) == (60, 30, 0, 60)
    for row, said in zip(rows[::2], rows[1::2], strict=True):
        assert "generator" not in row
        assert (said["parent"], said["target"], said["input"]) == (row["parent"], row["target"], row["input"][::-1])
        assert said["generator"] == "paraphrase"
        assert said["generator_settings"]["seed"] == 5
        assert said["generator_settings"]["endpoint"] == server.url


def test_a_text_goes_into_another_language_and_back(project: Path, server: Scripted) -> None:
    make(project, server, "back-translation", into="Finnish", language="English")
    asked = [str(body["messages"][-1]["content"]) for body in server.asked]
    assert len(asked) == 60
    assert sum("into Finnish" in each for each in asked) == sum("into English" in each for each in asked) == 30
    rows = read(project)
    assert len(rows) == 30  # turned round twice is what it was: nothing new


def test_copies_are_asked_for_with_seeds_of_their_own(project: Path, server: Scripted) -> None:
    server.say = lambda body: f"{body['seed']} {text_of(body)}"
    assert make(project, server, copies=3, seed=10).made == 90
    assert {body["seed"] for body in server.asked} == {10, 11, 12}


def test_what_was_answered_before_a_fault_is_not_asked_again(project: Path, server: Scripted) -> None:
    down = {"at": 12}

    def say(body: dict[str, Any]) -> Any:
        if len(server.asked) > down["at"]:
            return 404, b"{}", {}
        return text_of(body)[::-1]

    server.say = say
    with pytest.raises(Exception, match="answers 404"):
        make(project, server, concurrency=1)
    assert not (project / "more.jsonl").exists()
    answered = [text_of(body) for body in server.asked[:12]]
    down["at"] = 10**6
    server.asked.clear()
    assert make(project, server, concurrency=1).made == 30
    again = {text_of(body) for body in server.asked}
    assert len(again) == 18
    assert not again & set(answered)


def test_several_are_asked_at_once_and_the_file_is_the_same(project: Path, server: Scripted) -> None:
    make(project, server, concurrency=1)
    alone = (project / "more.jsonl").read_bytes()
    (project / "more.jsonl").unlink()
    for kept in (project / ".kedge" / "cache" / "rewrites").iterdir():
        kept.unlink()
    make(project, server, concurrency=6)
    assert (project / "more.jsonl").read_bytes() == alone
    assert server.most <= 6


def test_a_text_that_the_endpoint_minds_is_counted_and_its_row_stays(project: Path, server: Scripted) -> None:
    server.say = lambda body: (400, b'{"error": {"message": "no"}}', {}) if " 5 " in text_of(body) else "said anew"
    made = make(project, server)
    assert (made.refused, made.made, made.rows) == (1, 29, 59)


def test_an_endpoint_that_is_down_is_said_to_be_so(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    nobody = Scripted(url=f"http://127.0.0.1:{port}/v1")
    opened_ = open_project(project)
    try:
        made = MoreOptions(method="paraphrase", anew=RewriteOptions(endpoint=nobody.url, model="m", tries=1))
        with pytest.raises(Unavailable, match="cannot be asked") as raised:
            make_more(opened_, "rows", project / "more.jsonl", made)
    finally:
        opened_.close()
    assert "run it again" in raised.value.hint


def test_a_key_is_a_reference_and_stays_out_of_everything_written(
    project: Path, server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELSEWHERE", "sk-very-secret")
    make(project, server, key="env:ELSEWHERE")
    assert set(server.keys) == {"Bearer sk-very-secret"}
    for path in project.rglob("*"):
        assert not path.is_file() or b"sk-very-secret" not in path.read_bytes()
    with pytest.raises(Invalid, match="must be a reference"):
        make(project, server, key="sk-very-secret")


def test_a_key_that_is_not_taken_is_told(project: Path, server: Scripted) -> None:
    server.say = lambda body: (401, b'{"error": {"message": "no valid key"}}', {})
    with pytest.raises(Unauthenticated, match="does not take the key"):
        make(project, server)


def test_a_password_in_the_url_is_refused(project: Path, server: Scripted) -> None:
    server.url = server.url.replace("http://", "http://me:word@")
    with pytest.raises(Invalid, match="holds no password"):
        make(project, server)


def test_progress_counts_the_rows_read(project: Path, server: Scripted) -> None:
    progress = RecordingProgress()
    opened = open_project(project)
    options = MoreOptions(method="paraphrase", anew=RewriteOptions(endpoint=server.url, model="m"))
    make_more(opened, "rows", project / "more.jsonl", options, progress=progress)
    opened.close()
    assert [(task.total, task.done) for task in progress.tasks] == [(30, 30)]


def test_the_command_takes_it_all(
    project: Path, server: Scripted, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    words = [
        "data",
        "augment",
        "rows",
        "more.jsonl",
        "--method",
        "paraphrase",
        "--endpoint",
        server.url,
        "--model",
        "m",
    ]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["made"] == 30
