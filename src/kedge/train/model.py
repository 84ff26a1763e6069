"""The model a training starts from: a small Llama in a given shape, or a base model from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from kedge.core import adapter
from kedge.core.errors import Broken, Invalid
from kedge.train.types import Shape, TrainOptions

_SHORT = 256  # up to this many tokens plain attention is the fastest on a processor


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer in a folder, as an engine will load it."""
    try:
        return transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise Invalid(f"the tokenizer cannot be loaded: {error}", address=str(folder)) from error


def open_model(options: TrainOptions, *, base: Path | None, tokenizer: Any) -> Any:
    """A model in float32, ready to be trained; the same seed gives the same weights."""
    torch.manual_seed(options.seed)
    attention = "eager" if options.max_tokens <= _SHORT else "sdpa"
    if base is None:
        return _from_shape(options.shape, tokenizer, attention)
    return _from_base(base, options, attention)


def _from_shape(shape: Shape, tokenizer: Any, attention: str) -> Any:
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_heads or shape.heads,
        max_position_embeddings=shape.context,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=shape.tied,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        attn_implementation=attention,
    )
    return transformers.LlamaForCausalLM(config)


def _from_base(base: Path, options: TrainOptions, attention: str) -> Any:
    if (base / adapter.FOLDER).exists():
        raise Invalid(
            "the base model has an adapter beside it, which training would leave out",
            address=str(base),
            hint="train that model again with lora.merge = true, or start from its base",
        )
    model, loading = transformers.AutoModelForCausalLM.from_pretrained(
        base,
        dtype=torch.float32,
        attn_implementation=attention,
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    missing = sorted(str(key) for key in [*loading["missing_keys"], *loading["mismatched_keys"]])
    if missing:
        raise Broken(f"the weights of the base model are not complete: {', '.join(missing[:3])}", address=str(base))
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if context is not None and options.max_tokens > context:
        raise Invalid(f"max_tokens = {options.max_tokens} is more than the base model's context of {context}")
    return model


def kept_dtype(base: Path | None) -> torch.dtype:
    """The numbers the weights are kept in: the base model's own, float32 from scratch."""
    if base is None:
        return torch.float32
    config = transformers.AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    dtype = getattr(config.get_text_config(), "dtype", None)
    return dtype if isinstance(dtype, torch.dtype) else torch.float32


def count_parameters(model: Any, *, trained: bool = False) -> int:
    """The number of parameters, tied ones once; with `trained`, those that are moved."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trained)
