"""Functions of Python source: the header is the input, its call schema as JSON the target. `ast` knows the truth."""

from __future__ import annotations

import ast
import io
import json
import re
import sysconfig
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kedge.core.dataset import Reject, Row
from kedge.data.rows import make_row, quarantine
from kedge.data.sources.files import find_files, open_source, walk
from kedge.data.types import Source, SourceFile

_Function = ast.FunctionDef | ast.AsyncFunctionDef

_BLOCKS = ("body", "handlers", "orelse", "finalbody", "cases")
_TEST_FOLDERS = frozenset({"test", "tests", "idle_test"})
_LINE_END = re.compile(rb"\r\n|\r")
_MARK = re.compile(rb"[#:]")
_IGNORED = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonFunctionsOptions:
    """`path` is a file or folder of Python source; without it, the standard library of the running interpreter is read.

    `tests` says whether the test suites in it are read too.
    """

    path: str | tuple[str, ...] = ""
    tests: bool = True
    max_file_bytes: int = 16 << 20


def find(options: PythonFunctionsOptions, root: Path) -> list[SourceFile]:
    """Every .py file below the path or the standard library, by its place in it."""
    if options.path:
        files = find_files(options.path, root, SOURCE.suffixes)
    else:
        library = Path(sysconfig.get_path("stdlib"))
        files = [SourceFile(path=library / name, label=name) for name in walk(library, SOURCE.suffixes)]
    return files if options.tests else [file for file in files if not _is_test(file.label)]


def _is_test(label: str) -> bool:
    *folders, name = label.split("/")
    return not _TEST_FOLDERS.isdisjoint(folders) or name.startswith("test_") or name.endswith("_test.py")


def read(file: SourceFile, options: PythonFunctionsOptions) -> Iterator[Row | Reject]:
    """A row a function, methods and nested ones too, in the order of the file; a file that does not parse is a reject."""
    with open_source(file) as stream:
        data = stream.read(options.max_file_bytes + 1)
    if len(data) > options.max_file_bytes:
        yield quarantine(f"{file.label}:1", "too-long", f"a file over {options.max_file_bytes} bytes")
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(data)
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        lines = _LINE_END.sub(b"\n", data.decode(encoding).encode()).split(b"\n")
    except (SyntaxError, ValueError, LookupError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        yield quarantine(f"{file.label}:{line}", "syntax", f"{type(error).__name__}: {error}")
        return
    for function in _functions(tree):
        yield _row(file, function, _header(lines, function))


def _functions(tree: ast.Module) -> list[_Function]:
    """Every function. Only statements hold them, so expressions are not looked into."""
    found: list[_Function] = []
    rest: list[ast.AST] = [tree]
    while rest:
        node = rest.pop()
        if isinstance(node, _Function):
            found.append(node)
        for block in _BLOCKS:
            rest.extend(getattr(node, block, ()))
    return sorted(found, key=lambda function: (function.lineno, function.col_offset))


def _row(file: SourceFile, function: _Function, header: str) -> Row:
    arguments = _arguments(function.args)
    names = [argument.arg for argument in arguments]
    tags = {
        "args": len(names),
        "async": isinstance(function, ast.AsyncFunctionDef),
        "decorated": bool(function.decorator_list),
        "annotated": function.returns is not None or any(argument.annotation for argument in arguments),
        "module": file.label,
        "name": function.name,
    }
    target = json.dumps({"name": function.name, "args": names})
    return make_row(input=header, target=target, source=f"{file.label}:{function.lineno}", tags=tags)


def _arguments(arguments: ast.arguments) -> list[ast.arg]:
    """All parameters in written order."""
    star = [arguments.vararg] if arguments.vararg else []
    stars = [arguments.kwarg] if arguments.kwarg else []
    return [*arguments.posonlyargs, *arguments.args, *star, *arguments.kwonlyargs, *stars]


def _header(lines: list[bytes], function: _Function) -> str:
    """The logical line from `def` to its colon, each run of blanks outside texts made one, comments left out."""
    line, column = _last_place(function)
    while (mark := _MARK.search(lines[line - 1], column)) is None or mark.group() == b"#":
        line, column = line + 1, 0
    written = [*lines[function.lineno - 1 : line - 1], lines[line - 1][: mark.end()]]
    written[0] = written[0][function.col_offset :]
    text = b"\n".join(written).decode()
    plain = len(written) == 1 and '"' not in text and "'" not in text
    return " ".join(text.split()) if plain else _joined(text)


def _last_place(function: _Function) -> tuple[int, int]:
    """Where the last part of the header that may hold a colon of its own ends."""
    arguments = function.args
    parts = [*_arguments(arguments), *arguments.defaults, *arguments.kw_defaults, function.returns]
    parts += getattr(function, "type_params", ())
    ends = [(part.end_lineno or 0, part.end_col_offset or 0) for part in parts if part is not None]
    return max(ends, default=(function.lineno, function.col_offset))


def _joined(text: str) -> str:
    """The tokens of a header on one line, with one blank wherever there were blanks."""
    parts: list[str] = []
    last: tokenize.TokenInfo | None = None
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in _IGNORED:
            continue
        if last is not None and _apart(last, token):
            parts.append(" ")
        parts.append(" ".join(token.string.split()) if "\n" in token.string else token.string)
        last = token
    return "".join(parts)


def _apart(left: tokenize.TokenInfo, right: tokenize.TokenInfo) -> bool:
    if left.end[0] == right.start[0]:
        return right.start[1] > left.end[1]
    return left.string not in "([{" and right.string not in ")]}"


SOURCE = Source(
    name="python-functions",
    options=PythonFunctionsOptions,
    find=find,
    read="kedge.data.sources.python_functions:read",
    suffixes=(".py",),
)
