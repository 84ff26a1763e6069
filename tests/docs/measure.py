"""Measures the source: sizes, types, docstrings, imports. `python tests/docs/measure.py` prints the table.

A knot is a set of modules that import each other at module level; rooms (the children of the package) are tied when they
import each other in any way, also inside functions.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "src" / "kedge"
STANDARD_LIBRARY = frozenset(sys.stdlib_module_names)
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True)
class Source:
    """One module: its dotted name and its text."""

    name: str
    is_package: bool
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed text."""
        return ast.parse(self.text)

    @property
    def lines(self) -> int:
        """Lines of text."""
        return self.text.count("\n") + 1

    @property
    def functions(self) -> list[Function]:
        """Every function and method, nested ones too."""
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    def imports(self) -> Iterator[tuple[str, bool]]:
        """What is imported, as dotted names that may end in an attribute, each with whether it is inside a function."""
        for node, inside in _imports(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, inside) for alias in node.names)
            else:
                yield from ((f"{self._origin(node)}.{alias.name}", inside) for alias in node.names)

    def _origin(self, node: ast.ImportFrom) -> str:
        parts = self.name.split(".")
        base = parts[: len(parts) - node.level + self.is_package] if node.level else []
        return ".".join([*base, *([node.module] if node.module else [])])


def _imports(node: ast.AST, inside: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child, inside
        elif not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield from _imports(child, inside or isinstance(child, Function))


def read_sources(package: Path = PACKAGE) -> list[Source]:
    """Every module of the package that says anything."""
    sources = []
    for path in sorted(package.rglob("*.py")):
        parts = (package.name, *path.relative_to(package).with_suffix("").parts)
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        sources.append(Source(name=name, is_package=is_package, text=path.read_text()))
    return [source for source in sources if source.text.strip()]


def body_lines(function: Function) -> int:
    """Lines of a function without its docstring."""
    whole = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is None:
        return whole
    return whole - ((first.end_lineno or first.lineno) - first.lineno + 1)


def parameters(function: Function) -> list[ast.arg]:
    """Parameters without `self` and `cls`."""
    given = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    return given[1:] if given and given[0].arg in ("self", "cls") else given


def is_typed(function: Function) -> bool:
    """Whether every parameter and the result have a type."""
    annotated = all(parameter.annotation for parameter in parameters(function))
    return annotated and (function.returns is not None or function.name == "__init__")


def prints(source: Source) -> list[int]:
    """The lines that call `print`."""
    calls = (node for node in ast.walk(source.tree) if isinstance(node, ast.Call))
    return [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]


def broad_excepts(source: Source) -> list[int]:
    """The lines that catch everything."""
    handlers = (node for node in ast.walk(source.tree) if isinstance(node, ast.ExceptHandler))
    wide = ("Exception", "BaseException")
    return [handler.lineno for handler in handlers if handler.type is None or ast.unparse(handler.type) in wide]


def graph(sources: list[Source], *, everywhere: bool) -> dict[str, set[str]]:
    """Which module imports which; `everywhere` counts imports inside functions too."""
    known = {source.name for source in sources}
    edges: dict[str, set[str]] = {name: set() for name in known}
    for source in sources:
        for target, inside in source.imports():
            module = target if target in known else target.rpartition(".")[0]
            if module in known and module != source.name and (everywhere or not inside):
                edges[source.name].add(module)
    return edges


def rooms(edges: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The same between the children of the package."""
    tied: dict[str, set[str]] = defaultdict(set)
    for name, targets in edges.items():
        for target in targets:
            if "." in name and "." in target:
                tied[name.split(".")[1]].add(target.split(".")[1])
    return {room: targets - {room} for room, targets in tied.items()}


def knots(edges: Mapping[str, set[str]]) -> list[set[str]]:
    """Sets of nodes each of which reaches all others of its set."""
    reached = {node: _reach(edges, node) for node in edges}
    found = {frozenset({other for other in reached[node] if node in reached.get(other, ())}) for node in edges}
    return sorted((set(group) for group in found if len(group) > 1), key=len, reverse=True)


def _reach(edges: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    todo = [start]
    while todo:
        for following in edges.get(todo.pop(), set()) - seen:
            seen.add(following)
            todo.append(following)
    return seen


def report() -> dict[str, object]:
    """The style table of the code as it is."""
    sources = read_sources()
    functions = {f"{s.name}:{f.name}": f for s in sources for f in s.functions}
    sizes = sorted(source.lines for source in sources)
    bodies = sorted(map(body_lines, functions.values()))
    longest = max(sources, key=lambda source: source.lines)
    long_name = max(functions, key=lambda name: body_lines(functions[name]))
    busiest = max(functions, key=lambda name: len(parameters(functions[name])))
    lines = sum(sizes)
    return {
        "files and lines": f"{len(sources)} {lines}",
        "file lines, median and 95th percentile": f"{sizes[len(sizes) // 2]} {sizes[len(sizes) * 95 // 100]}",
        "longest file": f"{longest.lines} {longest.name}",
        "function lines, median and 95th percentile": f"{bodies[len(bodies) // 2]} {bodies[len(bodies) * 95 // 100]}",
        "longest function": f"{body_lines(functions[long_name])} {long_name}",
        "most parameters": f"{len(parameters(functions[busiest]))} {busiest}",
        "untyped functions": sum(not is_typed(function) for function in functions.values()),
        "modules without docstring": sum(ast.get_docstring(source.tree) is None for source in sources),
        "import knots": knots(graph(sources, everywhere=False)),
        "tied rooms": knots(rooms(graph(sources, everywhere=True))),
        "imports inside functions": sum(inside for source in sources for _, inside in source.imports()),
        "broad excepts a thousand lines": round(1000 * sum(len(broad_excepts(s)) for s in sources) / lines, 2),
        "prints outside the command line": sum(len(prints(s)) for s in sources if not s.name.startswith("kedge.cli")),
    }


if __name__ == "__main__":
    for title, value in report().items():
        sys.stdout.write(f"{title:44} {value}\n")
