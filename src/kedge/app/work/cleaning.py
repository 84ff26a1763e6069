"""What a dataset's options ask for between reading and dividing, as stages; and what fails a build afterwards."""

from __future__ import annotations

import importlib
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

import msgspec

from kedge.app.project import STATE
from kedge.app.steps.dataset import DatasetOptions
from kedge.config import resolve_secret
from kedge.core.artifact import Artifact
from kedge.core.dataset import DatasetManifest, Split
from kedge.core.errors import Invalid, KedgeError, Refused
from kedge.core.ports import BlobStore
from kedge.core.step import StepContext
from kedge.data.clean.stage import clean_stage
from kedge.data.clean.types import OverlapOptions
from kedge.data.contract import contract_stage
from kedge.data.features import feature_stage
from kedge.data.privacy.stage import privacy_stage
from kedge.data.privacy.types import PrivacyOptions
from kedge.data.read import read_rejects, read_rows
from kedge.data.types import StageSpec
from kedge.plugins import find_plugins

KEY = Path(STATE) / "privacy.key"
SHOWN = 5


def row_stages(context: StepContext, options: DatasetOptions) -> tuple[StageSpec, ...]:
    """The stages in their order."""
    stages: list[StageSpec] = []
    if options.clean:
        stages.append(clean_stage(options.clean))
    if options.privacy:
        stages.append(_privacy(context, options.privacy))
    if options.overlap and options.overlap.against:
        stages.append(_overlap(context, options.overlap))
    if options.contract and options.contract.columns:
        stages.append(contract_stage(options.contract))
    if options.features:
        known = _plugins("kedge.features", tuple(options.features.values()))
        stages.append(feature_stage({column: known[name] for column, name in options.features.items()}))
    return tuple(stages)


def check_result(context: StepContext, options: DatasetOptions, artifact: Artifact, manifest: DatasetManifest) -> None:
    """`Refused`, with rows named, if the contract does not hold or an evaluation's text was found."""
    strict = [
        ("contract:", options.contract is not None and options.contract.action == "fail", "the contract does not hold"),
        (
            "overlap",
            options.overlap is not None and options.overlap.action == "fail",
            "rows hold texts of an evaluation",
        ),
    ]
    for reason, fails, words in strict:
        broken = {name: count for name, count in manifest.rejects.items() if name.startswith(reason)}
        if broken and fails:
            raise _refused(context, artifact, broken, words)
    if options.contract:
        told = options.contract.broken_by(manifest.rows, sum(manifest.rejects.values()))
        if told:
            raise Refused(
                f"the contract does not hold: {'; '.join(told)}", hint="kedge data rejects shows what was left out"
            )


def key_file(root: Path, reference: str, folder: Path) -> Path:
    """The file that holds the privacy key: the one referred to, or the project's own, which is made once."""
    if reference:
        path = folder / "privacy.key"
        folder.mkdir(parents=True, exist_ok=True)
        _write_secret(path, resolve_secret(reference, root=root).encode(), again=True)
        return path
    path = root / KEY
    if not path.exists():
        _write_secret(path, secrets.token_hex(32).encode(), again=False)
    return path


def _write_secret(path: Path, content: bytes, *, again: bool) -> None:
    """Write a file that only its owner may read, wholly or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        if again:
            temporary.replace(path)
        else:
            path.hardlink_to(temporary)  # the first of several that make one wins
    except FileExistsError:
        return
    finally:
        temporary.unlink(missing_ok=True)


def _privacy(context: StepContext, options: PrivacyOptions) -> StageSpec:
    path = key_file(context.root, options.key, context.workdir)
    known = _plugins("kedge.detectors", options.detectors)
    rows = importlib.import_module("kedge.data.privacy.rows")
    places = tuple(known[name] for name in options.detectors)
    return privacy_stage(replace(options, detectors=places, key=""), rows.read_key(path).id, str(path))


def _plugins(group: str, wanted: tuple[str, ...]) -> Mapping[str, str]:
    """The places of the plug-ins of a group, as `module:function`. `Invalid` names what is installed."""
    known = {plugin.name: f"{plugin.module}:{plugin.attribute}" for plugin in find_plugins(group)}
    for name in wanted:
        if name not in known:
            raise Invalid(
                f"no plug-in {name!r} of {group} is installed", hint=f"installed: {', '.join(known) or 'none'}"
            )
    return known


def _overlap(context: StepContext, options: OverlapOptions) -> StageSpec:
    overlap = importlib.import_module("kedge.data.overlap")
    runs = overlap.collect_runs(_held_out(context, options.against), options.words)
    stage: StageSpec = overlap.overlap_stage(runs, options.words, context.root / STATE / "cache" / "overlap")
    return stage


def _held_out(context: StepContext, places: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The texts of an evaluation, each with its name."""
    texts_of = importlib.import_module("kedge.data.overlap").texts_of
    for place in places:
        if place.startswith("sha256:"):
            yield from _of_dataset(context.blobs, place)
            continue
        path = context.root / place
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise Invalid(f"overlap.against: {place} cannot be read: {error}") from error
        for number, line in enumerate(lines, 1):
            if path.suffix in {".jsonl", ".json"}:
                yield from ((f"{place}:{number}", text) for text in texts_of([_json(line, place, number)]))
            elif line.strip():
                yield f"{place}:{number}", line


def _json(line: str, place: str, number: int) -> object:
    try:
        return msgspec.json.decode(line) if line.strip() else ""
    except msgspec.DecodeError as error:
        raise Invalid(f"overlap.against: {place}:{number} is not JSON: {error}") from error


def _of_dataset(blobs: BlobStore, dataset: str) -> Iterator[tuple[str, str]]:
    for split in (Split.TEST, Split.VALIDATION):
        for row in read_rows(blobs, dataset, split):
            yield from ((f"{split} row {row.id}", text) for text in (row.input, row.target) if text)


def _refused(context: StepContext, artifact: Artifact, broken: Mapping[str, int], words: str) -> KedgeError:
    rejects = (reject for reject in read_rejects(context.blobs, artifact.digest) if reject.reason in broken)
    rows = "\n  ".join(f"{reject.source}: {reject.detail}" for reject in islice(rejects, SHOWN))
    said = ", ".join(f"{count:,} {reason}" for reason, count in broken.items())
    return Refused(f"{words}: {said}\n  {rows}", hint='correct the rows, or set action = "drop" to leave them out')
