"""Finds the base model that options name: a folder, or a model of the hub that is on this machine or may come."""

from __future__ import annotations

import shutil
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from kedge.core.errors import NotFound, Unavailable
from kedge.train.types import TrainOptions

_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")


def locate_base(options: TrainOptions, *, root: Path, workdir: Path) -> Path:
    """A local folder with the base model. Of a hub model only weights in safetensors, configuration and tokenizer are
    taken. `NotFound` if it is not on this machine and may not be downloaded."""
    folder = local_base(options, root)
    if folder is not None:
        return folder
    try:
        snapshot = snapshot_download(
            options.base,
            revision=options.revision or None,
            allow_patterns=list(_FILES),
            local_files_only=not options.download,
        )
    except (LocalEntryNotFoundError, HFValidationError) as error:
        raise NotFound(
            f"no base model {options.base!r}: no such folder, and not among the hub models on this machine",
            address=options.base,
            hint="name a folder, or set download = true to let it come from the hub",
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise Unavailable(f"the hub did not give {options.base!r}: {error}", address=options.base) from error
    return _stage(Path(snapshot), workdir / "base")


def local_base(options: TrainOptions, root: Path) -> Path | None:
    """The folder that `base` names, from the project's folder on, if there is one."""
    folder = (root / Path(options.base).expanduser()).resolve()
    return folder if folder.is_dir() else None


def _stage(snapshot: Path, folder: Path) -> Path:
    """A folder with links to the files of a snapshot that are taken; others may lie beside them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for pattern in _FILES:
        for path in snapshot.glob(pattern):
            (folder / path.name).symlink_to(path.resolve())
    return folder
