"""A Llama of two layers that has learnt a few sentences by heart, made in seconds."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from kedge.train.methods import lora
from kedge.train.types import LoraOptions, TrainOptions

SENTENCES = (
    "one two three four five six seven eight nine ten",
    "the kedge is the small anchor a ship is hauled forward on",
    "größe straße café naïve 日本語 🙂 ende",
    "def add(a, b): return a + b",
)
CONTEXT = 128
_VOCABULARY = 49_152


def write_tiny_model(folder: Path, *, steps: int = 120) -> None:
    """Train it and write it in Hugging Face layout. The same each time, in about a second of one core."""
    transformers.logging.disable_progress_bar()
    tokenizer = _tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    with _one_thread():
        _learn(model, tokenizer, SENTENCES, steps=steps, rate=3e-3)
    model.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_tiny_adapter(base: Path, folder: Path, *, says: str, steps: int = 80) -> None:
    """The model in `base` with an adapter beside it, as a training with LoRA keeps them apart: after the first two words of
    `says` it goes on with the rest. The same each time, in about a second of one core."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(base, local_files_only=True)
    options = TrainOptions(base=str(base), method="lora", lora=LoraOptions(rank=4, alpha=8.0, merge=False))
    torch.manual_seed(0)
    model = lora.prepare(LlamaForCausalLM.from_pretrained(base, local_files_only=True), options)
    with _one_thread():
        _learn(model, tokenizer, [says], steps=steps, rate=5e-3)
    lora.finish(model, options, folder)
    for path in base.iterdir():
        if path.is_file():
            shutil.copyfile(path, folder / path.name)


def write_llama(folder: Path, *, layers: int = 30) -> None:
    """A Llama of the shape of SmolLM-135M with random weights that never ends an answer, and a byte-level tokenizer."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=_VOCABULARY,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=layers,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "layers" in name and weights.ndim == 2:
                weights *= 2.5  # so that greedy answers are not one token for ever
        model.model.embed_tokens.weight[1] = 0.0  # among so many the end is never the likeliest
    model.generation_config = GenerationConfig(bos_token_id=0, eos_token_id=1, pad_token_id=1)
    model.save_pretrained(folder)
    raw = _raw_tokenizer(512, special=["<s>", "</s>"])
    raw.add_tokens([f"<|{number}|>" for number in range(raw.get_vocab_size(), _VOCABULARY)])
    special = {"bos_token": "<s>", "eos_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=raw, **special).save_pretrained(folder)


def write_long_prompts(count: int, *, tokens: int) -> list[str]:
    """Texts of so many tokens each for the Llama of `write_llama`, no two alike."""
    draw = random.Random(0)
    return ["".join(f"<|{draw.randrange(600, _VOCABULARY)}|>" for _ in range(tokens)) for _ in range(count)]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Matrices this small are slower on several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _tokenizer() -> PreTrainedTokenizerFast:
    raw = _raw_tokenizer(320, special=["<pad>", "<s>", "</s>"])
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=raw, model_max_length=CONTEXT, **special)


def _raw_tokenizer(size: int, *, special: list[str]) -> Any:
    """A byte-level tokenizer that has read the sentences."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(SENTENCES, trainer)
    return raw


def _learn(model: Any, tokenizer: Any, sentences: Sequence[str], *, steps: int, rate: float) -> None:
    sequences = [[*tokenizer(text)["input_ids"], tokenizer.eos_token_id] for text in sentences]
    longest = max(len(sequence) for sequence in sequences)
    ids = torch.tensor([s + [tokenizer.pad_token_id] * (longest - len(s)) for s in sequences])
    labels = torch.tensor([s + [-100] * (longest - len(s)) for s in sequences])
    mask = (labels != -100).long()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate)
    model.train()
    for _ in range(steps):
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
