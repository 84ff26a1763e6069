"""Concurrent promotions and many readers: one wins, and whoever reads sees the old version or the new, never neither.

    python benchmarks/promotions.py --readers 10000 --writers 4 --rounds 20

In every round the writers, processes of their own, promote different versions at the same moment, from the same place in
the history. The readers, spread over other processes, each open the project anew and read the alias once.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import tempfile
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

from kedge.app import models
from kedge.app.project import open_project
from kedge.core.errors import Conflict
from kedge.testing.judged import Yard, right

TOML = """
[project]
name = "sums"

[stages.gate]
step = "gate"
inputs = { evaluation = "evaluate", dataset = "data", bundle = "bundle" }
rules = [{ metric = "exact_match", at_least = 0.55 }]

[stages.register]
step = "register"
model = "sums"
"""


def read(task: tuple[str, int]) -> Counter[int]:
    """So many readers, one after the other: the versions that each saw behind the alias (0 for none)."""
    root, readers = task
    seen: Counter[int] = Counter()
    for _ in range(readers):
        project = open_project(root)
        found = [move.after for move in project.ledger.models.aliases("sums") if move.alias == "production"]
        seen[found[0] if len(found) == 1 else 0] += 1
        project.close()
    return seen


def write(task: tuple[str, int, float]) -> str:
    """Promote one version at a moment; what became of it."""
    root, version, moment = task
    project = open_project(root, principal=f"user:{version}")
    try:
        time.sleep(max(0.0, moment - time.time()))
        return "moved" if models.promote(project, f"sums@{version}").moved else "stood"
    except Conflict:
        return "lost"
    finally:
        project.close()


def main() -> int:
    """Run it; 1 if a reader saw nothing, or a history does not hang together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=10_000)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=20)
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        (folder / "kedge.toml").write_text(TOML)
        (folder / "empty").mkdir()
        project = open_project(root, principal="user:ada")
        yard = Yard(project=project, folder=folder / "empty")
        yard.set_gate()
        versions = [yard.make_version(str(i), right(90, 100)).version for i in range(asked.writers + 1)]
        models.promote(project, f"sums@{versions[0]}")
        began, fates = time.monotonic(), Counter[str]()
        spawn = multiprocessing.get_context("spawn")
        with spawn.Pool(asked.writers) as pool, spawn.Pool(4) as readers:
            pool.map(read, [(root, 1)] * asked.writers, chunksize=1)  # all are there before the first round
            pending = readers.map_async(read, [(root, asked.readers // 100)] * 100, chunksize=1)
            for turn in range(asked.rounds):
                chosen = [versions[(turn + i) % len(versions)] for i in range(asked.writers)]
                fates.update(pool.map(write, [(root, version, time.time() + 0.1) for version in chosen], chunksize=1))
            seen = sum(pending.get(), Counter[int]())
        history = project.ledger.models.history("sums", "production")
        project.close()
    whole = all(move.before == before.after for before, move in pairwise(history))
    print(f"{seen.total():,} readers in {time.monotonic() - began:.0f} s: {seen[0]} saw no version or two")
    print(f"versions seen: {dict(sorted(seen.items()))}")
    print(
        f"{fates.total()} promotions: {dict(fates)}; {len(history)} moves, each from where the last one ended: {whole}"
    )
    return 0 if whole and not seen[0] else 1


if __name__ == "__main__":
    raise SystemExit(main())
