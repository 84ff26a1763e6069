"""Plug-ins and versions are found without importing, and a broken plug-in is reported by name and package."""

from __future__ import annotations

import logging
from importlib import metadata
from pathlib import Path

import pytest

from kedge.core.errors import NotFound, Unavailable
from kedge.plugins import catalogue, find_plugins, find_versions


def install(folder: Path, package: str, entries: str, modules: dict[str, str]) -> None:
    """A package as an installer leaves it."""
    info = folder / f"{package}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "entry_points.txt").write_text(f"[kedge.tests]\n{entries}\n\n[other]\nx = y:z\n")
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)


def test_things_are_looked_up_by_name_and_loaded_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(
        tmp_path,
        "sample_plugin",
        "good = sample_good:VALUE\nbad = sample_bad:VALUE",
        {
            "sample_good": "VALUE = 42",
            "sample_bad": "import a_package_that_is_absent",
        },
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    things = catalogue("thing", "kedge.tests")
    assert things.names() == ["bad", "good"]
    assert things.get("good") == 42
    with pytest.raises(
        Unavailable, match=r"'bad' of sample-plugin 1\.2 cannot be loaded: ModuleNotFoundError"
    ) as broken:
        things.get("bad")
    assert "sample-plugin" in broken.value.hint
    with pytest.raises(NotFound, match="no thing is called 'god'"):
        things.get("god")


def test_of_two_with_one_name_the_second_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for package in ("b_plugin", "a_plugin"):
        install(
            tmp_path / package, package, f"same = {package}_module:VALUE", {f"{package}_module": f"VALUE = {package!r}"}
        )
        monkeypatch.syspath_prepend(str(tmp_path / package))
    with caplog.at_level(logging.WARNING, "kedge.plugins"):
        assert catalogue("thing", "kedge.tests").get("same") == "a_plugin"
    (record,) = caplog.records
    assert record.__dict__["package"] == "b-plugin"


def test_what_is_found_is_what_the_standard_library_finds() -> None:
    ours = {(plugin.name, f"{plugin.module}:{plugin.attribute}") for plugin in find_plugins("kedge.steps")}
    theirs = {(entry.name, entry.value) for entry in metadata.entry_points(group="kedge.steps")}
    assert ours == theirs
    names = ["click", "msgspec", "SQLAlchemy", "prometheus_client"]
    assert find_versions(names) == {name: metadata.version(name) for name in names}
    assert find_versions(["not-here"]) == {"not-here": "absent"}
