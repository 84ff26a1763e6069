"""Whether memory stays flat: the peak of `kedge data ingest` on an input, and on one ten times larger.

    python benchmarks/memory.py [--small-mb 1000] [--large-mb 10000] [--document-chars 8000] [--folder DIR]

Makes JSON Lines of random words (one in fifty documents is nearly another, one in fifty exactly), in files of 64 MB,
and ingests each input in a project of its own with the default recipe: normalised, exact and near duplicates found,
split by cluster. The peak is that of the resident memory of the whole process tree, sampled ten times a second, pages
that processes share counted once for each. Prints both peaks, their ratio and the throughput; exits 1 if the large
one takes over 20 % more, or more than 1.5 GB. Needs about four times the large input on disk.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

LIMIT_MB = 1500
RATIO = 1.2
FILE = 64 << 20


def documents(chars: int) -> Iterator[str]:
    """Documents without end, the same each time."""
    chance = random.Random(20)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 10))) for _ in range(20_000)]
    kept: list[list[str]] = []
    while True:
        draw = chance.random()
        if kept and draw < 0.04:
            text = list(chance.choice(kept))
            if draw < 0.02:
                text[len(text) // 2] = chance.choice(words)
        else:
            text = chance.choices(words, k=chars // 7)
            if len(kept) < 500:
                kept.append(text)
        yield " ".join(text)


def make(folder: Path, megabytes: int, chars: int) -> int:
    """Write an input of that size; how many documents it has."""
    folder.mkdir(parents=True)
    source = documents(chars)
    written = count = number = 0
    while written < megabytes * 1_000_000:
        with (folder / f"part-{number:05}.jsonl").open("w") as out:
            size = 0
            while size < FILE and written + size < megabytes * 1_000_000:
                size += out.write(json.dumps({"text": next(source), "number": count}) + "\n")
                count += 1
        written, number = written + size, number + 1
    return count


def tree(root: int) -> list[int]:
    """A process and all below it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for process in found:  # grows while it is walked
        found += children.get(process, ())
    return found


def resident(root: int) -> float:
    """Megabytes of a process tree."""
    pages = 0
    for process in tree(root):
        try:
            pages += int(Path(f"/proc/{process}/statm").read_text().split()[1])
        except (OSError, IndexError):
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def ingest(project: Path, data: Path) -> tuple[dict[str, object], float, float]:
    """What `kedge data ingest` says, its peak in megabytes and its seconds."""
    project.mkdir()
    begin = time.perf_counter()
    command = [sys.executable, "-m", "kedge", "-C", str(project), "data", "ingest", str(data), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak, done = 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.1):
            peak = max(peak, resident(process.pid))

    thread = threading.Thread(target=watch)
    thread.start()
    out, _ = process.communicate()
    done.set()
    thread.join()
    if process.returncode:
        raise SystemExit(f"kedge data ingest failed with {process.returncode}")
    return json.loads(out), peak, time.perf_counter() - begin


def main() -> int:
    """Measure and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small-mb", type=int, default=1000)
    parser.add_argument("--large-mb", type=int, default=10_000)
    parser.add_argument("--document-chars", type=int, default=8000)
    parser.add_argument("--folder", type=Path, help="Where to work; a temporary folder otherwise.")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kedge-memory-", dir=given.folder))
    peaks = []
    try:
        for megabytes in (given.small_mb, given.large_mb):
            data = folder / f"in-{megabytes}"
            count = make(data, megabytes, given.document_chars)
            said, peak, seconds = ingest(folder / f"project-{megabytes}", data)
            peaks.append(peak)
            print(
                f"{megabytes:>7,} MB  {count:>10,} documents  {said['rows']:>10,} rows  peak {peak:7,.0f} MB  "
                f"{seconds:7.1f} s  {megabytes / seconds:6.1f} MB/s",
                flush=True,
            )
            shutil.rmtree(folder / f"project-{megabytes}")
            shutil.rmtree(data)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    ratio = peaks[1] / peaks[0]
    print(f"ratio of the peaks {ratio:.2f} (limit {RATIO}), largest {max(peaks):,.0f} MB (limit {LIMIT_MB:,} MB)")
    return int(ratio > RATIO or max(peaks) > LIMIT_MB)


if __name__ == "__main__":
    sys.exit(main())
