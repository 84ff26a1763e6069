"""Files are found by path, pattern and folder, and named the same wherever the data lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kedge.core.errors import Invalid, NotFound
from kedge.data.sources.files import find_files, open_file


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")


def labels(paths: str | tuple[str, ...], root: Path) -> list[str]:
    return sorted(file.label for file in find_files(paths, root, (".jsonl",)))


def test_paths_patterns_and_folders_name_files(tmp_path: Path) -> None:
    make(tmp_path, "a.jsonl", "b.json", "sub/c.jsonl", "sub/d.txt", "sub/deep/e.jsonl")
    assert labels("a.jsonl", tmp_path) == ["a.jsonl"]
    assert labels("b.json", tmp_path) == ["b.json"]
    assert labels("*.json*", tmp_path) == ["a.jsonl", "b.json"]
    assert labels("sub", tmp_path) == ["sub/c.jsonl", "sub/deep/e.jsonl"]
    assert labels(("sub", "a.jsonl", "sub/c.jsonl"), tmp_path) == ["a.jsonl", "sub/c.jsonl", "sub/deep/e.jsonl"]


def test_a_name_that_looks_like_a_pattern_is_taken_as_it_is(tmp_path: Path) -> None:
    make(tmp_path, "a[1].jsonl", "a1.jsonl")
    assert labels("a[1].jsonl", tmp_path) == ["a[1].jsonl"]


def test_an_absolute_path_leaves_no_trace_of_where_the_data_lies(tmp_path: Path) -> None:
    make(tmp_path, "sub/c.jsonl", "sub/deep/e.jsonl")
    assert labels(str(tmp_path / "sub"), Path("/")) == ["c.jsonl", "deep/e.jsonl"]
    assert labels(str(tmp_path / "sub" / "c.jsonl"), Path("/")) == ["c.jsonl"]
    assert labels("../sub/c.jsonl", tmp_path / "sub") == ["c.jsonl"]


def test_hidden_folders_and_installed_packages_are_passed_over(tmp_path: Path) -> None:
    make(tmp_path, "d/a.jsonl", "d/.git/b.jsonl", "d/site-packages/c.jsonl", "d/node_modules/e.jsonl")
    assert labels("d", tmp_path) == ["d/a.jsonl"]


def test_links_that_go_round_in_circles_are_not_followed(tmp_path: Path) -> None:
    make(tmp_path, "d/a.jsonl")
    (tmp_path / "d" / "loop").symlink_to(tmp_path / "d")
    assert labels("d", tmp_path) == ["d/a.jsonl"]


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file"):
        labels("none.jsonl", tmp_path)
    with pytest.raises(NotFound, match="nothing matches"):
        labels("none*.jsonl", tmp_path)
    with pytest.raises(Invalid, match="needs a path"):
        labels("", tmp_path)
    with pytest.raises(Invalid, match="inside the project"):
        labels("../*.jsonl", tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        open_file(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        open_file(Path("/dev/zero"))
