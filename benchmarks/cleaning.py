"""Cleaning beside datatrove and beside the limit of the machine, and its quality on a known truth.

    python benchmarks/cleaning.py FOLDER [--documents 200000] --datatrove path/to/venv/bin/python [--parity 10000]

FOLDER gets the corpus of `corpus.py` unless it is there. One process, CPU seconds. Prints what each step costs, the
ratio to datatrove's equivalent steps on a sample of the same documents, the share of the limit (reading, parsing and
hashing the same bytes), every document that is judged otherwise than by datatrove, and what was found of what was
planted, there or in copies of its documents (words of an evaluation). datatrove 0.10 needs spacy, tokenizers, tldextract,
nltk and xxhash below 4 beside it. Exits 1 if a figure misses what is promised in docs/data.md.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kedge.core.ports import Silent
from kedge.data.clean.rows import open_clean
from kedge.data.clean.types import CleanOptions
from kedge.data.divide import Divided, divide
from kedge.data.duplicates import open_signatures
from kedge.data.keyed import keyed
from kedge.data.numbers import column_of
from kedge.data.overlap import collect_runs, open_overlap, overlap_stage
from kedge.data.privacy.rows import find_all
from kedge.data.privacy.types import PrivacyOptions
from kedge.data.quality.count import open_count
from kedge.data.quality.judge import count_columns, first_reasons
from kedge.data.quality.rules import judge
from kedge.data.quality.types import SETS, QualityOptions
from kedge.data.stage import BATCH
from kedge.data.types import DuplicateOptions, SplitOptions

corpus: Any = importlib.import_module("corpus")  # beside this file

NEAR = DuplicateOptions(near=0.7, unit="words")
ROWS = 4096
PLANTED = 1000  # documents into which words of an evaluation are put
RUN = 13  # words in a row that count as contamination
MARKS = {
    "exact duplicates found": 1.0,
    "near-duplicates found": 0.98,
    "clusters that hold together": 0.98,
    "pairs within one split": 1.0,
    "planted identifiers found": 0.99,
    "planted contamination found": 1.0,
    "clean documents left alone": 1.0,
}


@dataclass
class Costs:
    """CPU seconds by step."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the time of a block to a step."""
        begin = time.process_time()
        yield
        self.seconds[step] = self.seconds.get(step, 0.0) + time.process_time() - begin


class Rows:
    """Batches in memory, as a build has them on disk."""

    def __init__(self, batches: list[pa.RecordBatch]) -> None:
        self.table = pa.Table.from_batches(batches).combine_chunks()

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def scan(self, columns: Any) -> Iterator[pa.RecordBatch]:
        """All rows."""
        yield from self.table.select(list(columns)).to_batches(max_chunksize=ROWS)

    def numbers(self, column: str) -> NDArray[Any]:
        """Digests or lengths of all rows."""
        return np.concatenate([column_of(batch, column) for batch in self.scan([column])])

    def take(self, ordinals: NDArray[np.int64], columns: Any) -> pa.Table:
        """Some rows."""
        return self.table.select(list(columns)).take(pa.array(ordinals)).combine_chunks()


def limit(path: Path) -> float:
    """CPU seconds to read, parse and hash the same bytes."""
    decoder = msgspec.json.Decoder(dict[str, str])
    begin = time.process_time()
    with path.open("rb") as lines:
        for line in lines:
            hashlib.sha256(decoder.decode(line)["text"].encode()).digest()
    return time.process_time() - begin


def batches(path: Path, costs: Costs) -> Iterator[pa.RecordBatch]:
    """The corpus as the batches that stages see."""
    decoder = msgspec.json.Decoder(dict[str, str])
    number = 0
    with path.open("rb") as lines:
        while True:
            with costs.timed("read"):
                texts = [decoder.decode(line)["text"] for line in islice(lines, ROWS)]
                ids = [f"{number + i:032x}" for i in range(len(texts))]
                blank = [""] * len(texts)
                batch = pa.record_batch([ids, texts, blank, ids, ["{}"] * len(ids)], schema=BATCH)
            if not texts:
                return
            number += len(texts)
            yield batch


def run(path: Path, costs: Costs) -> tuple[Rows, list[list[Any]], Divided]:
    """The whole chain: the rows with their columns, what was found in each, and how they are divided."""
    clean = open_clean(CleanOptions(mojibake=True, html="detect"))
    stages = (("counts", open_count(())), ("signatures", open_signatures(NEAR)))
    options = PrivacyOptions()
    done: list[pa.RecordBatch] = []
    spans: list[list[Any]] = []
    for batch in batches(path, costs):
        with costs.timed("repair"):
            batch = clean(batch).batch
        texts = batch.column("input").to_pylist()
        with costs.timed("privacy"):
            spans += find_all(texts, options)
        for name, stage in stages:
            with costs.timed(name):
                batch = stage(batch).batch
        with costs.timed("digests"):
            done.append(keyed(batch))
    rows = Rows(done)
    with costs.timed("rules"):
        first_reasons(count_columns(rows.table), QualityOptions(rules=SETS))
    with costs.timed("duplicates"):
        divided = divide(rows, NEAR, SplitOptions(), Silent())
    return rows, spans, divided


