"""An engine without a model, and the suite every engine passes."""

from __future__ import annotations

import array
import math
import time
import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kedge.core.bundle import Bundle, Sampling
from kedge.core.generation import EngineFacts, GenerationEvent, GenerationRequest, Likelihood, Penalties, TokenChoice
from kedge.core.ports import Engine, SharedEngine

CONTEXT = 512
CAN = ("echo", "embed", "logprobs", "score", "tokens", "tools")
_HALF = -math.log(2)
_DIMENSIONS = 16


@dataclass(slots=True)
class _Echo:
    request: GenerationRequest
    prompt: int
    words: deque[str]
    said: int = 0
    text: str = ""


class EchoEngine:
    """Answers with the words of the prompt, one a step and for all requests at once. A word is a token; the token 7 of
    a prompt in tokens is the word `t7`. Each word had half a chance, and tools are offered to nobody.

    The bundle's engine flags: `delay` is the seconds a step takes, `context` the longest prompt and answer. With an
    empty prompt the answer is empty; `prefix` comes before every answer, so that bundles can be told apart. `wrong` is the
    share of prompts that are answered with the word `wrong`: always the same ones.
    """

    def __init__(self, bundle: Bundle | None = None) -> None:
        self._bundle = bundle or Bundle(model="sha256:" + "0" * 64)
        flags = self._bundle.engine.args
        self._delay = float(flags.get("delay", 0.0))
        self._context = int(flags.get("context", CONTEXT))
        self._prefix = str(flags.get("prefix", ""))
        self._wrong = float(flags.get("wrong", 0.0))
        self._waiting: deque[GenerationRequest] = deque()
        self._going: dict[str, _Echo] = {}
        self._cancelled: set[str] = set()
        self.closed = False

    def describe(self) -> EngineFacts:
        """An engine without a model."""
        return EngineFacts(name="echo", context=self._context, can=CAN)

    def submit(self, request: GenerationRequest) -> None:
        """Queue a request."""
        self._waiting.append(request)

    def cancel(self, id: str) -> None:
        """Stop a request with the next step."""
        self._cancelled.add(id)

    def step(self) -> list[GenerationEvent]:
        """Let in what waits, then say one word of every answer."""
        if self._delay and (self._waiting or self._going):
            time.sleep(self._delay)
        events = []
        while self._waiting:
            events += self._enter(self._waiting.popleft())
        events += [self._say(asked) for asked in list(self._going)]
        self._cancelled.clear()
        return events

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        """A word that the prompt has is certain, any other has half a chance."""
        return [_likelihood(self._bundle.fill(given), completion) for given, completion in pairs]

    def close(self) -> None:
        """Forget everything."""
        self._waiting.clear()
        self._going.clear()
        self.closed = True

    def _enter(self, request: GenerationRequest) -> list[GenerationEvent]:
        mistake = _mistake(request)
        if mistake:
            return [GenerationEvent(id=request.id, finish="error", error=mistake, error_code="invalid")]
        words = (self._prefix + self._garble(self._text(request))).split()
        limit = min(filter(None, (request.prompt_limit, self._context - 1)))
        if len(words) > limit:
            said = f"the prompt has {len(words)} tokens, at most {limit} fit with room for an answer"
            return [
                GenerationEvent(
                    id=request.id, finish="error", error=said, error_code="invalid", prompt_tokens=len(words)
                )
            ]
        if request.embed:
            vector = _embedding(words)
            return [GenerationEvent(id=request.id, finish="stop", prompt_tokens=len(words), embedding=vector)]
        self._going[request.id] = _Echo(request=request, prompt=len(words), words=deque(words))
        if not request.echo:
            return []
        prompt = self._text(request)
        shown = [word if not i else f" {word}" for i, word in enumerate(prompt.split())]
        tokens = _tokens(request, shown)
        first = tuple(replace(token, logprob=None, top=()) for token in tokens[:1])
        return [GenerationEvent(id=request.id, text=prompt, tokens=first + tokens[1:])]

    def _garble(self, text: str) -> str:
        drawn = zlib.crc32(text.encode(errors="replace")) / 2**32
        return "wrong" if drawn < self._wrong else text

    def _text(self, request: GenerationRequest) -> str:
        if request.messages is not None:
            asked = [message["content"] for message in request.messages if message["role"] == "user"]
            return self._bundle.fill(asked[-1] if asked else "")
        if request.tokens is not None:
            return " ".join(f"t{token}" for token in request.tokens)
        return self._bundle.fill(request.input) if request.input is not None else request.prompt or ""

    def _say(self, id: str) -> GenerationEvent:
        echo = self._going[id]
        ended = GenerationEvent(id=id, prompt_tokens=echo.prompt, completion_tokens=echo.said)
        if id in self._cancelled:
            del self._going[id]
            return replace(ended, finish="cancelled")
        if not echo.words:
            del self._going[id]
            return replace(ended, finish="stop")
        if echo.said >= min(echo.request.sampling.max_tokens, self._context - echo.prompt):
            del self._going[id]
            return replace(ended, finish="length")
        word = (" " if echo.said or echo.request.echo else "") + echo.words.popleft()
        echo.said += 1
        return self._pass_on(echo, word)

    def _pass_on(self, echo: _Echo, word: str) -> GenerationEvent:
        """The word, cut at the first stop string that the answer has by now."""
        before = len(echo.text)
        echo.text += word
        cuts = [at for at in (echo.text.find(stop) for stop in echo.request.sampling.stop) if at >= 0]
        if not cuts:
            return GenerationEvent(id=echo.request.id, text=word, tokens=_tokens(echo.request, [word]))
        del self._going[echo.request.id]
        return GenerationEvent(
            id=echo.request.id,
            text=echo.text[before : max(before, min(cuts))],
            finish="stop",
            prompt_tokens=echo.prompt,
            completion_tokens=echo.said,
        )


