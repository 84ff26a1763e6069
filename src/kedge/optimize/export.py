"""Writes a model of transformers as an OpenVINO graph, in the precision asked for."""

from __future__ import annotations

import importlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import openvino
import torch
import transformers

from kedge.core import adapter
from kedge.core.errors import Broken, Invalid
from kedge.core.ports import Progress, Silent
from kedge.optimize.quantize import Quantised, quantise
from kedge.optimize.stateful import make_stateful
from kedge.optimize.trace import trace
from kedge.optimize.types import FACTS, FORMAT, GRAPH, ExportFacts, Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """Where the files lie, what they say, and (for int8) what rounding did."""

    folder: Path
    facts: ExportFacts
    quantised: Quantised | None


def export(
    source: Path, target: Path, *, model: str, precision: Precision, progress: Progress | None = None
) -> Exported:
    """Write the model in the folder `source` (vetted, in Hugging Face layout) to the folder `target`.

    An adapter beside the model is merged into it. bf16 keeps float32 in the file and computes in bfloat16; int8 rounds the
    weights. `Invalid` for a model that cannot be
    exported; `Broken` if weights are missing.
    """
    told = progress or Silent()
    told.start(3, "exporting")
    loaded = _load(source)
    facts = _facts(loaded, model=model, precision=precision)
    graph = trace(loaded, facts)
    told.advance()
    make_stateful(graph, facts)
    quantised = quantise(graph) if precision == "int8" else None
    told.advance()
    target.mkdir(parents=True, exist_ok=True)
    openvino.save_model(graph, target / GRAPH, compress_to_fp16=False)
    (target / FACTS).write_text(json.dumps(asdict(facts), indent=1, sort_keys=True) + "\n")
    told.advance()
    return Exported(folder=target, facts=facts, quantised=quantised)


def _load(source: Path) -> Any:
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model, loading = transformers.AutoModelForCausalLM.from_pretrained(
        source,
        dtype=torch.float32,
        attn_implementation="sdpa",
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    if loading["missing_keys"] or loading["mismatched_keys"]:
        raise Broken("the weights are not complete", address=str(source))
    if (source / adapter.FOLDER).exists():
        model = importlib.import_module("kedge.optimize.merge").merge(model, source / adapter.FOLDER)
    return model.eval()


def _facts(loaded: Any, *, model: str, precision: Precision) -> ExportFacts:
    config = loaded.config.get_text_config()
    heads = getattr(config, "num_attention_heads", None)
    if not heads or not getattr(config, "num_hidden_layers", None):
        raise Invalid(
            f"{type(loaded).__name__} is not a decoder of attention layers",
            hint="serve it with the engine transformers: leave the stage export out",
        )
    return ExportFacts(
        format=FORMAT,
        model=model,
        precision=precision,
        architecture=type(loaded).__name__,
        parameters=sum(parameter.numel() for parameter in loaded.parameters()),
        vocabulary=int(config.vocab_size),
        context=int(getattr(config, "max_position_embeddings", None) or 0),
        layers=int(config.num_hidden_layers),
        key_value_heads=int(getattr(config, "num_key_value_heads", None) or heads),
        head_size=int(getattr(config, "head_dim", None) or config.hidden_size // heads),
        made_with=f"openvino {openvino.__version__}, transformers {transformers.__version__}",
    )
