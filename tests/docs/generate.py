"""Writes the generated regions of the pages in docs/: `python tests/docs/generate.py`, or `--check` to compare.

A page marks a region with `<!-- begin NAME -->` and `<!-- end NAME -->`; what stands between is written from the code.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import click

import kedge
import kedge.testing
from kedge.app.steps.dataset import load_sources
from kedge.cli.main import COMMANDS, line
from kedge.config import NAMED, ROOMS
from kedge.core.errors import KedgeError
from kedge.core.settings import StageSettings
from kedge.plugins import catalogue

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
WIDTH = 100
MISSING = dataclasses.MISSING
WORDS = {str: "string", int: "integer", float: "number", bool: "boolean"}
LIFE_CYCLE = ("dataset", "index", "tokenizer", "train", "bundle", "evaluate", "gate", "register")


def commands() -> str:
    """The help of every command, by the part of the life cycle it belongs to."""
    parts = [_help(line, "kedge")]
    context = click.Context(line)
    for title, entries in COMMANDS.items():
        parts.append(f"## {title}\n")
        for name in entries:
            command = line.get_command(context, name)
            assert command is not None
            parts.extend(_pages(command, f"kedge {name}"))
    return "\n".join(parts)


def _pages(command: click.Command, path: str) -> Iterator[str]:
    """The help of a command and of its subcommands."""
    yield f"### {path}\n\n{_help(command, path)}"
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path, help_option_names=["-h", "--help"])  # as under `kedge`
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _pages(below, f"{path} {name}")


def _help(command: click.Command, path: str) -> str:
    names = ["-h", "--help"]  # as under `kedge`
    context = click.Context(
        command, info_name=path, terminal_width=WIDTH, max_content_width=WIDTH, help_option_names=names
    )
    return f"```text\n{command.get_help(context)}\n```\n"


def rooms() -> str:
    """Each table of `kedge.toml` that is not a stage."""
    tables = [(f"[{name}]", kind) for name, kind in ROOMS.items()]
    tables += [(f"[{name}.NAME]", kind) for name, kind in NAMED.items()]
    return "\n".join(f"### `{title}`\n\n{_options(kind)}" for title, kind in tables)


def steps() -> str:
    """Each step of ours: what goes in, what comes out, and its options."""
    known = catalogue("step", "kedge.steps")
    order = [name for name in LIFE_CYCLE if name in known.names()]
    return "\n".join(_step(known.get(name)) for name in order)


def _step(step: Any) -> str:
    inputs = ", ".join(f"`{port}`" for port in step.inputs) or "nothing"
    outputs = ", ".join(f"`{port}`" for port in step.outputs)
    return f"### `{step.name}`\n\n{step.summary} Takes {inputs}; makes {outputs}.\n\n{_options(step.options)}"


def sources() -> str:
    """Each kind of source that step `dataset` can read."""
    known = load_sources()
    return "\n".join(f"### `{name}`\n\n{_options(known.get(name).options)}" for name in known.names())


def _options(kind: type[Any]) -> str:
    """What an options class says of itself, and a table of its keys; tables inside it follow it, with dotted keys."""
    rows, said = _rows(kind, "", MISSING)
    table = "\n".join(["| key | kind | default |", "|---|---|---|", *rows]) if rows else ""
    return "\n\n".join([*said, table]).strip() + "\n"


def _rows(kind: type[Any], prefix: str, given: Any) -> tuple[list[str], list[str]]:
    """A row a key, and paragraphs; `given` is the value whose fields are the defaults, if there is one."""
    hints = get_type_hints(kind)
    text = re.sub(r"^`\[.+?\]`[:.] ", "", inspect.cleandoc(kind.__doc__ or ""))
    rows: list[str] = []
    said = [f"`{prefix.rstrip('.')}`: {text[0].lower()}{text[1:]}" if prefix else text[0].upper() + text[1:]]
    for field in dataclasses.fields(kind):
        if (kind, field.name) == (StageSettings, "options"):  # its keys stand in the stage's own table
            continue
        key, hint = f"{prefix}{field.name}", hints[field.name]
        default = _default(field) if given is MISSING else getattr(given, field.name)
        inner = _inner(hint)
        if inner is None or inner is not hint:
            rows.append(f"| `{key}` | {_kind(hint)} | {'required' if default is MISSING else f'`{_toml(default)}`'} |")
        if inner is not None:
            below, more = _rows(
                inner, f"{key}." if inner is hint else f"{key}[].", default if inner is hint else MISSING
            )
            rows, said = rows + below, said + more
    return rows, said


def _inner(hint: Any) -> type[Any] | None:
    """The table type a value is, or the one a list is of and of nothing else."""
    if get_origin(hint) is tuple:
        hint = get_args(hint)[0]
    return hint if isinstance(hint, type) and dataclasses.is_dataclass(hint) else None


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _kind(hint: Any) -> str:
    """A type as a reader of TOML would say it."""
    origin, inside = get_origin(hint), [kind for kind in get_args(hint) if kind not in (type(None), Ellipsis)]
    if origin is Literal:
        return " or ".join(f"`{_toml(word)}`" for word in inside)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(map(_kind, inside)))
    if origin is tuple:
        return f"list of {_kind(inside[0])}s"
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return " or ".join(f"`{_toml(word)}`" for word in hint)
    return WORDS.get(hint, "table")


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_toml, value))}]"
    return "none" if value is None else str(value)


def errors() -> str:
    """Every class of the tree with its exit code, its HTTP status and what it means."""
    rows = ["| error | exit code | HTTP status | meaning |", "|---|---|---|---|"]
    for kind in _tree(KedgeError):
        meaning = inspect.cleandoc(kind.__doc__ or "")
        rows.append(f"| `{kind.__name__}` | {kind.exit_code} | {kind.http_status} | {meaning} |")
    return "\n".join(rows) + "\n"


def _tree(kind: type[KedgeError]) -> Iterator[type[KedgeError]]:
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == KedgeError.__module__:
            yield from _tree(below)


def groups() -> str:
    """Each group of entry points with our own things in it."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    rows = ["| group | ours |", "|---|---|"]
    rows += [f"| `{group}` | {', '.join(f'`{name}`' for name in names)} |" for group, names in declared.items()]
    return "\n".join(rows) + "\n"


