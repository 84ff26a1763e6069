"""What it costs to ingest again: with nothing new, and with one file in a hundred new; and the first time, beside the limit.

    python benchmarks/ingest.py [--files 2000] [--documents 100] [--chars 1700] [--folder DIR]

Ingests a folder of JSON Lines with the default recipe three times: at first, again, and after 1 % more files were put
there. Prints wall and CPU seconds of whole processes and their share of the first, with and without start-up: what the
same takes in a project of one line. The limit is one pass that reads, parses and hashes the same bytes in one process.
Exits 1 if ingesting again makes another dataset, or if 1 % more files cost more than 2 % of the first time (CPU
seconds, start-up taken off both).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

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


def ingest(project: Path, data: Path) -> tuple[Any, float, float]:
    """What `kedge data ingest` says, and its wall and CPU seconds."""
    project.mkdir(exist_ok=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    command = [sys.executable, "-m", "kedge", "-C", str(project), "data", "ingest", str(data), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return json.loads(done.stdout), wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


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
    parser.add_argument("--folder", type=Path, help="Where to work; a temporary folder otherwise.")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kedge-ingest-", dir=given.folder))
    data, tiny = folder / "data", folder / "tiny"
    try:
        fill(data, 0, given.files, given.documents, given.chars)
        fill(tiny, 0, 1, 1, 100)
        time.sleep(3)  # files that were only just written are read again, as they might change without a sign
        size, least = limit(data)
        _, start_wall, start_cpu = ingest(folder / "start", tiny)
        fill(tiny, 1, 2, 1, 100)
        _, little_wall, little_cpu = ingest(folder / "start", tiny)
        print(f"start-up, first   {start_wall:7.2f} s  {start_cpu:7.2f} CPU")
        print(f"start-up, more    {little_wall:7.2f} s  {little_cpu:7.2f} CPU")
        first, wall, cpu = ingest(folder / "project", data)
        print(f"first             {wall:7.2f} s  {cpu:7.2f} CPU  {given.files * given.documents / cpu:,.0f} documents")
        print(f"limit (one pass)             {least:7.2f} CPU  {size / cpu / 1e6:.1f} MB a CPU second", flush=True)
        again, again_wall, again_cpu = ingest(folder / "project", data)
        print(
            f"again             {again_wall:7.2f} s  {again_cpu:7.2f} CPU  {again_cpu / cpu:.2%} of the first",
            flush=True,
        )
        fill(data, given.files, given.files + max(given.files // 100, 1), given.documents, given.chars)
        more, more_wall, more_cpu = ingest(folder / "project", data)
        share = (more_cpu - little_cpu) / (cpu - start_cpu)
        print(f"1 % more files    {more_wall:7.2f} s  {more_cpu:7.2f} CPU  {more_cpu / cpu:.2%} of the first")
        print(f"without start-up                         {share:.2%} of the first (limit {SHARE:.0%})")
        same = again["dataset"] == first["dataset"]
        print(f"again the same dataset: {same}; rows {first['rows']:,} -> {more['rows']:,}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return int(not same or share > SHARE)


if __name__ == "__main__":
    sys.exit(main())
