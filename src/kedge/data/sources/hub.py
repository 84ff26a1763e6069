"""Datasets of the Hugging Face hub: `hf:owner/name`, `hf:owner/name@revision`, or a folder of one as `hf:owner/name/path`."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

from kedge.core.errors import Invalid, NotFound, Unavailable
from kedge.data.sources.files import walk
from kedge.data.types import SourceFile

DATA = (
    ".parquet",
    ".jsonl",
    ".ndjson",
    ".json",
    ".csv",
    ".tsv",
    ".arrow",
    ".txt",
    ".zip",
    ".gz",
    ".zst",
    ".xz",
    ".bz2",
)
ABOUT = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "config.json")


def bring(given: str, folder: Path) -> list[SourceFile]:
    """The data files of a dataset, as the hub's own library caches them."""
    name, _, revision = given.removeprefix("hf:").partition("@")
    owner, _, rest = name.partition("/")
    repository, _, inner = rest.partition("/")
    if not owner or not repository:
        raise Invalid(f"not a dataset of the hub: {given}", hint="write hf:owner/name")
    asked = f"{owner}/{repository}"
    patterns = [f"{inner.strip('/') + '/' if inner else ''}**{suffix}" for suffix in DATA]
    patterns += [pattern.replace("**", "*") for pattern in patterns] + ([inner] if inner else [])
    try:
        found = snapshot_download(asked, repo_type="dataset", revision=revision or None, allow_patterns=patterns)
    except RepositoryNotFoundError as error:
        raise NotFound(
            f"the hub has no dataset {asked}", address=given, hint="is it private? huggingface-cli login"
        ) from error
    except (HFValidationError, ValueError) as error:
        raise Invalid(f"not a dataset of the hub: {given}", hint="write hf:owner/name") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise Unavailable(f"the hub cannot be reached: {str(error)[:200]}", address=given) from error
    files = data_files(Path(found), asked)
    if not files:
        raise NotFound(f"{asked} has no data files", address=given)
    return files


def data_files(folder: Path, label: str) -> list[SourceFile]:
    """The files of a dataset's folder that hold rows, and not what is said about them."""
    names = [name for name in walk(folder, DATA) if not name.endswith(ABOUT)]
    return [SourceFile(path=folder / name, label=f"{label}/{name}") for name in names]
