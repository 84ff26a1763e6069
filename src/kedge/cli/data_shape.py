"""`kedge data tokens` and `kedge data augment`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kedge.app import shape
from kedge.app.project import open_project
from kedge.app.rewrites import RewriteOptions
from kedge.cli.progress import open_progress
from kedge.cli.render import emit

ANEW = RewriteOptions()

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
@click.option(
    "--method",
    default="noise",
    show_default=True,
    type=click.Choice(["noise", "synonyms", "paraphrase", "back-translation"]),
)
@click.option("--words", type=file_type, metavar="FILE", help="Synonyms, as lines of TOML: quick = ['fast', 'swift'].")
@click.option(
    "--copies", default=1, show_default=True, type=click.IntRange(1, 20), help="Rows made of each row at most."
)
@click.option("--endpoint", default="", metavar="NAME|URL", help="Who says texts anew: any OpenAI-compatible server.")
@click.option("--model", default="", help="The model, as the endpoint calls it.")
@click.option("--key", default="", metavar="REFERENCE", help="Where the endpoint's key is: env:NAME, file:PATH.")
@click.option("--instruction", default=ANEW.instruction, show_default=True, help="How a paraphrase is asked for.")
@click.option("--into", default=ANEW.into, show_default=True, help="The language that texts are translated into.")
@click.option(
    "--language", default=ANEW.language, show_default=True, help="The language they are translated back into."
)
@click.option("--temperature", default=ANEW.temperature, show_default=True, type=click.FloatRange(0, 2))
@click.option("--seed", default=ANEW.seed, show_default=True, help="The seed of the first copy.")
@click.option("--max-tokens", default=ANEW.max_tokens, show_default=True, type=click.IntRange(min=1))
@click.option("--tries", default=ANEW.tries, show_default=True, type=click.IntRange(1, 20), help="Tries of a request.")
@click.option(
    "--concurrency",
    default=ANEW.concurrency,
    show_default=True,
    type=click.IntRange(1, 256),
    help="Requests at a time.",
)
@json_option
@click.pass_obj
def augment(path: str, /, dataset: str, out: Path, as_json: bool, **given: Any) -> None:
    """Write the training rows of DATASET and more made of them to OUT, as JSON Lines.

    Each made row names its generator and its parent: read the file with split.group = "parent". What an endpoint
    said is kept: after a fault, the same command asks for the rest alone.
    """
    own = {name: given.pop(name) for name in ("method", "words", "copies")}
    options = shape.MoreOptions(**own, anew=RewriteOptions(**given))
    with open_progress(quiet=as_json) as progress:
        made = shape.make_more(open_project(path), dataset, out, options, progress=progress)
    emit(made, as_json=as_json, draw=lambda: _draw_made(made))


def _draw_made(made: Any) -> str:
    refused = f"\n{made.refused:,} texts were not said anew" if made.refused else ""
    return f"{made.rows:,} rows, {made.made:,} of them made, in {made.path}{refused}"


def _draw_tokens(found: Any) -> str:
    lengths = ", ".join(f"{name} {value:,.0f}" for name, value in found.lengths.items())
    return (
        f"{found.tokens:,} tokens in {found.rows:,} rows, {found.characters_a_token:.2f} characters a token\n"
        f"tokens a row: {lengths or 'nothing'}; {found.cut:,} rows are longer than {found.length:,}\n"
        f"padded {found.rows:,} sequences, {found.padding:.1%} filling; packed {found.packed:,}, {found.packed_padding:.1%} filling"
    )
