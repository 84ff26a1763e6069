"""From the decision to take a canary back to all traffic on the old bundle, under load, through a real gateway.

    python benchmarks/rollback.py [--rounds 5] [--callers 16] [--wrong 0.3] [--share 0.5] [--json]

Each round starts `kedge serve` on two echo bundles, the new one answering a share of its prompts wrongly, and callers
that ask without a pause. The gateway's own controller withdraws the canary; then the stable bundle is replaced and rolled
back by hand, too. The time is from the audit record's moment to the end of the last answer that the bundle taken back
began after it. Exits 1 if a round takes a second or a request fails.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from pyreqwest.client import SyncClient, SyncClientBuilder

from kedge.app import keys, models, rollouts
from kedge.app.project import Project, open_project
from kedge.core.access import Scope
from kedge.core.artifact import ArtifactKind
from kedge.core.bundle import Bundle
from kedge.core.manifest import write_artifact
from kedge.core.model import ModelVersion
from kedge.core.rollout import RolloutState
from kedge.core.spec import Spec
from kedge.registry.bundle import write_bundle

TARGET = 1.0  # seconds
FILE = """
[project]
name = "words"

[models]
protected = []

[gateway]
watch_seconds = 0.1

[endpoints.words]
model = "words"
port = 0

[endpoints.words.rollout]
steps = [{{ share = {share}, hold = "1h" }}]
quality = ["valid_json"]
latency = 0
sticky = "request"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request: when it began and ended (seconds since the epoch), its status and the bundle that answered."""

    began: float
    ended: float
    status: int
    bundle: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round saw. Times are in seconds, `bad` counts the canary's wrong answers."""

    withdrawn_after: float
    withdrawn_to_old: float
    rollback_to_old: float
    requests: int
    failed: int
    canary: int
    bad: int


class Load:
    """Callers that ask without a pause until they are stopped."""

    def __init__(self, url: str, key: str, callers: int) -> None:
        self.asked: list[Asked] = []
        self._url = url + "/v1/completions"
        self._key = key
        self._going = True
        self._threads = [threading.Thread(target=self._call, args=(number,)) for number in range(callers)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._going = False
        for thread in self._threads:
            thread.join()

    def _call(self, caller: int) -> None:
        headers = {"authorization": f"Bearer {self._key}"}
        with SyncClientBuilder().default_headers(headers).no_proxy().build() as client:
            number = 0
            while self._going:
                number += 1
                self.asked.append(self._ask(client, json.dumps([caller, number])))

    def _ask(self, client: SyncClient, prompt: str) -> Asked:
        body = {"model": "words", "prompt": prompt, "max_tokens": 8}
        began = time.time()
        response = client.post(self._url).body_json(body).build().send()
        told = response.json()
        bundle = told["kedge"]["bundle"] if response.status == 200 else ""
        return Asked(began=began, ended=time.time(), status=response.status, bundle=bundle)


def register(project: Project, name: str, wrong: float) -> ModelVersion:
    """An echo that answers some prompts wrongly, as the next version of `words`."""
    model = write_artifact(project.blobs, ArtifactKind.MODEL, {}, {"name.txt": name.encode()})
    bundle = Bundle(model=model.digest, engine=Spec(name="echo", args={"wrong": wrong}))
    artifact = write_bundle(project.blobs, bundle)
    for each in (model, artifact):
        project.ledger.artifacts.add(each, at=project.clock.now())
    return models.register(project, "words", artifact.digest)


@contextmanager
def serving(project: Project) -> Iterator[str]:
    """`kedge serve` beside this process; its URL."""
    command = [sys.executable, "-m", "kedge", "-C", str(project.root), "serve", "--json"]
    with (project.root / "serve.log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=dict(os.environ))
    assert process.stdout is not None
    try:
        ready = next(line for line in process.stdout if '"ready"' in line)
        yield str(json.loads(ready)["url"])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        process.stdout.close()


def wait_for(done: Callable[[], bool], seconds: float = 60.0) -> None:
    """Until it is so."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not come to pass")
        time.sleep(0.01)


def last_of(asked: Sequence[Asked], bundle: str, since: float) -> float:
    """How long after a moment the last request began that this bundle still answered."""
    return max((each.began - since for each in asked if each.bundle == bundle and each.began > since), default=0.0)


def play(folder: Path, *, callers: int, wrong: float, share: float) -> Round:
    """One round: a canary withdrawn by itself, then a version put in force and rolled back by hand."""
    (folder / "kedge.toml").write_text(FILE.format(share=share))
    project = open_project(folder)
    key = keys.create(project, "load", scopes=[Scope.ASK]).secret
    old, new = register(project, "old", 0.0), register(project, "new", wrong)
    models.promote(project, old.address)
    with serving(project) as url, Load(url, key, callers) as load:
        wait_for(lambda: len(load.asked) > 100)
        started = rollouts.start(project, "words", new.address).started.timestamp()
        wait_for(lambda: any(each.bundle == new.bundle for each in load.asked))
        wait_for(lambda: project.ledger.rollouts.active("words") is None)
        ended = project.ledger.rollouts.history("words")[-1]
        assert ended.state is RolloutState.WITHDRAWN, ended.reason
        assert ended.ended is not None
        decided = ended.ended.timestamp()
        _settle(load)
        tried = sum(each.bundle == new.bundle for each in load.asked)
        withdrawn = last_of(load.asked, new.bundle, decided)
        models.promote(project, new.address)
        wait_for(lambda: load.asked[-1].bundle == new.bundle)
        taken_back = time.time()
        models.rollback(project, "words")
        _settle(load)
        back = last_of(load.asked, new.bundle, taken_back)
        assert load.asked[-1].bundle == old.bundle
    project_bad = sum(
        t.answer == "wrong"
        for t in project.traces.search(bundle=new.bundle, limit=100_000)
        if t.at < decided + 5 and t.role == "canary"
    )
    project.close()
    return Round(
        withdrawn_after=decided - started,
        withdrawn_to_old=withdrawn,
        rollback_to_old=back,
        requests=len(load.asked),
        failed=sum(each.status != 200 for each in load.asked),
        canary=tried,
        bad=project_bad,
    )


def _settle(load: Load, seconds: float = 1.5) -> None:
    """Let the load go on for a while."""
    until = time.time() + seconds
    wait_for(lambda: bool(load.asked) and load.asked[-1].began > until)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print each round and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--wrong", type=float, default=0.3)
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    rounds = []
    for _ in range(given.rounds):
        with tempfile.TemporaryDirectory() as folder:
            rounds.append(play(Path(folder), callers=given.callers, wrong=given.wrong, share=given.share))
        one = rounds[-1]
        if given.json:
            print(json.dumps(asdict(one)), flush=True)
            continue
        print(
            f"withdrawn after {one.withdrawn_after:5.2f} s and {one.canary} answers, {one.bad} bad; all traffic old "
            f"{one.withdrawn_to_old * 1000:4.0f} ms later; rollback by hand {one.rollback_to_old * 1000:4.0f} ms; "
            f"{one.requests} requests, {one.failed} failed",
            flush=True,
        )
    slowest = max(max(one.withdrawn_to_old, one.rollback_to_old) for one in rounds)
    failed = sum(one.failed for one in rounds)
    if not given.json:
        median = statistics.median(one.withdrawn_to_old for one in rounds)
        print(
            f"median {median * 1000:.0f} ms, slowest {slowest * 1000:.0f} ms, limit {TARGET * 1000:.0f} ms; {failed} failed"
        )
    sys.exit(1 if slowest >= TARGET or failed else 0)


if __name__ == "__main__":
    main()