def suites() -> str:
    """Each module of `kedge.testing` with the first line of what it says of itself."""
    names = sorted(module.name for module in pkgutil.iter_modules(kedge.testing.__path__))
    rows = [f"| `kedge.testing.{name}` | {_first_line(f'kedge.testing.{name}')} |" for name in names]
    return "\n".join(["| module | what it holds |", "|---|---|", *rows]) + "\n"


def tree() -> str:
    """Each room with the first line of what it says of itself."""
    package = ROOT / "src" / "kedge"
    names = sorted(path.parent.name for path in package.glob("*/__init__.py"))
    names += sorted(path.stem for path in package.glob("*.py") if not path.stem.startswith("__"))
    rows = [f"| `{name}` | {_first_line(f'kedge.{name}')} |" for name in names]
    return "\n".join(["| room | what it is for |", "|---|---|", *rows]) + "\n"


def _first_line(module: str) -> str:
    text = inspect.cleandoc(importlib.import_module(module).__doc__ or "")
    return text.partition("\n\n")[0].replace("\n", " ")


def names() -> str:
    """Each public name of `kedge` with its signature and what it says of itself."""
    parts = []
    for name in kedge.__all__:
        thing = getattr(kedge, name)
        signature = "" if inspect.isclass(thing) else str(inspect.signature(thing)).replace("'", "")
        about = inspect.cleandoc(thing.__doc__ or "")
        parts.append(f"### `kedge.{name}{signature}`\n\n{about}\n")
    return "\n".join(parts)


REGIONS: dict[str, dict[str, Callable[[], str]]] = {
    "api.md": {"names": names},
    "architecture.md": {"tree": tree},
    "cli.md": {"commands": commands},
    "configuration.md": {"rooms": rooms, "steps": steps, "sources": sources},
    "errors.md": {"errors": errors},
    "plugins.md": {"groups": groups, "suites": suites},
}


def render(page: str) -> str:
    """The page as it should be: everything outside its regions as it stands."""
    text = (DOCS / page).read_text()
    for name, make in REGIONS[page].items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise SystemExit(f"docs/{page} has no region {name!r}")
        text = f"{before}{begin}\n\n{make()}\n{end}{after}"
    return text


def main() -> None:
    """Write every page, or name those that differ."""
    stale = [page for page in REGIONS if (DOCS / page).read_text() != render(page)]
    if "--check" in sys.argv:
        raise SystemExit(f"out of date, `make docs` writes them: {', '.join(stale)}" if stale else 0)
    for page in stale:
        (DOCS / page).write_text(render(page))
        sys.stdout.write(f"wrote docs/{page}\n")


if __name__ == "__main__":
    main()
