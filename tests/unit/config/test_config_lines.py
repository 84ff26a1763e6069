"""The line of every key of a TOML text is known."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kedge.core.toml import find_lines

TEXT = '''# a comment with = and [brackets]
[project]
name = "x # y [z] = \\" 1"
"quo.ted".b = 1.5

[stages.gate]
rules = [
  { metric = "exact", at_least = 0.5 },  # one
  { metric = "other" },
]
text = """
[not.a.table]
a = 1
"""
literal = \'\'\'
b = 2\'\'\'
[[list]]
a = 2
[list.sub]
q = 1
[[list]]
when = 2026-01-01T10:00:00.5Z
'''


def test_keys_tables_and_elements_have_their_lines() -> None:
    tomllib.loads(TEXT)
    lines = find_lines(TEXT)
    assert lines["project",] == 2
    assert lines["project", "name"] == 3
    assert lines["project", "quo.ted", "b"] == 4
    assert lines["stages", "gate", "rules", "0", "at_least"] == 8
    assert lines["stages", "gate", "rules", "1", "metric"] == 9
    assert lines["stages", "gate", "literal"] == 15
    assert lines["list", "0", "sub", "q"] == 20
    assert lines["list", "1", "when"] == 22


def test_text_inside_strings_is_no_key() -> None:
    lines = find_lines(TEXT)
    assert ("not",) not in lines
    assert ("stages", "gate", "b") not in lines


KEYS = st.from_regex(r"[a-z][a-z0-9_-]{0,6}", fullmatch=True)
VALUES = st.one_of(st.integers(), st.booleans(), st.text("ab#=[]{}'\n\t .", max_size=12))
TABLES = st.dictionaries(KEYS, st.dictionaries(KEYS, st.one_of(VALUES, st.lists(VALUES, max_size=3)), max_size=4))


@given(TABLES)
def test_any_text_is_walked_to_its_end(tables: dict[str, dict[str, Any]]) -> None:
    lines: list[str] = []
    expected: dict[tuple[str, ...], int] = {}
    for table, pairs in tables.items():
        lines.append(f"[{table}]")
        expected[table,] = len(lines)
        for key, value in pairs.items():
            lines.append(f"{key} = {written(value)} # end")
            expected[table, key] = len(lines)
    text = "\n".join(lines)
    assert tomllib.loads(text) == tables
    found = {path: line for path, line in find_lines(text).items() if len(path) <= 2}
    assert found == expected


def written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
