"""The data card of a dataset version: Croissant 1.1 in JSON-LD, made from the record and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kedge.core.dataset import DatasetManifest
from kedge.data.policy import RIGHTS

CONFORMS: Final = "http://mlcommons.org/croissant/1.1"

_CONTEXT: Final[Mapping[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_TYPES: Final = {
    "string": "sc:Text",
    "bool": "sc:Boolean",
    "int64": "cr:Int64",
    "int32": "cr:Int32",
    "double": "cr:Float64",
}
_SAID: Final = {
    "id": "The row's id: a digest of its content and of where it came from.",
    "input": "What a model reads.",
    "target": "What a model should answer; empty for text to be continued.",
    "source": "The file the row came from, and the line or number in it.",
    "cluster": "The smallest id among the rows that are nearly the same.",
    "tags": "Everything else the source said of the row, as JSON.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A file that holds rows of one split, with its columns and their Arrow types."""

    name: str
    split: str
    sha256: str
    size: int
    fields: Mapping[str, str]


def card(
    manifest: DatasetManifest, digest: str, files: Sequence[Distribution], *, published: str = ""
) -> dict[str, Any]:
    """The card. `digest` is the version's, and is what one cites; `published` is a date."""
    licences = _values(manifest, "licence")
    described: dict[str, Any] = {
        "@context": dict(_CONTEXT),
        "@type": "sc:Dataset",
        "@id": digest,
        "name": manifest.name,
        "description": _description(manifest),
        "conformsTo": CONFORMS,
        "identifier": digest,
        "version": f"1.0.0+{digest.removeprefix('sha256:')[:12]}",
        "citeAs": f"{manifest.name}, dataset {digest}",
        "isLiveDataset": False,
        "distribution": [_file(each) for each in files] + _sets(files),
        "recordSet": _record_sets(files),
        "rai:dataPreprocessingProtocol": [f"{name}: {value}" for name, value in _steps(manifest)],
    }
    if published:
        described["datePublished"] = published
    if licences:
        described["license"] = licences if len(licences) > 1 else licences[0]
    origins = _values(manifest, "origin")
    return described | ({"rai:dataCollection": ", ".join(origins)} if origins else {})


def _description(manifest: DatasetManifest) -> str:
    splits = ", ".join(f"{count:,} {split}" for split, count in manifest.profile.get("splits", {}).items() if count)
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in manifest.rejects.items())
    said = [f"{manifest.rows:,} rows ({splits or 'none'})."]
    said += [f"Left out: {left_out}."] if left_out else []
    said += [f"{name.capitalize()}: {', '.join(values)}." for name in RIGHTS if (values := _values(manifest, name))]
    return " ".join(said)


def _values(manifest: DatasetManifest, tag: str) -> list[str]:
    """The values of a tag that the profile names."""
    found = manifest.profile.get("tags", {}).get(tag, {}).get("top", [])
    return [str(value).strip('"') for value, _ in found]


def _steps(manifest: DatasetManifest) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in manifest.recipe.items() if name != "sources"]


def _file(file: Distribution) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file.name,
        "name": file.name,
        "contentUrl": file.name,
        "contentSize": f"{file.size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": file.sha256,
    }


def _by_split(files: Sequence[Distribution]) -> dict[str, list[Distribution]]:
    found: dict[str, list[Distribution]] = {}
    for file in files:
        found.setdefault(file.split, []).append(file)
    return found


def _sets(files: Sequence[Distribution]) -> list[dict[str, Any]]:
    """A set for each split that has several files."""
    return [
        {
            "@type": "cr:FileSet",
            "@id": f"{split}-files",
            "name": f"{split}-files",
            "containedIn": [{"@id": file.name} for file in held],
            "encodingFormat": "application/x-parquet",
            "includes": f"{split}-*.parquet",
        }
        for split, held in _by_split(files).items()
        if len(held) > 1
    ]


def _record_sets(files: Sequence[Distribution]) -> list[dict[str, Any]]:
    return [
        {
            "@type": "cr:RecordSet",
            "@id": split,
            "name": split,
            "key": {"@id": f"{split}/id"},
            "field": [_field(split, held, name, kind) for name, kind in held[0].fields.items()],
        }
        for split, held in _by_split(files).items()
    ]


def _field(split: str, files: Sequence[Distribution], name: str, kind: str) -> dict[str, Any]:
    place = {"fileSet": {"@id": f"{split}-files"}} if len(files) > 1 else {"fileObject": {"@id": files[0].name}}
    return {
        "@type": "cr:Field",
        "@id": f"{split}/{name}",
        "name": name,
        "description": _SAID.get(name, f"What the source or a step says of the row under {name}."),
        "dataType": _TYPES.get(kind, "sc:Text"),
        "source": {**place, "extract": {"column": name}},
    }


def readme(manifest: DatasetManifest, digest: str, files: Sequence[Distribution]) -> str:
    """The page by which the Hugging Face hub and `datasets` know which file is which split."""
    configs = ""
    for split, held in _by_split(files).items():
        names = "".join(f"          - {file.name}\n" for file in held)
        configs += f"      - split: {split}\n        path:\n{names}"
    head = f"---\nconfigs:\n  - config_name: default\n    data_files:\n{configs}---\n" if files else ""
    return f"{head}\n# {manifest.name}\n\n{_description(manifest)}\n\nVersion `{digest}`.\n"
