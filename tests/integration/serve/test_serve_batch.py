"""`kedge batch`: a file of requests answered by a version or an endpoint, stopped at any moment and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from kedge.app.batch import batch
from kedge.cli.main import main
from kedge.core.errors import Conflict, Invalid, KedgeError
from kedge.core.trace import parse_receipt
from kedge.testing.progress import RecordingProgress

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"


def request(id: str, url: str = CHAT, **body: Any) -> dict[str, Any]:
    asked = body or {"messages": [{"role": "user", "content": f"say {id}"}]}
    return {"custom_id": id, "method": "POST", "url": url, "body": {"model": "words", **asked}}


def write(path: Path, *requests: Any) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in requests))
    return path


def read(path: Path) -> dict[str, Any]:
    return {line["custom_id"]: line for line in map(json.loads, path.read_text().splitlines())}


@pytest.fixture
def words(line: Any) -> Any:
    line.promote(line.echo("first"))
    return line


def test_a_version_answers_each_line_with_a_receipt(words: Any, tmp_path: Path) -> None:
    source = write(
        tmp_path / "in.jsonl",
        *(request(str(i)) for i in range(20)),
        request("text", TEXT, prompt="a b"),
        request("vectors", "/v1/embeddings", input=["a"]),
        request("wrong", temperature=9, messages=[{"role": "user", "content": "x"}]),
        request("other", model="gpt", messages=[{"role": "user", "content": "x"}]),
    )
    progress = RecordingProgress()
    done = batch(words.project, source, tmp_path / "out.jsonl", to="words@production", progress=progress)
    lines = read(tmp_path / "out.jsonl")
    assert (done.requests, done.answered, done.kept, done.refused) == (24, 24, 0, 2)
    assert progress.tasks[0].done == 24
    assert lines["7"]["response"]["body"]["choices"][0]["message"]["content"] == "first say 7"
    assert lines["7"]["error"] is None
    assert lines["text"]["response"]["body"]["choices"][0]["text"] == "first a b"
    assert (lines["wrong"]["response"]["status_code"], lines["wrong"]["error"]["code"]) == (400, "invalid_value")
    assert lines["other"]["error"]["code"] == "model_not_found"
    receipt = parse_receipt(lines["7"]["response"]["body"]["kedge"]["receipt"], words.project.secret)
    assert words.project.traces.get(receipt.trace).answer == "first say 7"
    assert lines["7"]["response"]["request_id"] == receipt.trace


def test_an_endpoint_answers_by_name_and_by_url(words: Any, serve: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("THE_KEY", words.secret)
    source = write(tmp_path / "in.jsonl", *(request(str(i)) for i in range(5)))
    with serve(words.project) as served:
        for to in ("", "words", f"{served.url}/v1"):
            output = tmp_path / f"{len(to)}.jsonl"
            batch(words.project, source, output, to=to, key="env:THE_KEY")
            assert read(output)["3"]["response"]["body"]["choices"][0]["message"]["content"] == "first say 3"


def test_a_killed_batch_goes_on_and_asks_nothing_twice(words: Any, tmp_path: Path) -> None:
    words.promote(words.echo("slow", delay=0.01))
    source = write(tmp_path / "in.jsonl", *(request(str(i)) for i in range(120)))
    output = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "kedge", "-C", str(words.project.root), "batch", str(source), str(output)]
    process = subprocess.Popen([*command, "--to", "words@2", "--at-once", "2"], env=dict(os.environ))
    deadline = time.monotonic() + 60
    while not (parts := list(tmp_path.glob(".out.jsonl.*.part"))) or parts[0].read_bytes().count(b"\n") < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not output.exists()
    with parts[0].open("ab") as torn:
        torn.write(b'{"custom_id": "119", "resp')
    whole = parts[0].read_bytes().count(b"\n")
    done = batch(words.project, source, output, to="words@2")
    assert done.kept == whole
    assert done.answered == 120 - whole
    assert len(read(output)) == output.read_bytes().count(b"\n") == 120
    assert not list(tmp_path.glob(".out.jsonl.*"))


def test_a_finished_batch_is_left_as_it_is(words: Any, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", request("a"))
    first = batch(words.project, source, tmp_path / "out.jsonl", to="words@1")
    written = (tmp_path / "out.jsonl").read_bytes()
    again = batch(words.project, source, tmp_path / "out.jsonl", to="words@1")
    assert (first.answered, again.answered, again.kept) == (1, 0, 1)
    assert (tmp_path / "out.jsonl").read_bytes() == written
    with pytest.raises(Conflict, match="other requests"):
        batch(words.project, write(source, request("b")), tmp_path / "out.jsonl", to="words@1")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ('{"custom_id": "a"}', "in.jsonl:2: not a request"),
        ("not json", "in.jsonl:2: not a request"),
        (json.dumps(request("a")), "was there before"),
        (json.dumps(request("b", "/v1/files")), "is not taken"),
        (json.dumps(request("b", stream=True)), "no streams"),
        ("[" * 100_000, "in.jsonl:2: not a request"),
    ],
)
def test_a_wrong_line_is_named_before_anything_is_asked(words: Any, tmp_path: Path, wrong: str, said: str) -> None:
    source = write(tmp_path / "in.jsonl", request("a"))
    source.write_text(source.read_text() + wrong + "\n")
    with pytest.raises(Invalid, match=said):
        batch(words.project, source, tmp_path / "out.jsonl", to="words@1")
    assert [path.name for path in tmp_path.glob("*.jsonl*")] == ["in.jsonl"]


def test_an_endpoint_that_is_not_there_stops_it_with_the_way_on(
    words: Any, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setenv("THE_KEY", words.secret)
    source = write(tmp_path / "in.jsonl", request("a"))
    with pytest.raises(KedgeError, match="no endpoint 'words'"):
        batch(words.project, source, tmp_path / "out.jsonl", to="words", key="env:THE_KEY")
    arguments = ["-C", str(words.project.root), "batch", str(source), str(tmp_path / "out.jsonl"), "--json"]
    assert main([*arguments, "--to", "words@1"]) == 0
    assert json.loads(capsys.readouterr().out)["answered"] == 1
