"""`kedge data tokens` and `kedge data augment`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kedge.app import shape
from kedge.app.project import open_project
from kedge.cli.render import emit

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
file_type = click.Path(path_type=Path, dir_okay=False)


@click.command("tokens")
@click.argument("dataset")
@click.option("--tokenizer", required=True, type=file_type, metavar="FILE", help="A tokenizer.json.")
@click.option("--length", default=2048, show_default=True, type=click.IntRange(min=1), help="Tokens of a sequence.")
@json_option
@click.pass_obj
def tokens(path: str, dataset: str, tokenizer: Path, length: int, as_json: bool) -> None:
    """Count the tokens of a dataset's training rows, and what padding and packing would cost."""
    found = shape.tokens(open_project(path), dataset, tokenizer=tokenizer, length=length)
    emit(found, as_json=as_json, draw=lambda: _draw_tokens(found))


@click.command("augment")
@click.argument("dataset")
@click.argument("out", type=file_type)
@click.option("--method", default="noise", show_default=True, type=click.Choice(["noise", "synonyms"]))
@click.option("--words", type=file_type, metavar="FILE", help="Synonyms, as lines of TOML: quick = ['fast', 'swift'].")
@click.option(
    "--copies", default=1, show_default=True, type=click.IntRange(1, 20), help="Rows made of each row at most."
)
@json_option
@click.pass_obj
def augment(path: str, /, dataset: str, out: Path, as_json: bool, **options: Any) -> None:
    """Write the training rows of DATASET and more made of them to OUT, as JSON Lines.

    Each made row names its generator and its parent: read the file with split.group = "parent".
    """
    made = shape.make_more(open_project(path), dataset, out, **options)
    emit(made, as_json=as_json, draw=lambda: f"{made.rows:,} rows, {made.made:,} of them made, in {made.path}")


def _draw_tokens(found: Any) -> str:
    lengths = ", ".join(f"{name} {value:,.0f}" for name, value in found.lengths.items())
    return (
        f"{found.tokens:,} tokens in {found.rows:,} rows, {found.characters_a_token:.2f} characters a token\n"
        f"tokens a row: {lengths or 'nothing'}; {found.cut:,} rows are longer than {found.length:,}\n"
        f"padded {found.rows:,} sequences, {found.padding:.1%} filling; packed {found.packed:,}, {found.packed_padding:.1%} filling"
    )
