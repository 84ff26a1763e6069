"""datatrove's steps on a sample, in a process of its own: run by `cleaning.py` with the Python that has datatrove.

    python benchmarks/datatrove_steps.py corpus.jsonl OUT --documents 10000 --signed 2000

Writes to OUT one JSON line a document: the reason for which each filter drops it, "" if it does not. Prints the CPU
seconds of each step as one JSON object. The filters share the words of a text through datatrove's own cache, as they do
in its pipelines: the first pays for them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any


def main() -> int:
    """Run the steps."""
    from datatrove.data import Document
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )
    from datatrove.pipeline.formatters import PIIFormatter
    from datatrove.utils.hashing import HashConfig

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--signed", type=int, default=2_000)
    options = parser.parse_args()
    filters: dict[str, Any] = {
        "gopher_quality": GopherQualityFilter(),
        "gopher_repetition": GopherRepetitionFilter(),
        "c4": C4QualityFilter(),
        "fineweb": FineWebQualityFilter(),
    }
    signer = MinhashDedupSignature("/tmp/none", MinhashConfig(hash_config=HashConfig(precision=64)))
    formatter = PIIFormatter()
    seconds = dict.fromkeys([*filters, "signature", "pii"], 0.0)
    counts = dict.fromkeys(seconds, 0)

    def timed(name: str, work: Any) -> Any:
        begin = time.process_time()
        try:
            return work()
        except ZeroDivisionError:
            return False, "error"
        finally:
            seconds[name] += time.process_time() - begin
            counts[name] += 1

    signer.word_tokenizer.word_tokenize("warm up")
    with options.corpus.open(encoding="utf-8") as lines, options.out.open("w") as out:
        for number, line in enumerate(lines):
            if number >= options.documents:
                break
            text = json.loads(line)["text"]
            told = []
            for name, each in filters.items():
                verdict = timed(name, lambda each=each, text=text: each.filter(Document(text=text, id="")))
                told.append("" if verdict is True else verdict[1])
            if number < options.signed:
                timed("signature", lambda text=text: signer.get_signature(signer.get_shingles(text)))
                timed("pii", lambda text=text: formatter.format(text))
            out.write(json.dumps(told) + "\n")
    print(json.dumps({"seconds": seconds, "counts": counts}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
