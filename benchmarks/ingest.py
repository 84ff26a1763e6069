"""What it costs to ingest again: with nothing new, and with one file in a hundred new; and the first time, beside the limit.

    python benchmarks/ingest.py [--files 2000] [--documents 100] [--chars 1700] [--rounds 5] [--folder DIR]

Ingests a folder of JSON Lines with the default recipe: at first, again, and after 1 % more files were put there (the
last two several times, from the same state; medians). Prints wall and CPU seconds of whole processes and their share of
the first, with and without start-up: what the same takes in a project of one line. The limit is one pass that reads,
parses and hashes the same bytes in one process. Exits 1 if ingesting again makes another dataset, or if 1 % more files
cost more than 2 % of the first time (CPU seconds, start-up taken off both).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

SHARE = 0.02


def fill(folder: Path, begin: int, end: int, documents: int, chars: int) -> None:
    """Files of random words, the same each time."""
    folder.mkdir(exist_ok=True)
    for number in range(begin, end):
        chance = random.Random(number)
        with (folder / f"{chance.randrange(10**9):09}.jsonl").open("w") as out:
            for _ in range(documents):
                words = ("".join(chance.choices("abcdefghijklmnop", k=6)) for _ in range(chars // 7))
                out.write(json.dumps({"text": " ".join(words), "file": number}) + "\n")


class Ingested(NamedTuple):
    """What `kedge data ingest` said, and its wall and CPU seconds."""

    told: Any
    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:7.2f} s  {self.cpu:7.2f} CPU"


def ingest(project: Path, data: Path) -> Ingested:
    """One call, as of an installed package: with modules that are compiled already."""
    project.mkdir(exist_ok=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    command = [sys.executable, "-m", "kedge", "-C", str(project), "data", "ingest", str(data), "--json"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ingested(json.loads(done.stdout), wall, cpu)


def median(found: Sequence[Ingested]) -> Ingested:
    """The one with the median CPU seconds."""
    return sorted(found, key=lambda each: each.cpu)[len(found) // 2]


def ingest_as_before(project: Path, data: Path) -> Ingested:
    """The call in a project that is then what it was."""
    kept = project.with_name(f"{project.name}-kept")
    shutil.copytree(project, kept)
    found = ingest(project, data)
    shutil.rmtree(project)
    kept.rename(project)
    return found


def limit(data: Path) -> tuple[int, float]:
    """Bytes, and CPU seconds to read, parse and hash them."""
    begin, size = time.process_time(), 0
    decoder = msgspec.json.Decoder()
    for path in sorted(data.iterdir()):
        content = path.read_bytes()
        size += len(content)
        for line in content.splitlines():
            decoder.decode(line)
            hashlib.sha256(line).digest()
    return size, time.process_time() - begin


def main() -> int:
    """Measure and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--documents", type=int, default=100)
    parser.add_argument("--chars", type=int, default=1700)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="Where to work; a temporary folder otherwise.")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kedge-ingest-", dir=given.folder))
    data, tiny = folder / "data", folder / "tiny"
    try:
        fill(data, 0, given.files, given.documents, given.chars)
        fill(tiny, 0, 1, 1, 100)
        time.sleep(3)  # files that were only just written are read again, as they might change without a sign
        size, least = limit(data)
        ingest(folder / "warm", tiny)
        start = ingest(folder / "start", tiny)
        first = ingest(folder / "project", data)
        print(f"start-up, first   {start}")
        print(f"first             {first}  {given.files * given.documents / first.cpu:,.0f} documents a CPU second")
        print(
            f"limit (one pass)             {least:7.2f} CPU  {size / first.cpu / 1e6:.1f} MB a CPU second", flush=True
        )
        again = median([ingest_as_before(folder / "project", data) for _ in range(given.rounds)])
        print(f"again             {again}  {again.cpu / first.cpu:.2%} of the first", flush=True)
        fill(tiny, 1, 2, 1, 100)
        fill(data, given.files, given.files + max(given.files // 100, 1), given.documents, given.chars)
        time.sleep(3)
        calls = ((folder / "start", tiny), (folder / "project", data))
        littles, mores = zip(*([ingest_as_before(*call) for call in calls] for _ in range(given.rounds)), strict=True)
        little, more = median(littles), median(mores)
        share = (more.cpu - little.cpu) / (first.cpu - start.cpu)
        print(f"start-up, more    {little}")
        print(
            f"1 % more files    {more}  {more.cpu / first.cpu:.2%} of the first, {more.wall / first.wall:.2%} of the wall"
        )
        print(f"without start-up                         {share:.2%} of the first (limit {SHARE:.0%})")
        same = again.told["dataset"] == first.told["dataset"]
        print(f"again the same dataset: {same}; rows {first.told['rows']:,} -> {more.told['rows']:,}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return int(not same or share > SHARE)


if __name__ == "__main__":
    sys.exit(main())
