"""Project files are read with the line of every mistake and the origin of every value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kedge.config import Config, list_settings, load_config, resolve_secret
from kedge.core.errors import Invalid, NotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """A table inside the options."""

    rank: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An element of an array of tables."""

    metric: str
    at_least: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """A step's options."""

    steps: int
    rate: float = 0.1
    lora: Lora = field(default_factory=Lora)
    rules: tuple[Rule, ...] = ()
    base: Lora | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise Invalid("steps must be at least 1", hint="take 100")


def read(folder: Path, text: str, *sets: str) -> Config:
    file = folder / "kedge.toml"
    file.write_text(text)
    return load_config(file, sets=sets)


def options(folder: Path, text: str, *sets: str) -> Options:
    return read(folder, f"[stages.train]\n{text}", *sets).options("train", Options)


def test_an_empty_file_has_every_default(tmp_path: Path) -> None:
    config = read(tmp_path, "")
    assert config.project.name == tmp_path.name
    assert config.store.ledger == f"sqlite:///{tmp_path}/.kedge/ledger.db"
    assert config.store.blobs == f"{tmp_path}/.kedge/blobs"
    assert config.store.traces == f"sqlite:///{tmp_path}/.kedge/traces.db"
    assert config.models.protected == ("production",)


def test_a_stage_has_a_step_inputs_and_options(tmp_path: Path) -> None:
    config = read(
        tmp_path, '[stages.train]\nstep = "fit"\ninputs = { dataset = "data" }\nsteps = 3\nlora = { rank = 2 }\n'
    )
    stage = config.stages["train"]
    assert (stage.step, stage.inputs) == ("fit", {"dataset": "data"})
    assert config.options("train", Options) == Options(steps=3, lora=Lora(rank=2))


def test_a_stage_without_a_step_is_its_own_name(tmp_path: Path) -> None:
    assert read(tmp_path, "[stages.train]\nsteps = 1\n").stages["train"].step == "train"


def test_traces_follow_a_ledger_that_is_not_a_file(tmp_path: Path) -> None:
    config = read(tmp_path, '[store]\nledger = "postgresql+psycopg://host/db"\n')
    assert config.store.traces == "postgresql+psycopg://host/db"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[projct]\n", "kedge.toml:1: unknown table [projct]", "did you mean 'project'?"),
        (
            "\n[gateway]\nmax_token = 1\n",
            "kedge.toml:3: unknown key 'max_token' in [gateway]",
            "did you mean 'max_tokens'?",
        ),
        ("[gateway]\nmax_tokens = 'x'\n", "kedge.toml:2: gateway.max_tokens: expected 'int', got 'str'", ""),
        ("[endpoints.a]\nport = 1\n", "kedge.toml:1: endpoints.a: missing key 'model'", ""),
        ("[stages]\nx = 1\n", "kedge.toml:1: stages must be written as [stages.NAME] tables", ""),
        ("gateway = 3\n", "kedge.toml:1: gateway must be written as [gateway] tables", ""),
        ("[stages.Data]\n", "kedge.toml:1: not a valid name: 'Data'", "1 to 64 of"),
        ("[stages.'a.b']\n", "kedge.toml:1: a name here has no dots: 'a.b'", "use - or _"),
        ("[project\n", "kedge.toml:1:9: not valid TOML: Expected ']' at the end of a table declaration", "https"),
        (
            "[project]\nsecret = 'hunter2'\n",
            "kedge.toml:2: a secret must be a reference, not the value itself",
            "env:NAME",
        ),
    ],
)
def test_a_mistake_names_its_line_and_the_nearest_key(tmp_path: Path, text: str, message: str, hint: str) -> None:
    with pytest.raises(Invalid) as wrong:
        read(tmp_path, text)
    assert wrong.value.message == message
    assert hint in wrong.value.hint
    assert "hunter2" not in str(wrong.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("setps = 1", "kedge.toml:2: unknown key 'setps' in [stages.train]"),
        ("steps = 1\nlora.ranc = 3", "kedge.toml:3: unknown key 'ranc' in [stages.train.lora]"),
        (
            'steps = 1\nrules = [\n  { metric = "a" },\n  { metrc = "b" },\n]',
            "kedge.toml:5: unknown key 'metrc' in [stages.train.rules.1]",
        ),
        (
            'steps = 1\nrules = [\n  { metric = "a" },\n  { metric = 3 },\n]',
            "kedge.toml:5: stages.train.rules.1.metric: expected 'str', got 'int'",
        ),
        ("steps = 1\nbase.ranc = 3", "kedge.toml:3: unknown key 'ranc' in [stages.train.base]"),
        ("rate = 1.5", "kedge.toml:1: stages.train: missing key 'steps'"),
        ("steps = 0", "kedge.toml:1: steps must be at least 1"),
    ],
)
def test_a_mistake_in_a_steps_options_names_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(Invalid) as wrong:
        options(tmp_path, text)
    assert wrong.value.message == message