def open_echo(bundle: Bundle, folder: Path) -> EchoEngine:
    """The engine `echo`: for trying out gateways, clients and plug-ins without a model."""
    return EchoEngine(bundle)


def _mistake(request: GenerationRequest) -> str:
    """What is wrong with a request ("" for nothing)."""
    given = (request.prompt, request.tokens, request.input, request.messages)
    if sum(part is not None for part in given) != 1:
        return "a request has exactly one of prompt, tokens, input and messages"
    cannot = sorted(request.needs.difference(CAN))
    return f"the engine 'echo' cannot do it: {', '.join(cannot)}" if cannot else ""


def _tokens(request: GenerationRequest, words: Sequence[str]) -> tuple[TokenChoice, ...]:
    """Words as tokens, where their probabilities were asked for."""
    if request.logprobs is None:
        return ()
    return tuple(
        TokenChoice(text=word, logprob=_HALF, top=((word, _HALF), ("-", _HALF))[: request.logprobs]) for word in words
    )


def _embedding(words: Sequence[str]) -> bytes:
    """Words counted by their checksums, as a vector of length 1."""
    counts = [0.0] * _DIMENSIONS
    for word in words or [""]:
        counts[zlib.crc32(word.encode()) % _DIMENSIONS] += 1.0
    length = math.hypot(*counts)
    return array.array("f", [count / length for count in counts]).tobytes()


def _likelihood(prompt: str, completion: str) -> Likelihood:
    known = set(prompt.split())
    words = completion.split()
    return Likelihood(logprob=-0.6931471805599453 * sum(word not in known for word in words), tokens=len(words))


def finish_all(engine: Engine, *requests: GenerationRequest, steps: int = 10_000) -> dict[str, list[GenerationEvent]]:
    """Submit requests and step until each has its last event; the events by request."""
    for request in requests:
        engine.submit(request)
    events: dict[str, list[GenerationEvent]] = {request.id: [] for request in requests}
    for _ in range(steps):
        for event in engine.step():
            events[event.id].append(event)
        if all(said and said[-1].finish for said in events.values()):
            return events
    raise AssertionError(f"not finished after {steps} steps: {[asked for asked, said in events.items() if not said]}")


def text_of(events: Sequence[GenerationEvent]) -> str:
    """The answer that events make."""
    return "".join(event.text for event in events)


Parts = Sequence[tuple[Bundle, Path]]


