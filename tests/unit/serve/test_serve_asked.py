"""Whatever bytes arrive, a body is read or refused with a reason; nothing else happens."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge.core.bundle import Sampling
from kedge.core.settings import GatewaySettings
from kedge.serve.gateway import chat, completions
from kedge.serve.gateway.asked import CommonBody, Wish, read_body, wish_of
from kedge.serve.gateway.errors import ApiError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = sorted({*chat.ChatBody.__struct_fields__, *completions.CompletionBody.__struct_fields__, "other"})
CHAT = msgspec.json.Decoder(chat.ChatBody)
TEXT = msgspec.json.Decoder(completions.CompletionBody)
COMMON = msgspec.json.Decoder(CommonBody)


def refusals(data: bytes) -> list[ApiError]:
    """Why a body was refused as a chat and as a completion, where it was."""
    found = []
    for read in (
        lambda: read_body(CHAT, data, chat.NEUTRAL),
        lambda: read_body(TEXT, data, completions.NEUTRAL),
    ):
        try:
            body: CommonBody = read()
            wish_of(body, None, Sampling(), GatewaySettings())
        except ApiError as error:
            found.append(error)
    return found


def well_said(error: ApiError) -> bool:
    """Whether a refusal has the status and the shape of the API."""
    said = msgspec.json.decode(error.body())["error"]
    return error.status == 400 and bool(said["message"]) and said["type"] == "invalid_request_error"


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    assert all(well_said(error) for error in refusals(data))


@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6))
def test_any_object_is_read_or_refused(fields: dict[str, object]) -> None:
    base = {"model": "m", "messages": [{"role": "user", "content": "x"}], "prompt": "x"}
    assert all(well_said(error) for error in refusals(msgspec.json.encode({**base, **fields})))


def wish(defaults: Sampling | None = None, **fields: Any) -> Wish:
    limit = fields.pop("max_tokens", None)
    body = read_body(COMMON, msgspec.json.encode({"model": "m", **fields}), {})
    return wish_of(body, limit, defaults or Sampling(), GatewaySettings(max_tokens=100))


def test_the_bundles_defaults_stay_within_the_limit() -> None:
    assert wish(Sampling(max_tokens=500)).sampling.max_tokens == 100
    assert wish(Sampling(max_tokens=50)).sampling.max_tokens == 50
    assert wish(Sampling(max_tokens=50), max_tokens=80).sampling.max_tokens == 80


def test_each_choice_of_a_seed_has_a_seed_of_its_own() -> None:
    seeded = wish(seed=2**63 - 1, n=3)
    seeds = [seeded.for_choice(i).seed for i in range(3)]
    assert seeds == [2**63 - 1, 0, 1]
    assert wish(n=2).for_choice(1).seed is None
    assert wish(seed=-1, n=2).for_choice(1).seed == 0


@pytest.mark.parametrize(("field", "value"), [("frequency_penalty", False), ("n", True), ("user", False)])
def test_false_is_not_taken_for_zero_nor_zero_for_false(field: str, value: Any) -> None:
    with pytest.raises(ApiError, match=field):
        wish(**{field: value})
