"""Writes a small Llama of transformers, with a byte-level tokenizer, as one GGUF file in float32.

As https://github.com/ggml-org/ggml/blob/master/docs/gguf.md has it: a header, keys with values, what tensors there are, and
their numbers, each begun at a multiple of 32 bytes.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

_ALIGNED = 32
_U32, _F32, _BOOL, _STRING, _ARRAY, _I32 = 4, 6, 7, 8, 9, 5
_NORMAL, _CONTROL = 1, 3
_PARTS = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(source: Path, target: Path) -> None:
    """The model in the folder `source` as the file `target`."""
    config = json.loads((source / "config.json").read_text())
    values = {**_shape(config), **_words(source, config)}
    tensors = {_name(name): _laid_out(name, w, config) for name, w in load_file(source / "model.safetensors").items()}
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
    head += b"".join(_text(key) + value for key, value in values.items())
    data = b""
    for name, weights in tensors.items():
        shape = weights.shape[::-1]
        head += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
        data += _filled(weights.astype("<f4").tobytes())
    target.write_bytes(_filled(head) + data)


def _shape(config: dict[str, Any]) -> dict[str, bytes]:
    numbers = {
        "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"],
        "block_count": config["num_hidden_layers"],
        "feed_forward_length": config["intermediate_size"],
        "attention.head_count": config["num_attention_heads"],
        "attention.head_count_kv": config["num_key_value_heads"],
        "rope.dimension_count": config["hidden_size"] // config["num_attention_heads"],
        "vocab_size": config["vocab_size"],
    }
    theta = config["rope_parameters"]["rope_theta"]
    return {
        "general.architecture": _typed(_STRING, _text("llama")),
        "general.file_type": _typed(_U32, struct.pack("<I", 0)),
        **{f"llama.{name}": _typed(_U32, struct.pack("<I", number)) for name, number in numbers.items()},
        "llama.attention.layer_norm_rms_epsilon": _typed(_F32, struct.pack("<f", config["rms_norm_eps"])),
        "llama.rope.freq_base": _typed(_F32, struct.pack("<f", theta)),
    }


def _words(source: Path, config: dict[str, Any]) -> dict[str, bytes]:
    said = json.loads((source / "tokenizer.json").read_text())
    words = sorted(said["model"]["vocab"], key=said["model"]["vocab"].__getitem__)
    special = {token["content"] for token in said["added_tokens"] if token["special"]}
    kinds = [_CONTROL if word in special else _NORMAL for word in words]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in said["model"]["merges"]]
    ids = {"bos": config["bos_token_id"], "eos": config["eos_token_id"], "padding": config["pad_token_id"]}
    return {
        "tokenizer.ggml.model": _typed(_STRING, _text("gpt2")),
        "tokenizer.ggml.pre": _typed(_STRING, _text("gpt-2")),
        "tokenizer.ggml.tokens": _texts(words),
        "tokenizer.ggml.token_type": _typed(_ARRAY, struct.pack(f"<IQ{len(kinds)}i", _I32, len(kinds), *kinds)),
        "tokenizer.ggml.merges": _texts(merges),
        **{f"tokenizer.ggml.{name}_token_id": _typed(_U32, struct.pack("<I", word)) for name, word in ids.items()},
        "tokenizer.ggml.add_bos_token": _typed(_BOOL, b"\x00"),
    }


def _name(name: str) -> str:
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    _, _, layer, part = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{_PARTS[part]}.weight"


def _laid_out(name: str, weights: np.ndarray, config: dict[str, Any]) -> np.ndarray:
    """Queries and keys have the two halves of each head's rotation interleaved there."""
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    count = next((n for part, n in heads.items() if part in name), 0)
    if not count:
        return weights
    return weights.reshape(count, 2, -1, weights.shape[1]).swapaxes(1, 2).reshape(weights.shape)


def _typed(kind: int, raw: bytes) -> bytes:
    return struct.pack("<I", kind) + raw


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _texts(texts: list[str]) -> bytes:
    return _typed(_ARRAY, struct.pack("<IQ", _STRING, len(texts)) + b"".join(map(_text, texts)))


def _filled(raw: bytes) -> bytes:
    return raw + b"\x00" * (-len(raw) % _ALIGNED)
