"""What a gateway bears: killed engines, bundles that change or cannot load, signals, revoked keys."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from kedge.app import keys, models
from kedge.app.ask import ask
from kedge.app.endpoints import bind
from kedge.app.traffic import traffic
from kedge.cli.main import line as kedge
from kedge.core.bundle import Bundle
from kedge.core.errors import NotFound, Unauthenticated, Unavailable


class Load:
    """Callers that ask one after another until told to stop."""

    def __init__(self, url: str, key: str, *, text: str = "word " * 20) -> None:
        self.statuses: list[int] = []
        self.broken: list[str] = []
        self.said: list[str] = []
        self._url = url
        self._key = key
        self._text = text
        self._over = threading.Event()

    @contextmanager
    def running(self, callers: int) -> Iterator[Load]:
        threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(callers)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in threads:
                thread.join(30)

    def _ask(self) -> None:
        with client(self._url, self._key) as http:
            while not self._over.is_set():
                try:
                    response = http.post("/v1/completions", json={"model": "words", "prompt": self._text})
                except httpx.HTTPError as error:
                    self.broken.append(repr(error))
                    continue
                self.statuses.append(response.status_code)
                if response.status_code == 200:
                    self.said.append(response.json()["choices"][0]["text"].split()[0])


def client(url: str, key: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=60, trust_env=False)


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.02)


def answers_with(line: Any, bundle: str) -> bool:
    return any(beat.bundle == bundle and beat.healthy for beat in line.project.ledger.releases.heartbeats())


def test_a_killed_engine_fails_only_what_is_in_flight(line: Any, serve: Any) -> None:
    line.promote(line.echo("a", delay=0.01))
    with serve(line.project) as served, client(served.url, line.secret) as http:
        load = Load(served.url, line.secret)
        with load.running(8):
            until(lambda: len(load.statuses) > 10)
            (engine,) = served.engines()
            os.kill(engine, signal.SIGKILL)
            response = http.post("/v1/completions", json={"model": "words", "prompt": "next"})
            assert response.status_code in (200, 503)
            until(lambda: served.engines() not in ([], [engine]))
            answered = load.statuses.count(200)
            until(lambda: load.statuses.count(200) > answered + 20)
        assert load.broken == []
        assert set(load.statuses) <= {200, 503}
        assert load.statuses.count(503) <= 9  # fewer, as what had not begun to answer may be asked again
        metrics = http.get("/metrics").text
        assert "kedge_engine_restarts_total 1.0" in metrics
        assert http.get("/health").status_code == 200


@pytest.mark.slow
def test_twenty_swaps_under_load_fail_no_request(line: Any, serve: Any) -> None:
    versions = [line.echo(f"v{i}", delay=0.001) for i in range(4)]
    line.promote(versions[0])
    with serve(line.project) as served:
        load = Load(served.url, line.secret)
        with load.running(6):
            until(lambda: bool(load.said))
            for swap in range(20):
                version = versions[(swap + 1) % len(versions)]
                line.promote(version)
                until(lambda version=version: answers_with(line, version.bundle))  # type: ignore[misc]
            line.promote(versions[1])
            models.rollback(line.project, "words")
            until(lambda: answers_with(line, versions[0].bundle))
            until(lambda: load.said[-1] == "v0")
        assert load.broken == []
        assert set(load.statuses) == {200}
        assert set(load.said) == {"v0", "v1", "v2", "v3"}
        until(lambda: len(served.engines()) == 2)


def test_a_rollback_to_the_bundle_before_takes_less_than_a_second(line: Any, serve: Any) -> None:
    first, second = line.echo("first"), line.echo("second")
    line.promote(first)
    with serve(line.project) as served, client(served.url, line.secret) as http:
        line.promote(second)
        until(lambda: answers_with(line, second.bundle))
        begun = time.monotonic()
        models.rollback(line.project, "words")
        until(lambda: http.get("/v1/models").json()["data"][1]["id"] == "words@1")
        assert time.monotonic() - begun < 2  # 0.2 s to notice, and a busy machine


def test_a_bundle_that_cannot_load_leaves_the_old_one_serving(line: Any, serve: Any) -> None:
    good = line.echo("good")
    bad = line.register({"model.bin": b"\x80\x04N."}, Bundle(model=""))
    line.promote(good)
    with serve(line.project) as served, client(served.url, line.secret) as http:
        line.promote(bad)
        until(lambda: "refused" in line.project.ledger.releases.heartbeats()[0].detail)
        beat = line.project.ledger.releases.heartbeats()[0]
        assert (beat.healthy, beat.bundle) == (True, good.bundle)
        assert http.post("/v1/completions", json={"model": "words", "prompt": "x"}).json()["model"] == "words@1"
        models.rollback(line.project, "words")
        until(lambda: line.project.ledger.releases.heartbeats()[0].detail == "")
        assert served.log.read_text().count("a bundle cannot be loaded") >= 1


def test_a_first_bundle_that_cannot_load_ends_the_command_with_its_reason(line: Any) -> None:
    line.promote(line.register({"model.bin": b"\x80\x04N."}, Bundle(model="")))
    ended = subprocess.run(
        [sys.executable, "-m", "kedge", "-C", str(line.project.root), "serve", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 3
    assert "model.bin is refused" in json.loads(ended.stdout)["error"]["message"]


def test_without_a_release_it_serves_health_and_takes_up_the_first(line: Any, serve: Any) -> None:
    with serve(line.project) as served, client(served.url, line.secret) as http:
        assert served.said[-1]["bundle"] == ""
        assert http.get("/health").status_code == 503
        line.promote(line.echo("first"))
        until(lambda: http.get("/health").status_code == 200)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_streams_finish(line: Any, serve: Any, how: signal.Signals) -> None:
    line.promote(line.echo("a", delay=0.02))
    with serve(line.project) as served:
        streams: queue.Queue[str] = queue.Queue()
        begun = threading.Barrier(5)

        def listen() -> None:
            body = {"model": "words", "prompt": "word " * 60, "max_tokens": 100, "stream": True}
            with (
                client(served.url, line.secret) as http,
                http.stream("POST", "/v1/completions", json=body) as response,
            ):
                text = response.iter_text()
                first = next(text)
                begun.wait(20)
                streams.put(first + "".join(text))

        for _ in range(4):
            threading.Thread(target=listen, daemon=True).start()
        begun.wait(20)
        served.process.send_signal(how)
        whole = [streams.get(timeout=30) for _ in range(4)]
        assert served.process.wait(30) == 0
        assert all(stream.count('"text":" word"') == 60 and stream.endswith("data: [DONE]\n\n") for stream in whole)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{served.url}/health", trust_env=False)
    assert [beat.detail for beat in line.project.ledger.releases.heartbeats()] == ["stopped"]
    assert traffic(line.project, "words").requests == 4


def test_nothing_is_left_of_a_gateway_that_was_killed(line: Any, serve: Any) -> None:
    line.promote(line.echo("a"))
    with serve(line.project) as served:
        engines = served.engines()
        served.process.kill()
        until(lambda: not any(alive(engine) for engine in engines))
    left = list((line.project.root / ".kedge" / "serve").iterdir())
    assert len(left) == 1
    with serve(line.project):
        now = list((line.project.root / ".kedge" / "serve").iterdir())
        assert len(now) == 1
        assert now != left


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_revoked_key_is_refused_within_a_second(line: Any, serve: Any) -> None:
    line.promote(line.echo("a"))
    created = keys.create(line.project, "caller")
    with serve(line.project) as served, client(served.url, created.secret) as http:
        assert http.get("/v1/models").status_code == 200
        assert http.get("/metrics").status_code == 403
        keys.revoke(line.project, created.key.id)
        begun = time.monotonic()
        until(lambda: http.get("/v1/models").status_code == 401)
        assert time.monotonic() - begun < 1.5


@pytest.mark.needs("promtool")
def test_promtool_accepts_the_metrics(line: Any, serve: Any) -> None:
    line.promote(line.echo("a"))
    with serve(line.project) as served, client(served.url, line.secret) as http:
        http.post("/v1/completions", json={"model": "words", "prompt": "x"})
        page = http.get("/metrics").text
    checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    assert "kedge_requests_total" in page


def test_the_first_key_is_made_once_and_no_key_is_ever_logged(line: Any, serve: Any) -> None:
    for key in keys.listing(line.project):
        line.project.ledger.keys.revoke(key.id, at=line.project.clock.now())
    line.promote(line.echo("a"))
    with serve(line.project) as served, client(served.url, line.secret) as http:
        assert http.get("/v1/models").status_code == 401
        http.post("/v1/completions", content=b"{", headers={"authorization": f"Bearer {line.secret}x"})
        assert [said["event"] for said in served.said] == ["ready"]
        served.stop()
        log = served.log.read_text()
    assert line.secret not in log
    assert line.project.secret.decode() not in log
    kept = [
        path for path in line.project.root.rglob("*") if path.is_file() and line.secret.encode() in path.read_bytes()
    ]
    assert kept == []


def test_a_project_without_keys_gets_its_first_one_shown(tmp_path: Path, make_line: Any, serve: Any) -> None:
    with make_line(tmp_path) as line:
        (tmp_path / ".kedge" / "ledger.db").unlink()
        for left in (tmp_path / ".kedge").glob("ledger.db-*"):
            left.unlink()
        line.project.close()
        line.promote(line.echo("a"))
        with serve(line.project) as served:
            shown, ready = served.said
            assert (shown["event"], ready["event"]) == ("key", "ready")
            with client(served.url, shown["key"]) as http:
                assert http.get("/v1/models").status_code == 200
                assert http.get("/metrics").status_code == 200
        with serve(line.project) as served:
            assert [said["event"] for said in served.said] == ["ready"]


def test_ask_prints_the_answer_as_it_comes_and_its_receipt(
    line: Any, serve: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    line.promote(line.echo("a"))
    (tmp_path / "key").write_text(line.secret + "\n")
    with pytest.raises(NotFound, match="no endpoint yet"):
        ask(line.project, "x", key=f"file:{tmp_path}/key")
    bind(line.project)
    with pytest.raises(Unavailable, match="nothing serves"):
        ask(line.project, "x", key=f"file:{tmp_path}/key")
    with serve(line.project):
        until(lambda: any(beat.healthy for beat in line.project.ledger.releases.heartbeats()))
        pieces: list[str] = []
        answered = ask(line.project, "grüße an alle", key=f"file:{tmp_path}/key", piece=pieces.append)
        assert answered.answer == "".join(pieces) == "a grüße an alle"
        assert (answered.model, answered.receipt[:5]) == ("words@1", "rcpt_")
        monkeypatch.setenv("KEDGE_KEY", line.secret)
        shown = CliRunner().invoke(kedge, ["-C", str(line.project.root), "ask", "hello"])
        assert shown.output.startswith("a hello\n")
        assert "receipt  rcpt_" in shown.output
        monkeypatch.setenv("KEDGE_KEY", "kdg_" + "x" * 43)
        with pytest.raises(Unauthenticated, match="not valid"):
            ask(line.project, "x")


def test_a_port_that_is_taken_is_said_to_be(line: Any, serve: Any) -> None:
    line.promote(line.echo("a"))
    with serve(line.project) as served:
        port = served.url.rpartition(":")[2]
        ended = subprocess.run(
            [sys.executable, "-m", "kedge", "-C", str(line.project.root), "serve", "--port", port],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 7
        assert "cannot listen" in ended.stderr
