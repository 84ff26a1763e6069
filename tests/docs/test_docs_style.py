"""The code holds to the style table: sizes, types, imports."""

from __future__ import annotations

import ast

import pytest
from tests.docs import measure

SOURCES = measure.read_sources()
FUNCTIONS = [(source, function) for source in SOURCES for function in source.functions]
FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc", "manager"}


def test_no_file_has_more_than_500_lines() -> None:
    assert [source.name for source in SOURCES if source.lines > 500] == []


def test_no_function_has_more_than_80_lines() -> None:
    assert [f"{s.name}:{f.name}" for s, f in FUNCTIONS if measure.body_lines(f) > 80] == []


def test_at_most_one_function_in_a_hundred_has_more_than_60_lines() -> None:
    assert sum(measure.body_lines(f) > 60 for _, f in FUNCTIONS) <= len(FUNCTIONS) / 100


def test_every_function_is_typed() -> None:
    assert [f"{s.name}:{f.lineno} {f.name}" for s, f in FUNCTIONS if not measure.is_typed(f)] == []


def test_every_module_says_what_it_is_for() -> None:
    assert [source.name for source in SOURCES if ast.get_docstring(source.tree) is None] == []


def test_no_two_modules_import_each_other() -> None:
    assert measure.knots(measure.graph(SOURCES, everywhere=False)) == []


def test_no_two_rooms_import_each_other() -> None:
    assert measure.knots(measure.rooms(measure.graph(SOURCES, everywhere=True))) == []


def test_only_the_command_line_prints() -> None:
    assert [s.name for s in SOURCES if measure.prints(s) and not s.name.startswith("kedge.cli")] == []


def test_at_most_two_imports_in_a_hundred_stand_inside_functions() -> None:
    inside = [within for source in SOURCES for _, within in source.imports()]
    assert sum(inside) <= len(inside) / 50


def test_core_is_standard_library_only() -> None:
    own = {"kedge", "__future__"}
    foreign = {
        f"{source.name}: {target}"
        for source in SOURCES
        if source.name.startswith("kedge.core")
        for target, _ in source.imports()
        if target.partition(".")[0] not in own | measure.STANDARD_LIBRARY
    }
    assert foreign == set()


def test_only_the_configuration_reads_the_environment() -> None:
    threads = {"kedge.pipeline.worker", "kedge.serve.worker"}  # say how threads wait, before torch is loaded
    readers = {
        source.name
        for source in SOURCES
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv")
    }
    assert readers - threads <= {"kedge.config"}


def test_files_are_named_after_their_subject() -> None:
    vague = {source.name for source in SOURCES if source.name.rpartition(".")[2] in FORBIDDEN_NAMES}
    assert vague <= {"kedge.evaluate.baselines.common"}  # the most common answer: here the word is the subject


@pytest.mark.parametrize(
    ("text", "expected"),
    [("def f(a): ...", False), ("def f(a: int) -> None: ...", True), ("class C:\n    def f(self) -> None: ...", True)],
)
def test_a_function_is_typed_when_parameters_and_result_are(text: str, expected: bool) -> None:
    source = measure.Source(name="kedge.x", is_package=False, text=text)
    assert measure.is_typed(source.functions[0]) is expected


def test_a_knot_is_found_across_three_modules() -> None:
    edges = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    assert measure.knots(edges) == [{"a", "b", "c"}]
