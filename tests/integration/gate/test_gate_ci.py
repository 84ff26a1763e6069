"""What a build server is told: the exit code, JUnit XML, SARIF and Markdown; and the files that make it ask."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import check_jsonschema
import jsonschema
import pytest
import yaml

from kedge.app import models
from kedge.app.initialise import CI
from kedge.cli.main import ENTRIES
from kedge.core.evaluation import Finding, Interval, Outcome, Rule
from kedge.evaluate.formats.junit import junit
from kedge.evaluate.formats.markdown import markdown
from kedge.evaluate.formats.sarif import sarif
from kedge.evaluate.formats.types import Judgement
from kedge.testing.judged import Yard, right

HERE = Path(__file__).parent
VENDORED = Path(check_jsonschema.__file__).parent / "builtin_schemas" / "vendor"
SCHEMAS = {"github": "github-workflows.json", "gitlab": "gitlab-ci.json", "travis": "travis.json"}
MakeYard = Callable[..., Yard]


def make_judgement(outcome: Outcome, text: str = "exact_match 0.7 [0.6, 0.8] | is <good> & *well*\x00") -> Judgement:
    finding = Finding(
        rule=Rule(metric="exact_match", at_least=0.55, slice="args>=2"),
        outcome=outcome,
        interval=Interval(value=0.7, low=0.6, high=0.8),
        reference=0.55,
        text=text,
        needed=100 if outcome is Outcome.UNDECIDED else 0,
        cases=("c1", "c2"),
    )
    return Judgement(
        version="sums@2", bundle="sha256:" + "b" * 64, gate="gate", outcome=outcome, findings=(finding,), line=6
    )


@pytest.mark.parametrize(("count", "code", "outcome"), [(90, 0, "pass"), (20, 3, "fail"), (57, 9, "undecided")])
def test_the_exit_code_tells_the_three_outcomes_apart(
    make_yard: MakeYard, kedge: Any, count: int, code: int, outcome: str
) -> None:
    make_yard().make_version("one", right(count, 100))

    assert kedge("gate", "--ci", code=code)["outcome"] == outcome
    assert kedge("gate", code=0)["outcome"] == outcome


def test_without_ci_and_without_a_verdict_it_is_undecided(make_yard: MakeYard, kedge: Any) -> None:
    make_yard().make_version("one", right(90, 100), judged=False)

    (judgement,) = kedge("gate", "--ci", code=9)["judgements"]

    assert judgement["doubts"] == ["gate gate: there is no verdict on sums@1"]


def test_a_named_version_is_judged_instead_of_the_newest(make_yard: MakeYard, kedge: Any) -> None:
    yard = make_yard()
    yard.make_version("one", right(90, 100))
    yard.make_version("two", right(20, 100))

    assert kedge("gate", "sums@1", "--ci", code=0)["judgements"][0]["version"] == "sums@1"
    assert kedge("gate", "--ci", code=3)["judgements"][0]["version"] == "sums@2"


def test_a_version_that_has_taken_the_alias_it_was_compared_with_stays_passed(make_yard: MakeYard, kedge: Any) -> None:
    yard = make_yard('rules = [{ metric = "exact_match", at_least = "sums@production" }]')
    models.promote(yard.project, yard.make_version("one", right(50, 100)).address)
    models.promote(yard.project, yard.make_version("two", right(90, 100)).address)

    assert kedge("gate", "--ci", code=0)["outcome"] == "pass"


def test_every_report_is_written_beside_the_others(make_yard: MakeYard, kedge: Any, tmp_path: Path) -> None:
    make_yard().make_version("one", right(20, 100))
    files = [str(tmp_path / "out" / name) for name in ("junit.xml", "gate.sarif", "gate.md")]

    told = kedge("gate", "--ci", "--junit", files[0], "--sarif", files[1], "--markdown", files[2], code=3)

    assert told["files"] == files
    assert ElementTree.parse(files[0]).getroot().get("failures") == "1"
    jsonschema.validate(
        json.loads(Path(files[1]).read_text()), json.loads((HERE / "sarif-schema-2.1.0.json").read_text())
    )
    assert Path(files[2]).read_text().startswith("## kedge gate: ❌ fail")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["gate.md", "gate.sarif", "junit.xml"]


def test_without_a_version_it_says_what_to_do(make_yard: MakeYard, kedge: Any) -> None:
    make_yard()

    assert kedge("gate", "--ci", code=4)["error"]["hint"].startswith("kedge run")


def test_junit_counts_failures_and_errors_and_survives_any_text() -> None:
    told = junit([make_judgement(outcome) for outcome in Outcome])

    root = ElementTree.fromstring(told)
    assert {name: root.get(name) for name in ("tests", "failures", "errors")} == {
        "tests": "3",
        "failures": "1",
        "errors": "1",
    }
    assert [len(list(suite.iter("testcase"))) for suite in root.iter("testsuite")] == [1, 1, 1]


@pytest.mark.parametrize(
    ("outcome", "kind", "level"),
    [("pass", "pass", "none"), ("fail", "fail", "error"), ("undecided", "fail", "warning")],
)
def test_sarif_is_valid_and_points_at_the_gate(outcome: str, kind: str, level: str) -> None:
    log = json.loads(sarif([make_judgement(Outcome(outcome))], version="1.2.3"))

    jsonschema.validate(log, json.loads((HERE / "sarif-schema-2.1.0.json").read_text()))
    (result,) = log["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert (result["kind"], result["level"]) == (kind, level)
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("kedge.toml", 6)


def test_markdown_escapes_what_a_finding_says() -> None:
    told = markdown([make_judgement(Outcome.PASS)])

    assert r"\| is \<good\> & \*well\*" in told


@pytest.fixture
def written(make_yard: MakeYard, kedge: Any, tmp_path: Path) -> Callable[[str], str]:
    """The text of a build server's file, as `kedge init --ci` writes it."""
    make_yard().make_version("one", right(90, 100))

    def write(service: str) -> str:
        (name,) = kedge("init", str(tmp_path), "--ci", service)["written"]
        return Path(tmp_path, name).read_text()

    return write


