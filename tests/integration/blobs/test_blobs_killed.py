"""Processes that write blobs together, and are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from kedge.core.hashing import digest
from kedge.store.blobs.local import LocalBlobs

WRITER = """
import sys
from pathlib import Path
from kedge.store.blobs.local import LocalBlobs

folder, file, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
blobs = LocalBlobs(folder)
print("ready", flush=True)
for n in range(100_000):
    print(blobs.put(bytes([seed, n % 256]) * (1 + n * 997 % 300_000)), flush=True)
    if n % 3 == 0:
        print(blobs.put_file(file), flush=True)
"""


def start(folder: Path, file: Path, seed: int, output: Path) -> subprocess.Popen[bytes]:
    with output.open("wb") as out:
        return subprocess.Popen([sys.executable, "-c", WRITER, str(folder), str(file), str(seed)], stdout=out)


def acknowledged(output: Path) -> list[str]:
    """What a writer said it had stored; its last line may be cut."""
    return [line for line in output.read_text().split("\n")[:-1] if line.startswith("sha256:")]


def test_a_killed_writer_leaves_no_half_blob_and_loses_none(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(random.Random(1).randbytes(3 << 20))
    moments = random.Random(2)
    said: set[str] = set()
    for attempt in range(12):
        output = tmp_path / f"out{attempt}"
        writer = start(tmp_path / "blobs", file, attempt % 3, output)
        while "ready" not in output.read_text():
            assert writer.poll() is None
            time.sleep(0.005)
        time.sleep(moments.uniform(0.01, 0.2))
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        said.update(acknowledged(output))
    blobs = LocalBlobs(tmp_path / "blobs")
    there = {info.digest for info in blobs.list()}
    assert said, "something was stored"
    assert said <= there, "what was acknowledged is there"
    assert all(digest(blobs.get(name)) == name for name in there), "and everything there is whole"


def test_several_processes_may_put_the_same_blobs_at_once(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"haul" * 100_000)
    outputs = [tmp_path / f"out{n}" for n in range(4)]
    writers = [start(tmp_path / "blobs", file, 7, output) for output in outputs]
    deadline = time.monotonic() + 60
    while min(len(acknowledged(output)) for output in outputs) < 40 and time.monotonic() < deadline:
        time.sleep(0.02)
    for writer in writers:
        assert writer.poll() is None, "no writer failed"
        writer.kill()
        writer.wait()
    blobs = LocalBlobs(tmp_path / "blobs")
    assert all(blobs.get(name) for name in set().union(*map(acknowledged, outputs)))
