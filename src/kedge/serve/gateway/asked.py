"""Request bodies: read, checked, and merged with what the bundle says. Nothing that is sent is silently dropped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, TypeVar

import msgspec

from kedge.core.bundle import Sampling
from kedge.core.generation import Penalties
from kedge.core.settings import GatewaySettings
from kedge.serve.gateway.errors import ApiError, invalid
from kedge.serve.gateway.routing import Running

B = TypeVar("B", bound=msgspec.Struct)

_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>[^`]*)`(?: - at `\$(?P<at>[^`]*)`)?")
_PLACE = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<at>[^`]*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]*)`")
_SEEDS = 2**63

Count = Annotated[int, msgspec.Meta(ge=1)]
Seed = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Temperature = Annotated[float, msgspec.Meta(ge=0, le=2)]
TopP = Annotated[float, msgspec.Meta(gt=0, le=1)]
Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]
Bias = Annotated[
    dict[Annotated[str, msgspec.Meta(pattern="^[0-9]{1,9}$")], Annotated[float, msgspec.Meta(ge=-100, le=100)]],
    msgspec.Meta(max_length=1024),
]
Stop = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Stops = Annotated[list[Stop], msgspec.Meta(max_length=16)]
Tops = Annotated[int, msgspec.Meta(ge=0, le=20)]


class StreamOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`stream_options`."""

    include_usage: bool = False


class CommonBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What chat and plain completions have in common."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Count | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    seed: Seed | None = None
    stop: Stop | Stops | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: Bias | None = None
    user: Annotated[str, msgspec.Meta(max_length=512)] | None = None

    @property
    def penalised(self) -> str:
        """The field that changes logits ("" for none)."""
        if self.logit_bias:
            return "logit_bias"
        if self.frequency_penalty:
            return "frequency_penalty"
        return "presence_penalty" if self.presence_penalty else ""

    @property
    def penalties(self) -> Penalties | None:
        """What is changed in the logits (None: nothing)."""
        if not self.penalised:
            return None
        return Penalties(
            frequency=self.frequency_penalty or 0.0,
            presence=self.presence_penalty or 0.0,
            bias={int(token): bias for token, bias in (self.logit_bias or {}).items()},
        )


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer is to be made, after the bundle's defaults and the limits. What follows `usage` is as in
    `GenerationRequest`."""

    sampling: Sampling
    choices: int = 1
    stream: bool = False
    usage: bool = False
    logprobs: int | None = None
    echo: bool = False
    schema: str = ""
    tools: Sequence[Mapping[str, Any]] = ()
    penalties: Penalties | None = None
    embed: bool = False

    @property
    def beside(self) -> dict[str, Any]:
        """What decides an answer beside prompt and sampling, as far as it was asked for."""
        asked = {"schema": self.schema, "tools": self.tools, "penalties": self.penalties, "echo": self.echo}
        return {name: value for name, value in asked.items() if value}

    def for_choice(self, choice: int) -> Sampling:
        """The sampling of one of several choices: a seed gives each another one."""
        seed = self.sampling.seed
        if seed is None or choice == 0:
            return self.sampling
        return replace(self.sampling, seed=(seed + choice) % _SEEDS)

    def checked(self, running: Running, fields: Mapping[str, str]) -> Wish:
        """Itself, if the engine can do all of it. 400 names the field that asks for what it cannot, by what it is
        called in `EngineFacts.can`."""
        facts = running.engine.facts
        for word, field in fields.items():
            if word not in facts.can:
                raise unsupported(field, f"the engine {facts.name!r} cannot do it")
        return self


def read_body(decoder: msgspec.json.Decoder[B], data: bytes, neutral: Mapping[str, Sequence[Any]]) -> B:
    """The body as its type. 400 names the field that is wrong or not supported; the fields of `neutral` are known, and
    taken only at values at which they change nothing."""
    try:
        body = decoder.decode(data)
    except msgspec.ValidationError as error:
        raise _mistake(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"the body is not JSON: {error}", code="invalid_json") from error
    for field, values in neutral.items():
        given = getattr(body, field)
        if given is not None and not any(_same(given, value) for value in values):
            raise unsupported(field)
    return body


def _same(given: Any, value: Any) -> bool:
    """Equal, and not only because False counts as 0."""
    return bool(given == value) and isinstance(given, bool) is isinstance(value, bool)


def wish_of(
    body: CommonBody, max_tokens: int | None, defaults: Sampling, settings: GatewaySettings, *, prompts: int = 1
) -> Wish:
    """What the caller asked for over what the bundle says. 400 beyond the limits."""
    if body.stream_options is not None and not body.stream:
        raise invalid("'stream_options' is only taken with 'stream': true", param="stream_options")
    choices = body.n or 1
    if choices > settings.max_choices:
        raise invalid(f"'n' is at most {settings.max_choices} here", param="n", code="limit_exceeded")
    if choices * prompts > settings.max_choices:
        said = f"at most {settings.max_choices} choices are made for a request"
        raise invalid(said, param="prompt", code="limit_exceeded")
    stops = [body.stop] if isinstance(body.stop, str) else body.stop
    options = body.stream_options
    return Wish(
        sampling=Sampling(
            temperature=defaults.temperature if body.temperature is None else body.temperature,
            top_p=defaults.top_p if body.top_p is None else body.top_p,
            max_tokens=limit_tokens(max_tokens, defaults, settings),
            stop=defaults.stop if stops is None else tuple(stops),
            seed=defaults.seed if body.seed is None else body.seed,
        ),
        choices=choices,
        stream=bool(body.stream),
        usage=options is not None and options.include_usage,
        penalties=body.penalties,
    )


def limit_tokens(asked: int | None, defaults: Sampling, settings: GatewaySettings, *, param: str = "max_tokens") -> int:
    """How many tokens an answer may have. 400 if more are asked for than are made here."""
    if asked is None:
        return min(defaults.max_tokens, settings.max_tokens)
    if asked > settings.max_tokens:
        raise invalid(f"at most {settings.max_tokens} tokens are made here", param=param, code="limit_exceeded")
    return asked


def unsupported(field: str, why: str = "") -> ApiError:
    """A field that this endpoint cannot honour."""
    said = f"'{field}' is not supported by this endpoint"
    return invalid(f"{said}: {why}" if why else said, param=field, code="unsupported_parameter")


def _mistake(said: str) -> ApiError:
    """msgspec's words as an error that names the field."""
    unknown = _UNKNOWN.match(said)
    if unknown is not None:
        place = (unknown["at"] or "").lstrip(".")
        return unsupported(f"{place}.{unknown['field']}" if place else unknown["field"])
    missing = _MISSING.match(said)
    if missing is not None:
        return invalid(f"'{missing['field']}' is missing", param=missing["field"], code="missing_parameter")
    match = _PLACE.fullmatch(said)
    place = (match["at"] or "") if match else ""
    what = (match["what"] if match else said).replace("`", "'").replace("Expected", "expected")
    if what.startswith("expected 'null'"):
        return unsupported(place)
    return invalid(f"'{place}': {what}" if place else what, param=place, code="invalid_value")
