"""JUnit XML, as Jenkins and GitLab read it: a suite a gate, a case a finding; undecided is an error, not a failure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from kedge.core.evaluation import Outcome
from kedge.evaluate.formats.types import Judgement, label

_CANNOT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # not in XML 1.0
_TAGS = {Outcome.FAIL: "failure", Outcome.UNDECIDED: "error"}


def junit(judgements: Sequence[Judgement]) -> str:
    """The judgements as one document."""
    root = ElementTree.Element("testsuites", name="kedge gate")
    for judgement in judgements:
        cases = list(_cases(judgement))
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=_clean(f"{judgement.version} by {judgement.gate}"),
            tests=str(len(cases)),
            failures=str(sum(outcome is Outcome.FAIL for _, outcome, _ in cases)),
            errors=str(sum(outcome is Outcome.UNDECIDED for _, outcome, _ in cases)),
            skipped="0",
            time="0",
        )
        for name, outcome, text in cases:
            case = ElementTree.SubElement(
                suite,
                "testcase",
                classname=_clean(f"{judgement.version}.{judgement.gate}"),
                name=_clean(name),
                time="0",
            )
            if outcome in _TAGS:
                ElementTree.SubElement(case, _TAGS[outcome], message=_clean(text), type=str(outcome)).text = _clean(
                    text
                )
            else:
                ElementTree.SubElement(case, "system-out").text = _clean(text)
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _cases(judgement: Judgement) -> Iterator[tuple[str, Outcome, str]]:
    for number, doubt in enumerate(judgement.doubts, 1):
        yield f"verdict {number}", judgement.outcome, doubt
    for finding in judgement.findings:
        yield label(finding.rule), finding.outcome, finding.text


def _clean(text: str) -> str:
    return _CANNOT.sub("\ufffd", text)
