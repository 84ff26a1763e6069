"""A rollout through a real gateway: withdrawn and promoted by itself under load, also when the gateway is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pyreqwest.client import SyncClientBuilder
from pyreqwest.exceptions import PyreqwestError

from kedge.app import keys, models, rollouts
from kedge.app.watch import watch
from kedge.core.access import Scope
from kedge.core.release import Role
from kedge.core.rollout import RolloutState
from kedge.deploy.judge import Action

NOW = {
    'hold = "10m"': 'hold = "0s"',
    "[models]": "[gateway]\nwatch_seconds = 0.05\n\n[models]",
}
HELD = {
    """    { role = "shadow", hold = "10m", min_answers = 20 },
    { share = 0.1, hold = "10m", min_answers = 20 },
    { share = 0.5, hold = "10m" },
""": '    { share = 0.5, hold = "10h" },\n',
    "[models]": "[gateway]\nwatch_seconds = 0.05\n\n[models]",
}


@contextmanager
def serving(stage: Any) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`kedge serve` beside this process."""
    command = [sys.executable, "-m", "kedge", "-C", str(stage.project.root), "serve", "--json"]
    with (stage.project.root / "serve.log").open("a") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=dict(os.environ))
    assert process.stdout is not None
    try:
        ready = next((line for line in process.stdout if '"ready"' in line), "")
        assert ready, (stage.project.root / "serve.log").read_text()
        yield json.loads(ready)["url"], process
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


class Load:
    """Callers that ask without a pause. `answers` has the status of each request and the version that answered."""

    def __init__(self, url: str, key: str, *, callers: int = 4) -> None:
        self.answers: list[tuple[int, str]] = []
        self._url = f"{url}/v1/completions"
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
                words = json.dumps([caller, number])
                body = {"model": "words", "prompt": words, "max_tokens": 4, "user": f"{caller}-{number % 50}"}
                try:
                    response = client.post(self._url).body_json(body).build().send()
                    self.answers.append((response.status, response.json().get("model", "")))
                except PyreqwestError:  # the gateway was killed
                    self.answers.append((0, ""))
                    return


def wait_for(done: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ended(stage: Any) -> bool:
    return stage.project.ledger.rollouts.active("words") is None


def make_key(stage: Any) -> str:
    return keys.create(stage.project, "load", scopes=[Scope.ASK]).secret


def test_a_worse_canary_is_withdrawn_and_a_good_one_promoted_without_a_failed_request(make_stage: Any) -> None:
    stage = make_stage(NOW, real=True)
    worse, good = stage.register("worse", wrong=0.6), stage.register("good", wrong=0.0)
    with serving(stage) as (url, _), Load(url, make_key(stage)) as load:
        rollouts.start(stage.project, "words", worse.address)
        wait_for(lambda: ended(stage))
        done = stage.project.ledger.rollouts.history("words")[-1]
        assert (done.state, "valid_json" in done.reason) == ("withdrawn", True)
        rollouts.start(stage.project, "words", good.address)
        wait_for(lambda: ended(stage))
        done = stage.project.ledger.rollouts.history("words")[-1]
        assert done.state == "promoted", done.reason
        wait_for(lambda: load.answers[-1] == (200, good.address))
        models.rollback(stage.project, "words")
        wait_for(lambda: load.answers[-1] == (200, "words@1"))
    assert {status for status, _ in load.answers} == {200}
    assert stage.actions() == ["started", "advanced", "advanced", "promoted"]


def test_a_gateway_that_is_killed_goes_on_with_the_rollout_where_it_stands(make_stage: Any) -> None:
    stage = make_stage(HELD, real=True)
    worse = stage.register("worse", wrong=0.5)
    secret = make_key(stage)
    rollouts.start(stage.project, "words", worse.address)
    rollouts.pause(stage.project, "words")
    with serving(stage) as (url, process), Load(url, secret) as load:
        wait_for(lambda: len(load.answers) > 400 and any(model == worse.address for _, model in load.answers))
        wait_for(lambda: stage.project.traces.count(bundle=worse.bundle) > 100)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    rollouts.resume(stage.project, "words")
    assert stage.shares()[Role.CANARY] == (worse.version, 0.5)
    with serving(stage):
        wait_for(lambda: ended(stage))  # from the traces that were kept, without a request more
    assert stage.state is RolloutState.WITHDRAWN
    assert stage.shares() == {Role.STABLE: (1, 1.0)}


def test_the_watching_command_decides_without_a_gateway_and_may_be_killed(make_stage: Any) -> None:
    stage = make_stage(HELD, real=True)
    second = stage.register("second")
    rollouts.start(stage.project, "words", second.address)
    command = [sys.executable, "-m", "kedge", "-C", str(stage.project.root), "rollout", "watch", "--json"]
    watching = subprocess.Popen([*command, "--seconds", "0.05"], stdout=subprocess.PIPE, text=True)
    assert watching.stdout is not None
    assert json.loads(watching.stdout.readline())["decision"]["action"] == "hold"
    watching.kill()
    watching.wait(30)
    watching.stdout.close()
    stage.traffic(
        stage.part(stage.project.ledger.models.version("words", 1), "stable", ['"a"'] * 100),
        stage.part(second, "canary", ["no"] * 60),
    )
    told = list(watch(stage.project, "words", seconds=0.05))  # waits for the lease of the one that was killed
    assert told[-1].decision is not None
    assert told[-1].decision.action is Action.WITHDRAW
    assert stage.state is RolloutState.WITHDRAWN
