"""Model folders that could run code are refused before anything is loaded."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kedge.core.errors import Invalid, Refused
from kedge.serve.engines.vet import vet_folder


class Bomb:
    """Leaves a canary when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (Path.touch, (self.canary,))


def write_folder(folder: Path, **config: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **config}))
    header = b'{"__metadata__":{"format":"pt"}}'
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    (folder / "tokenizer.json").write_text('{"model": {"vocab": {"auto_map": 0, "trust_remote_code": 1}}}')
    return folder


def test_safetensors_and_plain_configuration_pass(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", attn_implementation="sdpa", auto_map=None)
    (folder / "LICENSE").write_text("Apache-2.0")
    vet_folder(folder)
    (folder / "modeling.py").write_text("")
    with pytest.raises(Refused, match=r"modeling\.py"):
        vet_folder(folder)


@pytest.mark.parametrize(
    "config",
    [
        {"auto_map": {"AutoModel": "modeling.Evil"}},
        {"trust_remote_code": True},
        {"text_config": {"deep": [{"auto_map": {"AutoConfig": "x.Y"}}]}},
        {"_attn_implementation_internal": "someone/kernel"},
        {"attn_implementation": "someone/kernel"},
        {"_attn_implementation": {"": "someone/kernel"}},
        {"_experts_implementation": "someone/kernel"},
        {"custom_generate": "someone/repo"},
    ],
)
def test_configuration_that_asks_for_code_is_refused(tmp_path: Path, config: dict[str, object]) -> None:
    with pytest.raises(Refused, match=r"config\.json is refused"):
        vet_folder(write_folder(tmp_path / "model", **config))


@pytest.mark.parametrize("name", ["tokenizer_config.json", "generation_config.json", "adapter_config.json"])
def test_every_configuration_file_is_read(tmp_path: Path, name: str) -> None:
    folder = write_folder(tmp_path / "model")
    (folder / name).write_text(json.dumps({"auto_map": {"AutoTokenizer": ["x.Y", None]}}))
    with pytest.raises(Refused, match="asks for code"):
        vet_folder(folder)


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.pt", "model.ckpt", "x.pkl", "modeling.py", "evil.so", "a"]
)
def test_files_of_other_kinds_are_refused(tmp_path: Path, name: str) -> None:
    folder = write_folder(tmp_path / "model")
    (folder / name).write_bytes(b"")
    with pytest.raises(Refused, match="this kind of file"):
        vet_folder(folder)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "more.safetensors", "vocab.txt", "tokenizer.model", "extra.json"]
)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_refused_whatever_it_is_called(tmp_path: Path, name: str, protocol: int) -> None:
    folder = write_folder(tmp_path / "model")
    canary = tmp_path / "canary"
    (folder / name).write_bytes(pickle.dumps(Bomb(canary), protocol=protocol))
    with pytest.raises(Refused, match="pickle or an archive"):
        vet_folder(folder)
    assert not canary.exists()


def test_a_file_in_a_folder_within_is_read_too(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    shutil.copytree(folder, folder / "deep")
    (folder / "deep" / "x.bin").write_bytes(b"")
    with pytest.raises(Refused, match=r"x\.bin"):
        vet_folder(folder)


@pytest.mark.parametrize("data", [b"", b"\x00" * 16, struct.pack("<Q", 2**60) + b"{}", b"GGUF\x03\x00\x00\x00\x00"])
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, data: bytes) -> None:
    folder = write_folder(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(data)
    with pytest.raises(Refused, match="not a safetensors file"):
        vet_folder(folder)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\xff"])
def test_unreadable_configuration_is_refused(tmp_path: Path, text: str) -> None:
    folder = write_folder(tmp_path / "model")
    (folder / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(Refused, match="not readable"):
        vet_folder(folder)


def test_a_folder_without_configuration_is_invalid(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"no config\.json"):
        vet_folder(tmp_path)
    with pytest.raises(Invalid, match="not a folder"):
        vet_folder(tmp_path / "nothing")