def word_grams(text: str) -> frozenset[tuple[str, ...]]:
    """The 5-grams of words of a text, by Python alone."""
    words = "".join(each.lower() if each.isalnum() else " " for each in text).split()
    return frozenset(tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4)))


def jaccard(left: str, right: str) -> float:
    """The similarity of two texts, by Python alone."""
    a, b = word_grams(left), word_grams(right)
    return len(a & b) / len(a | b)


def quality(rows: Rows, spans: list[list[Any]], divided: Divided, truth: list[Any]) -> dict[str, float]:
    """What was found of what was planted."""
    texts: list[str] = rows.table.column("input").to_pylist()
    exact = [(i, told["of"]) for i, told in enumerate(truth) if told["kind"] == "exact"]
    near = [(i, told["of"]) for i, told in enumerate(truth) if told["kind"] == "near"]
    near = [(i, of) for i, of in near if jaccard(texts[i], texts[of]) >= NEAR.near]
    gone = {int(row): int(other) for step in divided.dropped for row, other in zip(step.rows, step.others, strict=True)}
    place = {int(row): at for at, row in enumerate(divided.kept)}
    pairs = [(gone.get(i, i), gone.get(of, of)) for i, of in near]
    heads, splits = divided.heads, divided.splits
    leaks = sum(splits[place[a]] != splits[place[b]] for a, b in pairs if a in place and b in place)
    planted = found = 0
    for told, text, hits in zip(truth, texts, spans, strict=True):
        got = [(span.kind, text[span.begin : span.end]) for span in hits]
        planted += len(told["values"])
        found += sum(any(kind == k and value in v for k, v in got) for kind, value in told["values"])
    overlaps, others = contamination(texts)
    return {
        "exact duplicates found": sum(gone.get(i, i) == gone.get(of, of) for i, of in exact) / max(1, len(exact)),
        "near-duplicates found": sum(a == b or heads[place[a]] == heads[place[b]] for a, b in pairs)
        / max(1, len(pairs)),
        "clusters that hold together": precision([texts[row] for row in divided.kept], heads),
        "pairs within one split": 1 - leaks / max(1, len(pairs)),
        "planted identifiers found": found / max(1, planted),
        "planted contamination found": overlaps,
        "clean documents left alone": others,
    }


def contamination(texts: Sequence[str]) -> tuple[float, float]:
    """Words of an evaluation put into copies of documents, in other letters and on other lines: the share of those
    that is found, and the share of the documents as they were that is not."""
    chance = random.Random(1)
    words = sorted({word for text in texts[:2000] for word in text.split() if word.isalpha()})
    asked = [" ".join(chance.choices(words, k=3 * RUN)) for _ in range(PLANTED)]
    chosen = chance.sample(range(len(texts)), min(PLANTED, len(texts)))
    spoilt = []
    for question, row in zip(asked, chosen, strict=False):
        begin = chance.randrange(2 * RUN)
        run = chance.choice([" ", ", ", "\n"]).join(question.split()[begin : begin + RUN])
        lines = texts[row].split("\n")
        lines.insert(chance.randrange(len(lines) + 1), chance.choice([run, run.upper(), f"({run})"]))
        spoilt.append("\n".join(lines))
    every = [*spoilt, *(texts[row] for row in chosen)]
    blank = [""] * len(every)
    batch = pa.record_batch([[str(i) for i in range(len(every))], every, blank, blank, blank], schema=BATCH)
    with tempfile.TemporaryDirectory() as folder:
        runs = collect_runs([(f"question {i}", question) for i, question in enumerate(asked)], RUN)
        left = open_overlap(overlap_stage(runs, RUN, Path(folder)).options)(batch).batch.column("id").to_pylist()
    missed = sum(int(row) < len(spoilt) for row in left)
    return 1 - missed / len(spoilt), (len(left) - missed) / len(chosen)


def precision(texts: list[str], heads: NDArray[np.int64]) -> float:
    """The share of rows put to a cluster that are truly near some other row of it."""
    members: dict[int, list[int]] = {}
    for row, head in enumerate(heads.tolist()):
        members.setdefault(head, []).append(row)
    several = [rows[:40] for rows in members.values() if len(rows) > 1]
    right = total = 0
    for rows in several:
        for row in rows:
            total += 1
            right += any(other != row and jaccard(texts[row], texts[other]) >= NEAR.near for other in rows)
    return right / max(1, total)