class EngineSuite:
    """What holds for every engine. Subclass it with a fixture `engine`: fresh, and with more than two words to say on
    `PROMPT` when it is greedy."""

    PROMPT = "one two three four"

    def ask(self, id: str = "a", *, sampling: Sampling | None = None) -> GenerationRequest:
        """A greedy request for at most 8 tokens, unless `sampling` says otherwise."""
        return GenerationRequest(id=id, sampling=sampling or Sampling(max_tokens=8), prompt=self.PROMPT)

    def answer(self, engine: Engine, sampling: Sampling) -> str:
        """The text of one answer."""
        return text_of(finish_all(engine, self.ask(sampling=sampling))["a"])

    def test_it_describes_itself(self, engine: Engine) -> None:
        """The facts have a name and stay the same."""
        assert engine.describe().name
        assert engine.describe() == engine.describe()

    def test_nothing_to_do_yields_nothing(self, engine: Engine) -> None:
        """A step without requests is harmless."""
        assert engine.step() == []

    def test_the_last_event_counts_tokens(self, engine: Engine) -> None:
        """Prompt and answer are counted, the answer at most to its limit."""
        last = finish_all(engine, self.ask())["a"][-1]
        assert last.finish in ("stop", "length")
        assert last.prompt_tokens > 0
        assert 0 < last.completion_tokens <= 8

    def test_only_the_last_event_is_final(self, engine: Engine) -> None:
        """Nothing follows the end of an answer."""
        events = finish_all(engine, self.ask())["a"]
        assert [bool(event.finish) for event in events] == [False] * (len(events) - 1) + [True]
        assert engine.step() == []

    def test_an_answer_ends_at_its_limit(self, engine: Engine) -> None:
        """`max_tokens` cuts with finish `length`."""
        last = finish_all(engine, self.ask(sampling=Sampling(max_tokens=2)))["a"][-1]
        assert (last.finish, last.completion_tokens) == ("length", 2)

    def test_greedy_answers_are_the_same_each_time(self, engine: Engine) -> None:
        """Temperature 0 leaves nothing to chance."""
        assert self.answer(engine, Sampling(max_tokens=8)) == self.answer(engine, Sampling(max_tokens=8))

    def test_a_seed_makes_sampled_answers_the_same(self, engine: Engine) -> None:
        """The same seed, the same answer."""
        sampling = Sampling(max_tokens=8, temperature=1.0, top_p=0.9, seed=7)
        assert self.answer(engine, sampling) == self.answer(engine, sampling)

    def test_an_answer_does_not_depend_on_its_neighbours(self, engine: Engine) -> None:
        """Requests decoded together answer as each would alone."""
        alone = self.answer(engine, Sampling(max_tokens=8))
        neighbours = [self.ask(str(i), sampling=Sampling(max_tokens=i + 1, temperature=1.0)) for i in range(5)]
        assert text_of(finish_all(engine, self.ask(), *neighbours)["a"]) == alone

    def test_a_stop_string_is_cut_off(self, engine: Engine) -> None:
        """The stop string and all after it are not in the answer."""
        whole = self.answer(engine, Sampling(max_tokens=8))
        stop = whole[len(whole) // 2 :][:2]
        events = finish_all(engine, self.ask(sampling=Sampling(max_tokens=8, stop=(stop,))))["a"]
        assert text_of(events) == whole[: whole.index(stop)]
        assert events[-1].finish == "stop"

    def test_a_cancelled_request_ends(self, engine: Engine) -> None:
        """Its last event says so, and the others go on."""
        engine.submit(self.ask("gone", sampling=Sampling(max_tokens=400)))
        first = engine.step()
        engine.cancel("gone")
        engine.cancel("never heard of")
        events = first + engine.step()
        assert events[-1].id == "gone"
        assert events[-1].finish == "cancelled"
        assert text_of(finish_all(engine, self.ask())["a"])

    def test_too_long_a_prompt_is_invalid(self, engine: Engine) -> None:
        """It ends with an error that counts its tokens, and the engine lives on."""
        long = replace(self.ask("long"), prompt=self.PROMPT * 2 * (engine.describe().context or 1000))
        last = finish_all(engine, long)["long"][-1]
        assert (last.finish, last.error_code) == ("error", "invalid")
        assert last.error
        assert text_of(finish_all(engine, self.ask())["a"])

    def test_a_prompt_over_its_own_limit_is_invalid(self, engine: Engine) -> None:
        """`prompt_limit` holds below the context."""
        last = finish_all(engine, replace(self.ask("long"), prompt_limit=1))["long"][-1]
        assert (last.finish, last.error_code) == ("error", "invalid")
        assert last.prompt_tokens > 1

    def test_a_request_asks_exactly_one_thing(self, engine: Engine) -> None:
        """A prompt and an input at once are invalid."""
        last = finish_all(engine, replace(self.ask("both"), input="x"))["both"][-1]
        assert (last.finish, last.error_code) == ("error", "invalid")

    def test_what_it_cannot_do_is_invalid_and_never_left_out(self, engine: Engine) -> None:
        """Each thing beyond plain text that is not among its facts."""
        asked = {
            "tokens": replace(self.ask("tokens"), prompt=None, tokens=[1, 2]),
            "logprobs": replace(self.ask("logprobs"), logprobs=1),
            "echo": replace(self.ask("echo"), echo=True),
            "schema": replace(self.ask("schema"), schema='{"type": "object"}'),
            "tools": replace(self.ask("tools"), prompt=None, messages=[{"role": "user", "content": "x"}], tools=[{}]),
            "penalties": replace(self.ask("penalties"), penalties=Penalties(frequency=1.0)),
            "embed": replace(self.ask("embed"), embed=True),
            "adapters": replace(self.ask("adapters"), bundle="another"),
        }
        cannot = [asked[word] for word in asked.keys() - set(engine.describe().can)]
        for events in finish_all(engine, *cannot).values():
            assert (events[-1].finish, events[-1].error_code) == ("error", "invalid")

    def test_tokens_with_probabilities_make_up_the_answer(self, engine: Engine) -> None:
        """Their texts joined are the answer, and without asking for them there are none."""
        if "logprobs" not in engine.describe().can:
            return
        plain = finish_all(engine, self.ask())["a"]
        events = finish_all(engine, replace(self.ask(), logprobs=2))["a"]
        tokens = [token for event in events for token in event.tokens]
        assert not any(event.tokens for event in plain)
        assert "".join(token.text for token in tokens) == text_of(events) == text_of(plain)
        assert all(token.logprob is not None and token.logprob <= 0 for token in tokens)
        assert all(1 <= len(token.top) <= 2 for token in tokens)
        assert all(first[1] >= second[1] for first, second in (token.top for token in tokens if len(token.top) == 2))

    def test_an_echoed_prompt_comes_before_the_answer(self, engine: Engine) -> None:
        """Text and tokens; the first has no probability unless something stands before it, all others do."""
        if not {"echo", "logprobs"} <= set(engine.describe().can):
            return
        events = finish_all(engine, replace(self.ask(), logprobs=0, echo=True))["a"]
        tokens = [token for event in events for token in event.tokens]
        assert text_of(events).startswith(self.PROMPT)
        assert "".join(token.text for token in tokens) == text_of(events)
        assert all(token.logprob is not None for token in tokens[1:])
        assert events[-1].completion_tokens <= 8

    def test_an_echoed_prompt_alone_is_possible(self, engine: Engine) -> None:
        """With no token to make, the prompt is all there is."""
        if "echo" not in engine.describe().can:
            return
        events = finish_all(engine, replace(self.ask(sampling=Sampling(max_tokens=0)), echo=True))["a"]
        assert (text_of(events), events[-1].finish, events[-1].completion_tokens) == (self.PROMPT, "length", 0)

    def test_an_embedding_has_length_one_and_depends_on_the_text_alone(self, engine: Engine) -> None:
        """The same among neighbours, another for another text."""
        if "embed" not in engine.describe().can:
            return
        asked = [replace(self.ask(name), prompt=text, embed=True) for name, text in (("a", "one"), ("b", "two three"))]
        alone = finish_all(engine, asked[0])["a"][-1]
        both = finish_all(engine, *asked)
        vectors = [array.array("f", events[-1].embedding) for events in both.values()]
        assert alone.finish == "stop"
        assert alone.prompt_tokens > 0
        assert all(abs(math.hypot(*vector) - 1) < 1e-3 for vector in vectors)
        assert max(abs(a - b) for a, b in zip(vectors[0], array.array("f", alone.embedding), strict=True)) < 1e-3
        assert vectors[0] != vectors[1]

    def test_likelihoods_are_those_of_each_pair(self, engine: Engine) -> None:
        """Scored together as alone, and never above certainty."""
        pairs = [("one two", "three"), ("four", "one two three four"), ("one two", "two")]
        together = engine.score(pairs)
        for pair, score in zip(pairs, together, strict=True):
            (alone,) = engine.score([pair])
            assert score.tokens == alone.tokens > 0
            assert abs(score.logprob - alone.logprob) < 1e-3
            assert score.logprob <= 1e-6


class SharedEngineSuite:
    """What holds for every engine that says `adapters`. Subclass it with a fixture `parts`: three bundles of one base, each
    with its folder, that answer `PROMPT` greedily each in its own way, with more than four tokens; and with `open`."""

    PROMPT = "one two"

    def open(self, bundle: Bundle, folder: Path) -> SharedEngine:
        """The engine, opened with one bundle."""
        raise NotImplementedError

    def together(self, parts: Parts) -> SharedEngine:
        """An engine with the first bundle, and the others beside it as `b` and `c`."""
        engine = self.open(*parts[0])
        engine.add("b", *parts[1])
        engine.add("c", *parts[2])
        return engine

    def alone(self, parts: Parts) -> list[str]:
        """What each answers in an engine of its own."""
        return [text_of(finish_all(self.open(*part), self.ask("a"))["a"]) for part in parts]

    def ask(self, id: str, bundle: str = "") -> GenerationRequest:
        """A greedy request to one of the bundles."""
        return GenerationRequest(id=id, prompt=self.PROMPT, sampling=Sampling(max_tokens=24), bundle=bundle)

    def test_it_says_so_for_every_bundle(self, parts: Parts) -> None:
        """For the first and for those it takes in."""
        engine = self.open(*parts[0])
        assert "adapters" in engine.describe().can
        assert "adapters" in engine.add("b", *parts[1]).can

    def test_each_bundle_answers_in_one_batch_as_alone(self, parts: Parts) -> None:
        """Token for token."""
        engine, alone = self.together(parts), self.alone(parts)
        asked = [self.ask(f"{name}{i}", name) for i in range(3) for name in ("", "b", "c")]
        got = finish_all(engine, *asked)
        assert len(set(alone)) == 3
        assert [text_of(got[request.id]) for request in asked] == alone * 3

    def test_whoever_joins_later_answers_as_alone(self, parts: Parts) -> None:
        """What was read through one adapter is never used for another."""
        engine, alone = self.together(parts), self.alone(parts)
        events = []
        for name in ("", "b", "c"):
            engine.submit(self.ask(f"early {name}", name))
            events += engine.step() + engine.step()
        late = [self.ask(f"late {name}", name) for name in ("c", "", "b")]
        said = _texts(events + _rest(engine, *late, ended=6 - sum(bool(event.finish) for event in events)))
        assert [said[f"early {name}"] for name in ("", "b", "c")] == alone
        assert [said[f"late {name}"] for name in ("", "b", "c")] == alone

    def test_a_bundle_it_does_not_have_is_not_found(self, parts: Parts) -> None:
        """And never answered by another."""
        (last,) = finish_all(self.together(parts), self.ask("x", "unheard of"))["x"]
        assert (last.text, last.finish, last.error_code) == ("", "error", "not_found")

    def test_coming_and_going_changes_nothing_for_the_others(self, parts: Parts) -> None:
        """While they answer."""
        engine, alone = self.together(parts), self.alone(parts)
        engine.submit(self.ask("b", "b"))
        events = engine.step()
        engine.remove("c")
        engine.remove("never heard of")
        events += engine.step()
        engine.add("d", *parts[2])
        said = _texts(events + _rest(engine, self.ask("d", "d"), ended=2))
        assert (said["b"], said["d"]) == (alone[1], alone[2])

    def test_one_that_is_let_go_ends_its_requests(self, parts: Parts) -> None:
        """As cancelled, with the next step; from then on it is not found, and the others answer."""
        engine, alone = self.together(parts), self.alone(parts)
        engine.submit(self.ask("gone"))
        engine.submit(self.ask("stays", "b"))
        events = engine.step()
        engine.remove("")
        events += _rest(engine, self.ask("late"), ended=2)
        ends = {event.id: event for event in events if event.finish}
        assert ends["gone"].finish == "cancelled"
        assert ends["late"].error_code == "not_found"
        assert _texts(events + _rest(engine, ended=1))["stays"] == alone[1]


def _rest(engine: Engine, *requests: GenerationRequest, ended: int) -> list[GenerationEvent]:
    """Submit requests, and step until so many of all that are under way have ended."""
    for request in requests:
        engine.submit(request)
    events: list[GenerationEvent] = []
    for _ in range(10_000):
        if sum(bool(event.finish) for event in events) >= ended:
            return events
        events += engine.step()
    raise AssertionError(f"{ended} should have ended, and did not")


def _texts(events: Sequence[GenerationEvent]) -> dict[str, str]:
    """The answers that events of several requests make."""
    asked = {event.id for event in events}
    return {each: text_of([event for event in events if event.id == each]) for each in asked}