@pytest.mark.parametrize("service", SCHEMAS)
def test_a_template_follows_the_schema_of_its_service(written: Callable[[str], str], service: str) -> None:
    raw = yaml.safe_load(written(service))
    raw = {("on" if key is True else key): value for key, value in raw.items()}

    schema = json.loads((VENDORED / SCHEMAS[service]).read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(raw)] == []


def test_the_jenkinsfile_has_balanced_braces_and_its_stages(written: Callable[[str], str]) -> None:
    text = re.sub(r"'[^'\n]*'|\"[^\"\n]*\"|//.*", "", written("jenkins"))

    assert text.count("{") == text.count("}")
    assert [word for word in re.findall(r"\w+", text) if word in ("agent", "stages", "post")] == [
        "agent",
        "stages",
        "post",
    ]


@pytest.mark.parametrize("service", CI)
def test_the_very_commands_of_a_template_run(written: Callable[[str], str], service: str, tmp_path: Path) -> None:
    gate, build = sorted(set(re.findall(r"kedge (?:run|gate)[^'\n]*", written(service))))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    judged = subprocess.run(
        gate, shell=True, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, check=False, text=True
    )

    assert build.split()[1] in ENTRIES
    assert judged.returncode == 0, judged.stderr
    assert sorted(path.name for path in (tmp_path / "kedge").iterdir()) == ["gate.md", "gate.sarif", "junit.xml"]


def test_a_file_that_is_there_is_kept(written: Callable[[str], str], kedge: Any, tmp_path: Path) -> None:
    written("gitlab")

    assert (
        kedge("init", str(tmp_path), "--ci", "gitlab", code=5)["error"]["message"]
        == "there is a .gitlab-ci.yml already"
    )
