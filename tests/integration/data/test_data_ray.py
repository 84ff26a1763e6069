"""Parts that are read on a Ray cluster make the dataset that is made here."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from kedge.core.ports import Silent
from kedge.data.build import build
from kedge.data.ingest import Reading
from kedge.data.packs import Entry
from kedge.data.sources.any_files import SOURCE, FilesOptions
from kedge.data.types import BoundSource, BuildRequest
from kedge.testing.blobs import MemoryBlobs
from kedge.testing.data import make_examples, write_jsonl

pytestmark = pytest.mark.slow


def read_or_die(reading: Reading) -> list[Entry]:
    """`read_pack` in a worker that is killed the first time."""
    from kedge.data.ingest import read_pack

    mark = reading.folder.parent / "died"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return read_pack(reading)


@pytest.fixture(scope="module")
def mapper() -> Iterator[object]:
    """A small cluster of this machine's."""
    ray = pytest.importorskip("ray")
    from kedge.data.mappers.ray import read_on_ray

    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    yield read_on_ray
    ray.shutdown()


@pytest.mark.filterwarnings("ignore")
def test_the_digests_are_those_of_this_machine_also_when_a_worker_is_killed(
    tmp_path: Path, mapper: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    for i in range(130):
        write_jsonl(tmp_path / "in" / f"{i:03}.jsonl", make_examples(10, begin=i * 9))
    request = BuildRequest(name="rows", sources=(BoundSource(source=SOURCE, options=FilesOptions(path="in")),))

    def made(name: str, mapper: object = None) -> str:
        folder = tmp_path / name
        return build(
            request,
            root=tmp_path,
            folder=folder / "w",
            blobs=MemoryBlobs(),
            progress=Silent(),
            cache=folder / "rows",
            mapper=mapper,  # type: ignore[arg-type]  # one of ours
        ).artifact.digest

    here = made("here")
    assert made("ray", mapper) == here
    from kedge.data.mappers import ray as module

    monkeypatch.setattr(module, "read_pack", read_or_die)
    assert made("killed", mapper) == here
    assert (tmp_path / "killed" / "died").exists()


def test_nothing_to_read_starts_no_cluster() -> None:
    pytest.importorskip("ray")
    from kedge.data.mappers.ray import read_on_ray

    nothing: Sequence[Reading] = ()
    assert list(read_on_ray(nothing)) == []
