"""Where bundles are unpacked while they are served."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kedge.app.project import Project
from kedge.core.bundle import Bundle
from kedge.core.manifest import export_files
from kedge.registry.bundle import read_bundle


def unpack(project: Project, digest: str, folder: Path) -> tuple[Bundle, Path]:
    """A bundle and a folder with its verified files: linked to the blob store's where that can be, else copied.

    `NotFound`; `Broken` if bytes are not what their digest says, or a title leaves the folder.
    """
    root = folder / digest.removeprefix("sha256:")[:16]
    export_files(project.blobs, digest, root, link=True)
    return read_bundle(project.blobs, digest), root


@contextmanager
def workplace(project: Project) -> Iterator[Path]:
    """A private folder for unpacked bundles, gone at the end; those of gateways that were killed are swept first."""
    serving = project.state / "serve"
    serving.mkdir(mode=0o700, exist_ok=True)
    for left in serving.iterdir():
        _sweep(left)
    with tempfile.TemporaryDirectory(dir=serving) as name, (Path(name) / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(name)


def _sweep(left: Path) -> None:
    """Remove a folder whose gateway no longer holds its lock."""
    try:
        with (left / "lock").open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
    except OSError:  # its gateway lives, or another one sweeps
        return