def datatrove(python: str, path: Path, documents: int, signed: int) -> tuple[list[list[str]], dict[str, float]]:
    """datatrove's decisions, and its CPU seconds a document by step."""
    out = path.with_name("datatrove.jsonl")
    script = Path(__file__).with_name("datatrove_steps.py")
    command = [python, str(script), str(path), str(out), "--documents", str(documents), "--signed", str(signed)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    decisions = [json.loads(line) for line in out.read_text().splitlines()]
    return decisions, {step: told["seconds"][step] / max(1, told["counts"][step]) for step in told["seconds"]}


def compare(path: Path, decisions: list[list[str]]) -> int:
    """Print every document that is judged otherwise; how many there are."""
    raw = [json.loads(line)["text"] for _, line in zip(decisions, path.open(encoding="utf-8"), strict=False)]
    blank = [""] * len(raw)
    batch = pa.record_batch([blank, raw, blank, blank, blank], schema=BATCH)
    counts = count_columns(pa.Table.from_batches([open_count(())(batch).batch]))
    different = 0
    for place, name in enumerate(SETS):
        ours = judge(counts, name, QualityOptions())
        for row, (own, theirs) in enumerate(zip(ours, decisions, strict=True)):
            if own != theirs[place]:
                different += 1
                print(f"  document {row}: {name} {own or 'keeps'}, datatrove {theirs[place] or 'keeps'}")
    print(f"decisions: {len(decisions) * len(SETS):,} on {len(decisions):,} documents, {different} different")
    return different


def main() -> int:
    """Make the corpus if need be, run everything, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--datatrove", default="")
    parser.add_argument("--parity", type=int, default=10_000)
    parser.add_argument("--signed", type=int, default=2_000)
    options = parser.parse_args()
    path = options.folder / "corpus.jsonl"
    if not path.exists():
        corpus.write(options.folder, options.documents)
    truth = [json.loads(line) for line in (options.folder / "truth.jsonl").read_text().splitlines()]
    warm = pa.record_batch([["0" * 32], ["warm up. it is."], [""], [""], ["{}"]], schema=BATCH)
    open_signatures(NEAR)(open_count(())(warm).batch)  # compiled, or read from the cache, before anything is timed
    other = pa.record_batch([["1" * 32], *warm.columns[1:]], schema=BATCH)
    divide(Rows([keyed(open_signatures(NEAR)(each).batch) for each in (warm, other)]), NEAR, SplitOptions(), Silent())
    floor, costs = limit(path), Costs()
    rows, spans, divided = run(path, costs)
    return report(options, costs, floor, quality(rows, spans, divided, truth), len(rows))


def report(options: Any, costs: Costs, floor: float, found: dict[str, float], count: int) -> int:
    """Print the figures; 1 if one misses its mark."""
    size = (options.folder / "corpus.jsonl").stat().st_size / 1e6
    print(f"{count:,} documents, {size:,.1f} MB, CPU seconds of one process")
    for step, seconds in costs.seconds.items():
        print(f"  {step:11} {seconds:8.2f} s {count / max(seconds, 1e-9):12,.0f} documents/s")
    compiled = sum(costs.seconds[step] for step in ("counts", "rules", "signatures", "digests"))
    whole = sum(costs.seconds.values())
    print(f"  compiled    {compiled:8.2f} s {count / compiled:12,.0f} documents/s (counts, rules, signatures, digests)")
    print(f"  whole chain {whole:8.2f} s {count / whole:12,.0f} documents/s")
    print(
        f"  limit       {floor:8.2f} s {count / floor:12,.0f} documents/s; the compiled part runs at "
        f"{floor / compiled:.1%} of it, the chain at {floor / whole:.1%}"
    )
    missed = [] if count / compiled >= 10_000 else ["10,000 documents a second"]
    if options.datatrove:
        decisions, each = datatrove(options.datatrove, options.folder / "corpus.jsonl", options.parity, options.signed)
        print("datatrove: " + ", ".join(f"{step} {1 / seconds:,.0f}/s" for step, seconds in each.items()))
        ratio = sum(each.values()) / (whole / count)
        same = sum(seconds for step, seconds in each.items() if step != "pii") / (compiled / count)
        print(f"  on {options.parity:,} documents, signatures and identifiers on {options.signed:,} of them")
        print(f"  its steps take {ratio:.0f} times the whole chain, filters and signatures {same:.0f} times ours")
        missed += [] if ratio >= 20 else ["20 times datatrove"]
        missed += ["the decisions of datatrove"] if compare(options.folder / "corpus.jsonl", decisions) else []
    for name, share in found.items():
        print(f"  {name:28} {share:.4f} (at least {MARKS[name]})")
        missed += [] if share >= MARKS[name] else [name]
    print(f"missed: {', '.join(missed)}" if missed else "nothing missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
