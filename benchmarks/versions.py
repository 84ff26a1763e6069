"""What a new version of a dataset costs, and how fast versions are compared and taken out again.

    python benchmarks/versions.py [--rows 1000000] [--chars 600] [--folder DIR]

Makes a dataset of that many rows, edits 1 % of them at random places, ingests again, and measures: the bytes that the
new version brought into the store as a share of those of the first; `kedge data restore` of the version that is not
the newest and `kedge data diff A B`, as whole processes, wall and CPU; and the same once for `kedge data export A`.
Exits 1 if the share is over 2 %, if a restoration brings more than a thousandth, or if restoring and comparing together
take more than 5 s.
"""

from __future__ import annotations

import argparse
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

SHARE = 0.02
SECONDS = 5.0


def write(path: Path, rows: int, chars: int, *, edited: bool) -> None:
    """Rows of random words, the same each time; with `edited`, one in a hundred has other words in it."""
    chance, other = random.Random(3), random.Random(4)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 10))) for _ in range(5000)]
    with path.open("w") as out:
        for number in range(rows):
            text = chance.choices(words, k=chars // 7)
            if other.random() < 0.01 and edited:
                text[len(text) // 2] = "edited" + other.choice(words)
            out.write(f'{{"text":"{" ".join(text)}","number":{number}}}\n')


def run(project: Path, *words: str) -> tuple[Any, float, float]:
    """What a command says, and its wall and CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    command = [sys.executable, "-m", "kedge", "-C", str(project), *words, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout), wall, cpu


def stored(project: Path) -> int:
    """Bytes of all blobs."""
    return sum(path.stat().st_size for path in (project / ".kedge" / "blobs" / "blobs").rglob("*") if path.is_file())


def main() -> int:
    """Measure and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--chars", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="Where to work; a temporary folder otherwise.")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kedge-versions-", dir=given.folder))
    project, path = folder / "project", folder / "rows.jsonl"
    project.mkdir()
    try:
        write(path, given.rows, given.chars, edited=False)
        first, wall, cpu = run(project, "data", "ingest", str(path))
        one = stored(project)
        print(f"{first['rows']:,} rows in {wall:.1f} s ({cpu:.1f} CPU), {one:,} bytes", flush=True)
        write(path, given.rows, given.chars, edited=True)
        second, wall, cpu = run(project, "data", "ingest", str(path))
        share = (stored(project) - one) / one
        print(
            f"1 % edited: {stored(project) - one:,} new bytes = {share:.2%} (limit {SHARE:.0%}); a file of its own: 100 %"
        )
        walls, two = [], stored(project)
        for number in range(given.rounds):
            old = (first, second)[number % 2]["dataset"]
            back, taken, taken_cpu = run(project, "data", "restore", old)
            found, wall, cpu = run(project, "data", "diff", first["dataset"], second["dataset"])
            walls.append(wall + taken)
            counts = {name: found[name] for name in ("added", "removed", "changed", "kept")}
            print(
                f"restore {taken:.2f} s ({taken_cpu:.2f} CPU)  diff {wall:.2f} s ({cpu:.2f} CPU)  {counts}", flush=True
            )
            assert back["made"], "each round restores the version that is not the newest"
        brought = (stored(project) - two) / given.rounds / one
        print(f"a restoration brings {brought:.4%} of the first version's bytes")
        _, taken, taken_cpu = run(project, "data", "export", first["dataset"], str(folder / "out"))
        print(f"export {taken:.2f} s ({taken_cpu:.2f} CPU)")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    middle = sorted(walls)[len(walls) // 2]
    print(f"median of restore and diff together {middle:.2f} s (limit {SECONDS} s)")
    return int(share > SHARE or brought > SHARE / 20 or middle > SECONDS)


if __name__ == "__main__":
    sys.exit(main())