def test_the_environment_overrides_the_file_and_a_flag_overrides_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "[gateway]\nmax_tokens = 1\n[stages.big-one]\nsteps = 1\n"
    monkeypatch.setenv("KEDGE__GATEWAY__MAX_TOKENS", "2")
    monkeypatch.setenv("KEDGE__STAGES__BIG_ONE__STEPS", "20")
    monkeypatch.setenv("KEDGE__PROJECT__NAME", "7")
    config = read(tmp_path, text)
    assert config.gateway.max_tokens == 2
    assert config.options("big-one", Options).steps == 20
    assert config.project.name == "7"
    assert read(tmp_path, text, "gateway.max_tokens=3").gateway.max_tokens == 3


def test_a_flag_reaches_into_tables_and_may_leave_out_stages(tmp_path: Path) -> None:
    assert options(tmp_path, "steps = 1\n", "train.steps=5", "stages.train.lora.rank=4") == Options(
        steps=5, lora=Lora(rank=4)
    )


def test_more_flags_come_on_top_of_those_before(tmp_path: Path) -> None:
    config = read(tmp_path, "[stages.train]\nsteps = 1\n", "train.steps=2", "train.rate=0.5")
    again = config.with_sets(["train.steps=3"]).options("train", Options)
    assert (again.steps, again.rate) == (3, 0.5)


@pytest.mark.parametrize("given", ["steps=1", "train.steps", "=1", "train..x=1"])
def test_a_flag_that_is_not_an_assignment_is_refused(tmp_path: Path, given: str) -> None:
    with pytest.raises(Invalid, match="not of the form"):
        read(tmp_path, "[stages.train]\n", given)


def test_a_wrong_override_is_named_instead_of_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Invalid, match=r"^--set gateway.max_tokens: gateway.max_tokens: expected 'int'"):
        read(tmp_path, "", "gateway.max_tokens=many")
    monkeypatch.setenv("KEDGE__GATEWAY__MAX", "1")
    with pytest.raises(Invalid, match=r"^KEDGE__GATEWAY__MAX: unknown key 'max'"):
        read(tmp_path, "")


def test_every_setting_has_its_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEDGE__GATEWAY__MAX_TOKENS", "2")
    config = read(tmp_path, '[project]\nname = "x"\n[stages.train]\nsteps = 1\n', "train.steps=9")
    origins = {setting.key: (setting.value, setting.origin) for setting in list_settings(config)}
    assert origins["project.name"] == ("x", "kedge.toml:2")
    assert origins["gateway.max_tokens"] == (2, "KEDGE__GATEWAY__MAX_TOKENS")
    assert origins["gateway.max_choices"] == (8, "default")
    assert origins["stages.train.steps"] == (9, "--set train.steps")
    assert origins["store.ledger"] == (".kedge/ledger.db", "default")


def test_passwords_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER", "postgresql://u:hunter2@h/d")
    referred = read(tmp_path, '[store]\nledger = "env:LEDGER"\n')
    assert referred.store.ledger == "postgresql://u:hunter2@h/d"
    written = read(tmp_path, '[store]\nledger = "postgresql://u:hunter2@h/d"\n')
    for config in (referred, written):
        assert "hunter2" not in repr([*list_settings(config), config])


def test_a_secret_is_read_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "abc")
    (tmp_path / "token").write_text("def\n")
    assert resolve_secret("env:TOKEN", root=tmp_path) == "abc"
    assert resolve_secret("file:token", root=tmp_path) == "def"
    with pytest.raises(NotFound, match="ABSENT is not set"):
        resolve_secret("env:ABSENT", root=tmp_path)
    with pytest.raises(NotFound, match="cannot read the secret"):
        resolve_secret("file:absent", root=tmp_path)
    with pytest.raises(Invalid, match="must be a reference"):
        resolve_secret("abc", root=tmp_path)
