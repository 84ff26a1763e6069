"""What judges live answers: known targets, and a model behind an API."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from kedge.app import rollouts
from kedge.app.live import judges
from kedge.app.question import asked
from kedge.core.release import Role
from kedge.core.rollout import RolloutPlan, RolloutStep
from kedge.deploy.judge import Action
from kedge.testing.data import build_dataset, write_jsonl
from kedge.testing.scripted import scripted
from kedge.testing.traces import make_trace

Make = Callable[..., Any]
WATCHED = 'quality = ["valid_json"]'
STEPS = """steps = [
    { role = "shadow", hold = "10m", min_answers = 20 },
    { share = 0.1, hold = "10m", min_answers = 20 },
    { share = 0.5, hold = "10m" },
]"""
HALF = {STEPS: 'steps = [{ share = 0.5, hold = "10h" }]'}


def add_targets(stage: Any) -> None:
    """A dataset that knows what is the capital of what."""
    root = stage.project.root
    rows = [{"input": f"the capital of country {i}", "target": f"city {i}"} for i in range(30)]
    write_jsonl(root / "rows.jsonl", rows)
    built = build_dataset(stage.project.blobs, root, name="capitals")
    stage.project.ledger.artifacts.add(built.artifact, at=stage.project.clock.now())


def test_answers_are_judged_by_what_a_dataset_knows_and_others_are_not(make_stage: Make) -> None:
    stage = make_stage(HALF | {WATCHED: 'quality = ["exact_match"]\ntargets = "capitals"'})
    add_targets(stage)
    first, second = stage.project.ledger.models.version("words", 1), stage.register("second")
    plan = RolloutPlan(steps=(RolloutStep(share=0.5),), quality=("exact_match",), targets="capitals")
    judge = judges(stage.project, plan, second.bundle)["exact_match"]
    prompts = {
        "the capital of country 3": "city 3",
        " say the capital of country 4\n": "city 4 ",
        "the capital of country 5": "city 6",
        "the capital of atlantis": "city 5",
    }
    traces = [make_trace(i, prompt=prompt, answer=said) for i, (prompt, said) in enumerate(prompts.items())]
    chat = json.dumps([{"role": "user", "content": "the capital of country 7"}])
    traces.append(make_trace(9, prompt=chat, answer="city 7", route="/v1/chat/completions"))
    assert judge.score(traces) == [1.0, 1.0, 0.0, None, 1.0]
    rollouts.start(stage.project, "words", second.address)
    known = {"prompt": "the capital of country 1"}
    stage.traffic(
        stage.part(first, "stable", ["city 1"] * 60, known),
        stage.part(second, "canary", ["city 2"] * 60, known),
        stage.part(second, "canary", ["city 2"] * 60, {"prompt": "unknown"}),
    )
    decision = stage.look().decision
    assert decision.action is Action.WITHDRAW
    assert "exact_match" in decision.reason


def test_what_was_asked_is_the_last_word_of_the_user() -> None:
    route = "/v1/chat/completions"
    messages = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "x"}]
    assert asked(make_trace(prompt=json.dumps(messages), route=route)) == "one"
    assert asked(make_trace(prompt="[1, 2]", route="/v1/completions")) == "[1, 2]"
    assert asked(make_trace(prompt="[broken", route=route)) == "[broken"
    assert asked(make_trace(prompt='[{"role": "system"}]', route=route)) == '[{"role": "system"}]'


def test_a_model_judges_live_answers_and_its_silence_stops_nothing(make_stage: Make) -> None:
    def verdict(body: dict[str, Any]) -> str:
        return "Verdict: no" if "rubbish" in json.dumps(body) else "Verdict: yes"

    with scripted() as server:
        server.say = verdict
        judge = f'{{ name = "judge", url = "{server.url}", model = "judge" }}'
        stage = make_stage(HALF | {WATCHED: f"quality = [{judge}]"})
        first, second = stage.project.ledger.models.version("words", 1), stage.register("second")
        rollouts.start(stage.project, "words", second.address)
        fine, bad = ["a good answer"] * 40, ["rubbish"] * 40
        stage.traffic(stage.part(first, "stable", fine), stage.part(second, "canary", bad))
        decision = stage.look().decision
        assert decision.action is Action.WITHDRAW
        assert "judge: 0.0% of" in decision.reason
        rollouts.start(stage.project, "words", second.address)
        server.say = lambda body: (401, {"error": {"message": "the judge is away"}}, {})
        stage.traffic(
            stage.part(first, "stable", ["another good answer"] * 40),
            stage.part(second, "canary", ["more"] * 40, {"status": 500, "error": "broken"}),
        )
        decision = stage.look().decision
    assert decision.action is Action.WITHDRAW
    assert "errors" in decision.reason
    assert Role.CANARY not in stage.shares()
