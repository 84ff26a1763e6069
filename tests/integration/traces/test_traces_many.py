"""Many processes, and many traces."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from kedge.store.traces.open import open_sink, open_traces
from kedge.testing.traces import make_trace

WRITER = """
import sys
from kedge.store.traces.open import open_sink
from kedge.testing.traces import make_trace

sink = open_sink(sys.argv[1])
for number in range(50):
    sink.add(make_trace(int(sys.argv[2]) * 50 + number))
sink.close()
sys.exit(sink.dropped)
"""


def test_many_processes_may_open_and_fill_a_fresh_store_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/traces.db"
    started = [subprocess.Popen([sys.executable, "-c", WRITER, url, str(number)]) for number in range(8)]
    assert [process.wait(120) for process in started] == [0] * 8
    reader = open_traces(url)
    assert reader.count() == 400
    reader.close()


@pytest.mark.slow
def test_a_trace_among_many_is_found_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/traces.db"
    sink, reader = open_sink(url), open_traces(url)
    many = 100_000
    for number in range(many):
        sink.add(make_trace(number, bundle=f"bundle {number % 7}"))
        while number % 1000 == 0 and reader.count() < number - 30_000:
            time.sleep(0.01)  # a real caller would see some dropped; here each one counts
    sink.close()
    assert (sink.dropped, reader.count()) == (0, many)
    started = time.monotonic()
    for number in range(0, many, many // 100):
        reader.get(f"{number:032x}")
        assert len(reader.search(endpoint="schemas", bundle="bundle 3", since=1_050_000.0, limit=20)) == 20
    assert (time.monotonic() - started) / 100 < 0.05
    reader.close()
