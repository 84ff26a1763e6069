"""Which numbers a training computes with on this machine."""

from __future__ import annotations

import logging
from typing import Literal

import torch

from kedge.core.errors import Invalid

logger = logging.getLogger(__name__)

FAST = ("avx512_bf16", "amx_bf16")


def has_fast_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 matrices in hardware."""
    able = torch.cpu.get_capabilities()
    return any(able.get(name) for name in FAST)


def choose_precision(wanted: Literal["auto", "float32", "bfloat16"]) -> torch.dtype:
    """`auto` takes bfloat16 where the processor has it and float32 elsewhere; a slow bfloat16 is `Invalid`."""
    if wanted == "float32":
        return torch.float32
    if has_fast_bfloat16():
        return torch.bfloat16
    if wanted == "bfloat16":
        raise Invalid(
            f"this processor has no fast bfloat16 ({' or '.join(FAST)})", hint="set precision = 'float32' or 'auto'"
        )
    logger.warning("no fast bfloat16 on this processor: computing in float32")
    return torch.float32


def name_of(dtype: torch.dtype) -> str:
    """`float32`, `bfloat16`."""
    return str(dtype).removeprefix("torch.")
