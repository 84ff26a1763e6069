"""Evaluations from the command line, on record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kedge.core.ledger import RunQuery
from kedge.testing.scripted import scripted


def kept(root: Path) -> int:
    """How many answers are kept."""
    return sum(len(file.read_bytes().splitlines()) for file in (root / ".kedge/cache/answers").glob("*.jsonl"))


def metric(view: Any, name: str, *, slice: str = "", answerer: str = "model") -> float:
    found = [
        result["interval"]["value"]
        for result in view["evaluation"]["results"]
        if (result["metric"], result["slice"], result["answerer"]) == (name, slice, answerer)
    ]
    assert len(found) == 1, (name, view["evaluation"]["results"])
    return float(found[0])


def test_a_version_is_evaluated_and_another_scorer_asks_nothing_again(line: Any, echo: str) -> None:
    words = ("evaluate", echo, "--data", "cases", "--scorer", "exact_match")

    first = line.good(*words, "--slice", "kind", "--baseline", "most_common")
    answers = kept(line.root)
    second = line.good(*words, "--scorer", "token_f1", "--slice", "kind", "--baseline", "most_common")
    again = line.good(*words, "--scorer", "token_f1", "--slice", "kind", "--baseline", "most_common")

    assert 0.5 < metric(first, "exact_match") < 1.0
    assert metric(second, "exact_match") == metric(first, "exact_match")
    assert kept(line.root) == answers
    assert first["worst"]["exact_match"]["slice"] == "kind=a"
    assert (second["fresh"], again["fresh"], again["digest"]) == (True, False, second["digest"])
    listed = [view["digest"] for view in line.good("evaluate", "list")]
    assert listed.index(second["digest"]) < listed.index(first["digest"])
    assert line.good("evaluate", "show", second["digest"][:19])["run"] == second["run"]
    project = line.open()
    run = project.ledger.runs.search(RunQuery(where="stage = 'evaluate'"))[0]
    project.close()
    assert set(run.inputs) == {"bundle", "dataset"}


def test_the_same_evaluation_has_the_same_digest_without_what_was_kept(line: Any, echo: str) -> None:
    words = ("evaluate", echo, "--data", "cases", "--scorer", "bleu", "--perturb", "typos:share=0.5")
    first = line.good(*words)
    for file in (line.root / ".kedge/cache/answers").glob("*.jsonl"):
        file.unlink()

    second = line.good(*words, "--force")

    assert second["fresh"]
    assert second["digest"] == first["digest"]


def test_a_task_in_a_file_asks_in_its_own_words_and_shows_examples(line: Any, echo: str) -> None:
    task = line.root / "task.toml"
    task.write_text(
        'prompt = "say {input} of {kind}"\nscorers = ["exact_match", { name = "regex", pattern = "^say" }]\n'
        'baselines = []\nshots = [2]\nperturb = [{ name = "case", to = "upper" }]\n'
    )

    view = line.good("evaluate", echo, "--data", "cases", "--task", str(task))

    assert metric(view, "exact_match") == 0.0
    assert metric(view, "regex") == 1.0
    assert metric(view, "regex~case") == -1.0
    assert metric(view, "regex", answerer="few_shot_2") == 1.0
    shown = line.good("evaluate", "show", view["digest"], "--cases")
    assert {case["answer"].split()[0] for case in shown} == {"say"}


def test_what_cannot_be_is_said_with_what_to_do(line: Any, echo: str) -> None:
    task = line.root / "task.toml"
    task.write_text("scorer = []\n")
    for words, message, hint in (
        (("--data", "cases", "--scorer", "exact_mach"), "exact_mach", "'exact_match'"),
        (("--data", "cases", "--scorer", "numeric:far=1"), "far", "tolerance"),
        (
            (
                "--data",
                "caess",
            ),
            "caess",
            "cases@1",
        ),
        (("--data", "cases", "--task", str(task)), "scorer", "scorers"),
        ((), "which rows", "--data"),
        (("--data", "cases", "--scorer", "exact_match", "--shots", "0"), "zero_shot", "shots"),
    ):
        code, said = line.call("evaluate", echo, *words)
        assert code != 0, words
        assert message in said["error"]["message"]
        assert hint in said["error"]["hint"]


def test_a_server_is_evaluated_and_judged_and_no_key_is_ever_written(line: Any, echo: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("SERVER_KEY", "hush-hush")
    words = ("--data", "cases", "--scorer", "exact_match", "--model", "m", "--key", "env:SERVER_KEY")

    def say(body: dict[str, Any]) -> str:
        text = str(body["messages"][-1]["content"])
        return "Verdict: yes" if "<rubric>" in text else text

    with scripted() as server:
        server.say = say
        judge = f'{{name = "judge", url = "{server.url}", model = "j", key = "env:SERVER_KEY"}}'
        more = ("--scorer", "latency", "--scorer", "cost:input=1,output=2", "--scorer", judge)
        first = line.good("evaluate", server.url, *words, *more)
        asked = len(server.asked)
        line.good("evaluate", server.url, *words)
        assert len(server.asked) == asked
        line.good("evaluate", server.url, *words, "--force")

    assert asked == 2 * first["evaluation"]["cases"]
    assert len(server.asked) == 1.5 * asked
    assert metric(first, "judge") == 1.0
    assert metric(first, "latency") > 0
    assert first["evaluation"]["subject"] == f"{server.url} m"
    assert set(server.keys) == {"Bearer hush-hush"}
    written = [path for path in line.root.rglob("*") if path.is_file() and b"hush-hush" in path.read_bytes()]
    assert written == []


def test_an_endpoint_is_evaluated_through_its_own_gateway(line: Any, echo: str, serve: Any) -> None:
    from kedge.app import keys, models
    from kedge.core.access import Scope

    project = line.open()
    secret = keys.create(project, "test", scopes=[Scope.ASK]).secret
    models.promote(project, echo, override="a test")
    (line.root / "key").write_text(secret)
    with serve(project):
        view = line.good(
            "evaluate", "endpoint:words", "--data", "cases", "--scorer", "exact_match", "--key", "file:key"
        )
    project.close()

    assert 0.5 < metric(view, "exact_match") < 1.0
    assert json.dumps(view).count(secret) == 0
