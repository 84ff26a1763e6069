"""Every function of a file is a row, however it is written and wherever it stands."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from kedge.core.dataset import Reject, Row
from kedge.data.sources.python_functions import PythonFunctionsOptions, find, read
from kedge.data.types import SourceFile

CRAFTED = """\
def plain(): pass

class Outer:
    def method(self, a): return 1
    @staticmethod
    @other(x=1)
    def decorated(b): ...
    class Inner:
        async def deep(self, *, key=None): ...
    if True:
        def conditional(self): ...
    else:
        def otherwise(self): ...

def outer(a, b):
    def nested(c):
        def innermost(d): return d
        return innermost
    try:
        def tried(): ...
    except ValueError:
        def caught(): ...
    finally:
        def at_last(): ...
    with open(a) as f:
        def within(): ...
    for x in b:
        def looped(): ...
    while False:
        def whiled(): ...
    match a:
        case 1:
            def matched(): ...
    return lambda not_a_function: 0
"""

HEADERS = [
    ("def f(a,  b   ,c): pass", "def f(a, b ,c):", ["a", "b", "c"]),
    ("async   def f(a): pass", "async def f(a):", ["a"]),
    ("def f(a, /, b, *args, c, d=1, **kw): pass", "def f(a, /, b, *args, c, d=1, **kw):", ["a", "b", "args", "c", "d", "kw"]),
    ("def f(\n    a,  # first: one\n    b=1,\n):\n    pass", "def f(a, b=1,):", ["a", "b"]),
    ("def f(a: 'x  y' = ':#',   b: dict[str, int] = {1: 2}) -> 'T':\n  pass", "def f(a: 'x  y' = ':#', b: dict[str, int] = {1: 2}) -> 'T':", ["a", "b"]),
    ("def f(a=lambda x: x, *, k=(1)): pass", "def f(a=lambda x: x, *, k=(1)):", ["a", "k"]),
    ("def f(a) -> (\n  int\n) :\n  pass", "def f(a) -> (int) :", ["a"]),
    ("def f \\\n  (a): pass", "def f (a):", ["a"]),
    ("def f(): # comment: here\n  pass", "def f():", []),
    ("def größe(straße): pass", "def größe(straße):", ["straße"]),
    ('def f(a="""x\n  y"""): pass', 'def f(a="""x y"""):', ["a"]),
]  # fmt: skip


def read_all(folder: Path, text: str | bytes) -> list[Row | Reject]:
    path = folder / "module.py"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(read(SourceFile(path=path, label="package/module.py"), PythonFunctionsOptions()))


def rows(found: list[Row | Reject]) -> list[Row]:
    return [each for each in found if isinstance(each, Row)]


def test_methods_and_nested_functions_are_not_lost(tmp_path: Path) -> None:
    found = rows(read_all(tmp_path, CRAFTED))
    expected = [
        node for node in ast.walk(ast.parse(CRAFTED)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert len(expected) == 16
    assert {(row.tags["name"], row.source) for row in found} == {
        (node.name, f"package/module.py:{node.lineno}") for node in expected
    }
    lines = [int(row.source.split(":")[1]) for row in found]
    assert lines == sorted(lines)


@pytest.mark.parametrize(("text", "header", "args"), HEADERS)
def test_a_header_is_its_logical_line(tmp_path: Path, text: str, header: str, args: list[str]) -> None:
    (row,) = rows(read_all(tmp_path, text))
    assert row.input == header
    assert json.loads(row.target)["args"] == args
    assert row.target == json.dumps(json.loads(row.target))


def test_tags_say_what_a_function_is_like(tmp_path: Path) -> None:
    (row,) = rows(read_all(tmp_path, "@d\nasync def f(a, *b: int): pass"))
    assert row.tags == {
        "args": 2,
        "async": True,
        "decorated": True,
        "annotated": True,
        "module": "package/module.py",
        "name": "f",
    }
    assert row.source == "package/module.py:2"


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_any_line_end_will_do(tmp_path: Path, end: str) -> None:
    found = rows(read_all(tmp_path, CRAFTED.replace("\n", end)))
    assert [row.input for row in found] == [row.input for row in rows(read_all(tmp_path, CRAFTED))]


def test_encodings_are_those_the_file_declares(tmp_path: Path) -> None:
    latin = "# -*- coding: latin-1 -*-\nx = 'äöü'; y = 'é'\ndef größe(ä): pass\n".encode("latin-1")
    assert rows(read_all(tmp_path, latin))[0].input == "def größe(ä):"
    assert rows(read_all(tmp_path, b"\xef\xbb\xbfdef f(a): pass"))[0].input == "def f(a):"


@pytest.mark.parametrize(
    "data",
    [b"def f(:\n", b"x = '\xff'\n", b"def f(): pass\0", b"# coding: nonsense\n", b"(" * 1000, b"-" * 200_000 + b"1"],
    ids=["syntax", "encoding", "nul", "codec", "brackets", "deep"],
)
def test_a_file_that_does_not_parse_is_one_reject(tmp_path: Path, data: bytes) -> None:
    (reject,) = read_all(tmp_path, data)
    assert isinstance(reject, Reject)
    assert reject.reason == "syntax"
    assert reject.source.startswith("package/module.py:")


def test_warnings_of_the_parser_are_not_ours(tmp_path: Path) -> None:
    assert len(rows(read_all(tmp_path, 'def f(a="\\d", b=1 is 1): pass'))) == 1


def test_the_standard_library_is_found_with_and_without_tests() -> None:
    every = {file.label for file in find(PythonFunctionsOptions(), Path())}
    without = {file.label for file in find(PythonFunctionsOptions(tests=False), Path())}
    assert {"json/decoder.py", "ast.py"} <= without < every
    assert not any(label.startswith(("test/", "site-packages/")) or "/tests/" in label for label in without)


def test_a_folder_is_read_by_its_own_names(tmp_path: Path) -> None:
    (tmp_path / "src" / "inner").mkdir(parents=True)
    for name in ("src/a.py", "src/inner/test_b.py", "src/inner/c.txt"):
        (tmp_path / name).write_text("")
    found = find(PythonFunctionsOptions(path="src"), tmp_path)
    assert sorted(file.label for file in found) == ["src/a.py", "src/inner/test_b.py"]
    assert [file.label for file in find(PythonFunctionsOptions(path="src", tests=False), tmp_path)] == ["src/a.py"]
