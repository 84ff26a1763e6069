"""The pages tell the truth: generated regions are up to date, code runs, links and commands lead somewhere."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from tests.docs import generate

import kedge
import kedge.testing
from kedge.cli.main import line
from kedge.config import load_config
from kedge.core.errors import EXTRAS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
UNTESTED = {"kedge.data.privacy.presidio"}  # its package is a gigabyte, and there is no model to go with it
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name(path: Path) -> str:
    """A page by its place in the repository."""
    return path.relative_to(ROOT).as_posix()


def blocks(language: str) -> list[tuple[str, str]]:
    """Every code block in a language, with its page."""
    return [(name(page), text) for page in PAGES for kind, text in BLOCK.findall(page.read_text()) if kind == language]


def shell_lines() -> list[tuple[str, str]]:
    """Every call of `kedge` in a shell block, and those in backticks that name a command."""
    lines = [(page, text) for page, block in blocks("sh") for text in block.replace("\\\n", " ").splitlines()]
    return [(page, text) for page, text in lines if text.startswith("kedge ")]


@pytest.mark.parametrize("page", sorted(generate.REGIONS))
def test_generated_regions_are_up_to_date(page: str) -> None:
    assert generate.render(page) == (generate.DOCS / page).read_text(), "make docs writes it"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize(("page", "text"), blocks("json"))
def test_json_parses(page: str, text: str) -> None:
    assert json.loads(text) is not None, page


@pytest.mark.parametrize(("page", "text"), blocks("toml"))
def test_toml_parses_and_a_project_file_is_read_without_complaint(page: str, text: str, tmp_path: Path) -> None:
    table = tomllib.loads(text)
    if page != "docs/plugins.md":
        complete = text if table.get("project") else f'[project]\nname = "example"\n{text}'
        file = tmp_path / "kedge.toml"
        file.write_text(complete.replace("env:LEDGER_URL", "ledger.db"))
        assert load_config(file).project.name


@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_python_runs(page: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "kedge.toml").write_text('[project]\nname = "example"\n')
    done = subprocess.run([sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{page}\n{done.stderr}"


@pytest.mark.parametrize(("page", "text"), shell_lines())
def test_commands_exist_with_their_options(page: str, text: str) -> None:
    command: click.Command = line
    context = click.Context(line, info_name="kedge")
    for word in shlex.split(text.partition(" |")[0].partition("#")[0])[1:]:
        if word.startswith("-"):
            known = {option for parameter in command.get_params(context) for option in parameter.opts}
            assert word.partition("=")[0] in known, f"{page}: {text}"
        elif isinstance(command, click.Group) and (below := command.get_command(context, word)) is not None:
            command, context = below, click.Context(below, info_name=word)


def test_make_targets_on_the_pages_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for page in PAGES for target in re.findall(r"`make ([a-z]+)`", page.read_text())}
    assert named <= targets
    assert len(targets - {"look"}) <= 10


def test_every_public_name_is_on_its_page() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    assert [public for public in kedge.__all__ if f"`kedge.{public}" not in page] == []


def test_every_name_that_kedge_promises_is_there() -> None:
    assert [public for public in kedge.__all__ if not hasattr(kedge, public)] == []


def test_every_module_for_plugin_authors_is_on_its_page() -> None:
    page = (ROOT / "docs" / "plugins.md").read_text()
    modules = [module.name for module in pkgutil.iter_modules(kedge.testing.__path__)]
    assert [module for module in modules if f"`kedge.testing.{module}`" not in page] == []


def test_every_entry_point_loads() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    for names in groups.values():
        for place in names.values():
            module, _, attribute = place.partition(":")
            if module not in UNTESTED:
                assert hasattr(importlib.import_module(module), attribute), place


def test_every_entry_point_group_is_explained() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    page = (ROOT / "docs" / "plugins.md").read_text().partition("<!-- end groups -->")[2]
    assert [group for group in groups if f"| `{group}` |" not in page] == []


def test_the_glossary_is_in_order() -> None:
    nouns = re.findall(r"^\| ([a-z ]+) \|", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)[1:]
    assert nouns == sorted(nouns)


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("page", DECISIONS, ids=name)
def test_a_decision_states_question_options_choice_and_consequence(page: Path) -> None:
    headings = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
    assert headings == ["Question", "Options", "Choice", "Consequence"]


def test_changelog_fragments_are_named_by_number_and_kind() -> None:
    fragments = [path.name for path in (ROOT / "changelog.d").iterdir()]
    assert fragments
    assert [
        file for file in fragments if not re.fullmatch(r"\d+(\.\d+)?\.(added|changed|fixed|removed)\.md", file)
    ] == []


@pytest.mark.parametrize("file", ["lock.txt", "dev.txt", "torch.txt", "torch-cpu.txt", "cuda.txt"])
def test_lock_files_hold_nothing_but_pins_markers_and_hashes(file: str) -> None:
    lines = (ROOT / "requirements" / file).read_text().splitlines()
    pattern = re.compile(r"#.*|[a-z0-9._-]+==\S+( ; [^\\]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")
    assert [text for text in lines if not pattern.fullmatch(text)] == []


def test_the_core_install_has_at_most_twelve_dependencies() -> None:
    assert len(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]) <= 12


def test_every_package_of_an_extra_has_its_install_line() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    modules = {"scikit-learn": "sklearn"}
    for extra, requirements in extras.items():
        names = [re.split(r"[\[<>=]", requirement)[0] for requirement in requirements]
        assert {modules.get(each, each.replace("-", "_")) for each in names} - {"kedge"} <= set(EXTRAS), extra
    for module, extra in EXTRAS.items():
        package = {"sklearn": "scikit-learn"}.get(module, module.replace("_", "-"))
        assert any(package in requirement.replace("_", "-") for requirement in extras[extra]), module
