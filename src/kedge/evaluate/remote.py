"""Asks a server that speaks the OpenAI API: several requests at once, and again where it makes sense."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec
from pyreqwest.client import SyncClient, SyncClientBuilder
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.response import SyncResponse

from kedge.core.bundle import Sampling
from kedge.core.errors import Invalid, NotFound, Unauthenticated, Unavailable
from kedge.core.ports import Progress, Silent
from kedge.evaluate.types import Answer, Question

CASE = (400, 413, 422)  # the server minds this one request
LATER = (408, 409, 425, 429, 500, 502, 503, 504)
LONGEST = 60.0  # seconds between two tries


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where to ask. `url` is the API's base, `api` is `chat` or `completions`, `extra` goes into every request.

    `tries` is how often a request is made before it counts as failed.
    """

    url: str
    model: str
    secret: str = ""
    api: str = "chat"
    concurrency: int = 8
    tries: int = 5
    timeout: float = 120.0
    pause: float = 0.5
    extra: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise Invalid(f"not the address of a server: {self.url}", hint="as in http://127.0.0.1:8000/v1")
        if self.api not in ("chat", "completions"):
            raise Invalid(f"api is chat or completions, not {self.api!r}")
        if self.concurrency < 1 or self.tries < 1:
            raise Invalid("a server is asked at least one request at a time, at least once")

    @property
    def address(self) -> str:
        """Where requests go."""
        base = self.url.rstrip("/")
        base = base if urlsplit(base).path not in ("", "/") else f"{base}/v1"
        return f"{base}/chat/completions" if self.api == "chat" else f"{base}/completions"


class Remote:
    """Asks one server. Use it in a `with` block; its connections are shared by its threads."""

    def __init__(self, server: Server, sampling: Sampling, *, confidence: bool = False) -> None:
        self.server = server
        self._sampling = sampling
        self._confidence = confidence
        builder = SyncClientBuilder().timeout(timedelta(seconds=server.timeout))
        if server.secret:
            builder = builder.default_headers({"authorization": f"Bearer {server.secret}"})
        self._client: SyncClient = builder.build()

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *error: object) -> None:
        self._client.close()

    def ask(self, questions: Sequence[Question], progress: Progress | None = None) -> list[Answer]:
        """The answer to each. A request that the server minds is answered with nothing and its error.

        `Unavailable` when the server cannot be reached after all tries; `Unauthenticated`; `NotFound`.
        """
        told = progress or Silent()
        with ThreadPoolExecutor(self.server.concurrency, thread_name_prefix="ask") as pool:
            asked = [pool.submit(self.ask_one, question) for question in questions]
            try:
                answers = []
                for one in asked:
                    answers.append(one.result())
                    told.advance()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return answers

    def ask_one(self, question: Question) -> Answer:
        """One answer, with the time it took."""
        body = self._body(question)
        for attempt in range(1, self.server.tries + 1):
            began = time.monotonic()
            try:
                with self._client.post(self.server.address).body_json(body).build_streamed() as response:
                    data = bytes(response.body_reader.bytes())
                    said = self._read(response, data, time.monotonic() - began)
                    wait = _wait(response)
            except PyreqwestError as error:
                said, wait = None, 0.0
                if attempt == self.server.tries:
                    raise self._unreachable(f"{type(error).__name__}: {error}") from error
            if said is not None:
                return said
            if attempt < self.server.tries:
                time.sleep(min(LONGEST, max(wait, self.server.pause * 2 ** (attempt - 1) * (0.5 + random.random()))))
        raise self._unreachable("it refused every try")

    def _body(self, question: Question) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.server.model,
            "temperature": self._sampling.temperature,
            "max_tokens": self._sampling.max_tokens,
        }
        if self._sampling.top_p != 1.0:
            body["top_p"] = self._sampling.top_p
        if self._sampling.stop:
            body["stop"] = list(self._sampling.stop)
        if self._sampling.seed is not None:
            body["seed"] = self._sampling.seed
        if self.server.api == "chat":
            body["messages"] = list(question.messages or ({"role": "user", "content": question.text},))
        else:
            body["prompt"] = question.text
        if self._confidence:
            body["logprobs"] = True if self.server.api == "chat" else 0
        return body | dict(self.server.extra or {})

    def _read(self, response: SyncResponse, data: bytes, seconds: float) -> Answer | None:
        """The answer; None where it is worth asking again."""
        if response.status in LATER:
            return None
        if response.status in CASE:
            return Answer(text="", finish="error", error=_message(data), seconds=seconds)
        if response.status in (401, 403):
            raise Unauthenticated(
                f"{self.server.url} does not take the key: {_message(data)}",
                address=self.server.url,
                hint="name the variable that holds one: --key env:NAME",
            )
        if response.status != 200:
            raise NotFound(
                f"{self.server.address} answers {response.status}: {_message(data)}",
                address=self.server.url,
                hint="check the address and the model's name; the API's base usually ends in /v1",
            )
        try:
            return _answer(msgspec.json.decode(data), seconds)
        except (msgspec.DecodeError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise self._unreachable(f"its answer cannot be read: {data[:200]!r}") from error

    def _unreachable(self, why: str) -> Unavailable:
        return Unavailable(
            f"{self.server.url} cannot be asked: {why}",
            address=self.server.url,
            hint="what was answered is kept: run it again to go on",
        )


def _answer(raw: Mapping[str, Any], seconds: float) -> Answer:
    choice = raw["choices"][0]
    message = choice.get("message")
    text = choice["text"] if message is None else message.get("content") or ""
    if message is not None and message.get("tool_calls"):
        calls = [call["function"] for call in message["tool_calls"]]
        text = text or msgspec.json.encode({"tool_calls": calls}).decode()
    usage = raw.get("usage") or {}
    return Answer(
        text=text,
        finish="length" if choice.get("finish_reason") == "length" else "stop",
        tokens=usage.get("completion_tokens") or 0,
        prompt_tokens=usage.get("prompt_tokens") or 0,
        confidence=_confidence(choice.get("logprobs")),
        seconds=seconds,
    )


def _confidence(logprobs: Mapping[str, Any] | None) -> float | None:
    """The probability of the whole answer, where the server tells those of its tokens."""
    if not logprobs:
        return None
    content = logprobs.get("content")
    values = logprobs.get("token_logprobs") if content is None else [token["logprob"] for token in content]
    return math.exp(min(0.0, sum(value for value in values if value is not None))) if values else None


def _message(data: bytes) -> str:
    try:
        error = msgspec.json.decode(data)["error"]
        return str(error["message"] if isinstance(error, dict) else error)[:300]
    except (msgspec.DecodeError, KeyError, TypeError):
        return data[:200].decode(errors="replace")


def _wait(response: SyncResponse) -> float:
    """How many seconds the server wants to be left alone."""
    try:
        return max(0.0, float(response.get_header("retry-after") or 0))
    except ValueError:
        return 0.0
