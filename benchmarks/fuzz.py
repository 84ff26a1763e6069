"""Fuzzes a gateway by its own OpenAPI document with schemathesis: no case may end in a server error.

    python benchmarks/fuzz.py [--cases 100000] [--jobs 2] [--seconds 3600] [--seed 0] [--json]

Starts a gateway whose engine needs no model, reads its /openapi.json, and sends generated requests to every operation,
half of them valid by the document and half of them broken on purpose, until there were so many, or time is up. Three in
four name the model that is there, so that they get past the look-up. Every
answer is checked: no 5xx, a status and a content type the document has, a body that fits its schema. Prints cases by
operation and status, and exits with 1 if a check failed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

import hypothesis
import requests
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from kedge.app import keys, models
from kedge.app.project import open_project
from kedge.core.access import Scope
from kedge.core.artifact import ArtifactKind
from kedge.core.bundle import Bundle
from kedge.core.manifest import write_artifact
from kedge.core.spec import Spec
from kedge.registry.bundle import write_bundle

PROJECT = """
[project]
name = "fuzz"

[endpoints.fuzz]
model = "fuzz"
port = 0

[gateway]
max_tokens = 64
container_key = "env:FUZZ_KEY"
"""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@dataclass(slots=True)
class Fuzzed:
    """What came of it."""

    cases: int = 0
    server_errors: int = 0
    seconds: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


@contextmanager
def gateway(folder: Path) -> Iterator[tuple[str, str]]:
    """A gateway in a process of its own: its URL and a key."""
    (folder / "kedge.toml").write_text(PROJECT)
    project = open_project(folder)
    secret = keys.create(project, "fuzz", scopes=[Scope.ADMIN]).secret
    model = write_artifact(project.blobs, ArtifactKind.MODEL, {}, {"name.txt": b"fuzz"})
    bundle = write_bundle(project.blobs, Bundle(model=model.digest, engine=Spec(name="echo")))
    for artifact in (model, bundle):
        project.ledger.artifacts.add(artifact, at=project.clock.now())
    version = models.register(project, "fuzz", bundle.digest)
    models.promote(project, version.address, override="fuzzing")
    project.close()
    process = subprocess.Popen(
        [sys.executable, "-m", "kedge", "-C", str(folder), "serve", "--json"],
        stdout=subprocess.PIPE,
        stderr=(folder / "serve.log").open("w"),
        text=True,
        env={**os.environ, "FUZZ_KEY": secret},
    )
    assert process.stdout is not None
    try:
        said = next((json.loads(line) for line in process.stdout if '"ready"' in line), None)
        if said is None:
            raise SystemExit((folder / "serve.log").read_text())
        yield said["url"], secret
        assert process.poll() is None, "the gateway died"
    finally:
        process.terminate()
        process.wait(30)


def fuzz(url: str, key: str, *, cases: int, seconds: float, seed: int) -> Fuzzed:
    """Send cases to every operation in turn, so many to each, until there are enough."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations: list[Any] = [result.ok() for result in cast("Any", schema.get_all_operations())]
    done = Fuzzed()
    started = time.monotonic()
    share = max(1, cases // len(operations))
    for turn, operation in enumerate(operations):
        for mode in schemathesis.GenerationMode:
            if time.monotonic() - started < seconds:
                _operation(operation, mode, key, done, cases=max(1, share // 2), seed=seed + turn)
    done.seconds = time.monotonic() - started
    return done


def _operation(operation: Any, mode: Any, key: str, done: Fuzzed, *, cases: int, seed: int) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    session = requests.Session()

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=cases,
        deadline=None,
        database=None,
        derandomize=False,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        if done.cases % 4:
            _aim(case)
        response = case.call(headers=headers, session=session)
        done.cases += 1
        done.statuses[f"{operation.method.upper()} {operation.path} {response.status_code}"] += 1
        done.server_errors += response.status_code >= 500
        try:
            case.validate_response(response, checks=CHECKS, headers=headers)
        except Failure as failure:
            done.failures.append(f"{operation.method.upper()} {operation.path}: {failure}"[:2000])
        except BaseExceptionGroup as failures:
            done.failures += [f"{operation.method.upper()} {operation.path}: {e}"[:2000] for e in failures.exceptions]

    try:
        send()
    except hypothesis.errors.Unsatisfiable:
        return  # an operation without parameters has nothing to break


def _aim(case: Any) -> None:
    """Name the model that is there, and the tensor that it takes, where they are named at all."""
    body = case.body if isinstance(case.body, dict) else {}
    if isinstance(body.get("model"), str):
        body["model"] = "fuzz"
    inputs = body.get("inputs")
    if isinstance(inputs, list) and inputs and isinstance(inputs[0], dict):
        body["inputs"] = [{"name": "text_input", "datatype": "BYTES", "shape": [1], "data": ["one two"]}]
    for name, value in (("name", "fuzz"), ("version", "1")):
        if case.path_parameters and name in case.path_parameters:
            case.path_parameters[name] = value


def _shared(url: str, key: str, given: argparse.Namespace) -> Fuzzed:
    """The work of several processes, as one."""
    done = Fuzzed()
    with ProcessPoolExecutor(given.jobs) as pool:
        parts = [
            pool.submit(
                fuzz, url, key, cases=given.cases // given.jobs, seconds=given.seconds, seed=given.seed + i * 1000
            )
            for i in range(given.jobs)
        ]
        for part in (each.result() for each in parts):
            done.cases += part.cases
            done.server_errors += part.server_errors
            done.seconds = max(done.seconds, part.seconds)
            done.statuses.update(part.statuses)
            done.failures += part.failures
    return done


def main() -> int:
    """Fuzz, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, gateway(Path(folder)) as (url, key):
        done = _shared(url, key, given)
    if given.json:
        print(json.dumps({each.name: getattr(done, each.name) for each in fields(done)}))
    else:
        for name, count in sorted(done.statuses.items()):
            print(f"{count:8}  {name}")
        for failure in done.failures[:10]:
            print(failure)
        print(
            f"{done.cases} cases in {done.seconds:.0f} s, {done.server_errors} server errors, "
            f"{len(done.failures)} failed checks"
        )
    return 1 if done.server_errors or done.failures else 0


if __name__ == "__main__":
    sys.exit(main())
