"""What `kedge.toml` can say of tenants, caches, prices, guards and fallbacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from kedge.config import list_settings, load_config
from kedge.core.access import Allowance
from kedge.core.errors import Invalid
from kedge.core.settings import CacheSettings, Prices
from kedge.core.spec import Spec

FILE = """
[project]
name = "p"

[tenants.acme]
tokens = 50_000_000
money = 400.0
period = "day"

[endpoints.api]
model = "m"
fallbacks = ["cloud"]
hedge_seconds = 0.5

[endpoints.api.cache]
mode = "semantic"
threshold = 0.9

[endpoints.api.prices]
prompt = 0.5

[[endpoints.api.guards]]
name = "pii"
args = { action = "block" }

[[endpoints.api.guards]]
name = "injection"
"""


def test_tenants_and_endpoints_are_read(tmp_path: Path) -> None:
    (tmp_path / "kedge.toml").write_text(FILE)
    config = load_config(tmp_path / "kedge.toml")
    assert config.tenants == {"acme": Allowance(tokens=50_000_000, money=400.0, period="day")}
    endpoint = config.endpoints["api"]
    assert endpoint.cache == CacheSettings(mode="semantic", threshold=0.9)
    assert endpoint.prices == Prices(prompt=0.5)
    assert endpoint.guards == (Spec(name="pii", args={"action": "block"}), Spec(name="injection"))
    assert (endpoint.fallbacks, endpoint.hedge_seconds) == (("cloud",), 0.5)
    assert {"tenants.acme.money", "endpoints.api.cache"} <= {setting.key for setting in list_settings(config)}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[tenants.acme]\ntoken = 1\n", "unknown key 'token'"),
        ("[tenants.acme]\ntokens = -1\n", "not negative"),
        ('[tenants.acme]\nperiod = "year"\n', "period"),
        ('[endpoints.api]\nmodel = "m"\n[endpoints.api.cache]\nmode = "all"\n', "mode"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, more: str, said: str) -> None:
    (tmp_path / "kedge.toml").write_text(more)
    with pytest.raises(Invalid) as wrong:
        load_config(tmp_path / "kedge.toml")
    assert said in str(wrong.value)
