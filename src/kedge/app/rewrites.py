"""Has texts said anew by a model behind any endpoint: several at a time, in order, and no text twice."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from kedge.app.ask import KEY, endpoint_of, url_of
from kedge.app.project import Project
from kedge.config import resolve_secret
from kedge.core.bundle import Sampling
from kedge.core.dataset import Row
from kedge.core.errors import Invalid
from kedge.core.hashing import digest_of
from kedge.evaluate.answer import Kept
from kedge.evaluate.remote import Remote, Server
from kedge.evaluate.types import Answer, Question

AHEAD = 4  # texts that are asked for, for each that can be asked at once: the slowest holds up no other

Anew = Literal["paraphrase", "back-translation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteOptions:
    """Who says texts anew, and how.

    `endpoint` is the name of one that is served here, or a URL; `key` a reference (`env:NAME`, `file:PATH`). A text goes
    `into` another language and back into `language`. `seed` is the first copy's; the next has the next.
    """

    endpoint: str = ""
    model: str = ""
    key: str = ""
    instruction: str = "Say the following in other words. Answer with nothing else."
    into: str = "French"
    language: str = "English"
    temperature: float = 0.7
    seed: int = 0
    max_tokens: int = 1024
    concurrency: int = 8
    tries: int = 5


class Rewriter:
    """Asks one endpoint. What it said is kept in `folder`, so that going on after a fault asks for the rest alone."""

    def __init__(self, project: Project, method: Anew, options: RewriteOptions, folder: Path) -> None:
        self._method, self._options = method, options
        self._server = _server(project, options)
        self.settings = _settings(method, options, self._server)
        self._kept = Kept(folder / f"{digest_of(self.settings)[7:39]}.jsonl")
        self._lock = threading.Lock()
        self.refused = 0  # texts that the endpoint did not answer, or not to the end

    def rewrite(self, rows: Iterable[Row], copies: int) -> Iterator[tuple[Row, list[str]]]:
        """Each row with the texts made of it, in the order of the rows. `Unavailable`; `Unauthenticated`; `NotFound`."""
        pool = ThreadPoolExecutor(self._server.concurrency, thread_name_prefix="rewrite")
        waiting: deque[tuple[Row, list[Future[str]]]] = deque()
        with ExitStack() as stack:
            remotes = [stack.enter_context(Remote(self._server, self._sampling(number))) for number in range(copies)]
            stack.callback(pool.shutdown, wait=True, cancel_futures=True)
            for row in rows:
                asked = [pool.submit(self._anew, remote, number, row) for number, remote in enumerate(remotes)]
                waiting.append((row, asked))
                if len(waiting) > AHEAD * self._server.concurrency:
                    yield _settled(*waiting.popleft())
            while waiting:
                yield _settled(*waiting.popleft())

    def _sampling(self, number: int) -> Sampling:
        given = self._options
        return Sampling(temperature=given.temperature, max_tokens=given.max_tokens, seed=given.seed + number)

    def _anew(self, remote: Remote, number: int, row: Row) -> str:
        """The text of a row said anew; "" if it was not."""
        text = row.input
        for instruction in self._instructions():
            said = self._ask(remote, number, row, f"{instruction}\n\n{text}")
            text = said.text.strip()
            if said.error or said.finish == "length" or not text:
                with self._lock:
                    self.refused += 1
                return ""
        return text

    def _instructions(self) -> tuple[str, ...]:
        if self._method == "paraphrase":
            return (self._options.instruction,)
        into = "Translate the following into {}. Answer with the translation alone."
        return (into.format(self._options.into), into.format(self._options.language))

    def _ask(self, remote: Remote, number: int, row: Row, prompt: str) -> Answer:
        key = digest_of([number, prompt])
        with self._lock:
            known = self._kept.get(key)
        if known is not None:
            return known
        said = remote.ask_one(Question(row=row, input=prompt))
        with self._lock:
            self._kept.put([(key, said)])
        return said


def _settled(row: Row, asked: list[Future[str]]) -> tuple[Row, list[str]]:
    return row, [one.result() for one in asked]


def _server(project: Project, options: RewriteOptions) -> Server:
    """Where to ask. `Invalid` if a URL holds a password, or names no model."""
    url, model, key = options.endpoint, options.model, options.key
    if not url.startswith(("http://", "https://")):
        bound = endpoint_of(project, url)
        url, model, key = f"{url_of(project, bound.name)}/v1", model or bound.model, key or KEY
    elif "@" in urlsplit(url).netloc:
        raise Invalid("an endpoint's URL holds no password", hint="name where the key is: --key env:NAME")
    if not model:
        raise Invalid("say which model is asked", hint="--model NAME, as the endpoint calls it")
    secret = resolve_secret(key, root=project.root) if key else ""
    return Server(url=url, model=model, secret=secret, concurrency=options.concurrency, tries=options.tries)


def _settings(method: Anew, options: RewriteOptions, server: Server) -> Mapping[str, Any]:
    """What decides the texts, as it goes on record: never the key."""
    how = {"into": options.into, "language": options.language}
    return {
        "endpoint": options.endpoint or server.url,
        "model": server.model,
        "temperature": options.temperature,
        "seed": options.seed,
        "max_tokens": options.max_tokens,
        **({"instruction": options.instruction} if method == "paraphrase" else how),
    }
