"""Learns a byte-level BPE tokenizer: any text goes through it and comes back unchanged."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from kedge.core.errors import Invalid
from kedge.core.hashing import canonical
from kedge.train.types import END, PAD, TokenizerOptions

# A piece of a name with the underscore before it, a run of digits, a line's end, or a run of anything else.
_PIECES = r"_?[a-z]+|_?[A-Z]+[a-z]*|_|[0-9]+|\n|[^A-Za-z0-9_\n]+"


def train_tokenizer(texts: Iterable[str], options: TokenizerOptions) -> dict[str, bytes]:
    """The files of a tokenizer learned from `texts`, in Hugging Face layout. The same texts give the same bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = _cutter(options)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=options.vocabulary,
        special_tokens=[PAD, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() <= 258:
        raise Invalid("there is no text to learn a tokenizer from", hint="check the train split of the dataset")
    special = {"eos_token": END, "pad_token": PAD}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **special}
    return {
        "tokenizer.json": tokenizer.to_str().encode(),
        "tokenizer_config.json": canonical(config),
        "special_tokens_map.json": canonical(special),
    }


def _cutter(options: TokenizerOptions) -> pre_tokenizers.PreTokenizer:
    if options.cut == "words":
        return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    split = pre_tokenizers.Split(Regex(_PIECES), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
