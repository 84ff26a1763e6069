"""What the OpenAPI document says of each route: the body as it is checked, and the answer in outline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kedge.serve.gateway import chat, completions, container, embeddings, feedback, inference, responses, tensors

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_FLAG: Schema = {"type": "boolean"}
_RECEIPT: Schema = {"$ref": "#/components/schemas/Receipt"}
_EMBEDDING: Schema = {"type": ["array", "string"]}


def an_object(**properties: Schema) -> Schema:
    """An object that has at least these."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One route. `bodies` are the types one of which its body has; `open` needs no key; `error` names the schema of its
    errors, and `ready` says that a 503 has the shape of an answer."""

    path: str
    summary: str
    answer: Schema = field(default_factory=dict)
    method: str = "post"
    bodies: tuple[Any, ...] = ()
    kinds: tuple[str, ...] = ("application/json",)
    open: bool = False
    error: str = "Error"
    ready: bool = False

    @property
    def parameters(self) -> list[str]:
        """The names in the path."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]


BOTH = ("application/json", "text/event-stream")


def describe() -> Iterator[Described]:
    """Every route."""
    yield from _openai()
    yield from _watching()
    yield from _inference("/v2/models/{name}")
    yield from _inference("/v2/models/{name}/versions/{version}")
    yield from _container()


def _openai() -> Iterator[Described]:
    usage = an_object(prompt_tokens=_COUNT, total_tokens=_COUNT)
    named = {"id": TEXT, "object": TEXT, "created": _COUNT}
    choices = _list(an_object(index=_COUNT, finish_reason=TEXT))
    answer = an_object(**named, model=TEXT, choices=choices, usage=usage, kedge=_RECEIPT)
    yield Described(
        path=chat.ROUTE, summary="Answer a conversation.", bodies=(chat.ChatBody,), answer=answer, kinds=BOTH
    )
    yield Described(
        path=completions.ROUTE,
        summary="Continue texts.",
        bodies=(completions.CompletionBody,),
        answer=answer,
        kinds=BOTH,
    )
    vectors = _list(an_object(index=_COUNT, object=TEXT, embedding=_EMBEDDING))
    yield Described(
        path=embeddings.ROUTE,
        summary="Turn texts into vectors.",
        bodies=(embeddings.EmbeddingBody,),
        answer=an_object(object=TEXT, data=vectors, model=TEXT, usage=usage, kedge=_RECEIPT),
    )
    yield Described(
        path=responses.ROUTE,
        summary="Answer a text or a conversation, in items.",
        bodies=(responses.ResponseBody,),
        answer=an_object(id=TEXT, object=TEXT, model=TEXT, status=TEXT, output=_list({}), kedge=_RECEIPT),
        kinds=BOTH,
    )
    model = an_object(**named, owned_by=TEXT)
    models = an_object(object=TEXT, data=_list(model))
    yield Described(path="/v1/models", summary="What this endpoint answers to.", answer=models, method="get")
    yield Described(path="/v1/models/{name}", summary="One of them.", answer=model, method="get")
    yield Described(
        path=feedback.ROUTE,
        summary="Say how good an answer was.",
        bodies=(feedback.FeedbackBody,),
        answer=an_object(object=TEXT, trace=TEXT),
    )


def _watching() -> Iterator[Described]:
    healthy = an_object(status=TEXT, endpoint=TEXT)
    summary = "Whether a request would be answered now."
    yield Described(path="/health", summary=summary, answer=healthy, method="get", open=True, ready=True)
    yield Described(
        path="/metrics", summary="Counts and times, for Prometheus.", answer=TEXT, method="get", kinds=("text/plain",)
    )
    document = an_object(openapi=TEXT)
    yield Described(path="/openapi.json", summary="This document.", answer=document, method="get", open=True)
    live, ready = an_object(live=_FLAG), an_object(ready=_FLAG)
    yield Described(path=inference.LIVE, summary="The process is there.", answer=live, method="get", open=True)
    yield Described(path=inference.READY, summary=summary, answer=ready, method="get", open=True, ready=True)
    server = an_object(name=TEXT, version=TEXT)
    yield Described(
        path=inference.ROUTE, summary="What this server is.", answer=server, method="get", error="InferError"
    )


def _inference(path: str) -> Iterator[Described]:
    def verb(end: str, summary: str, answer: Schema, **more: Any) -> Described:
        return Described(path=path + end, summary=summary, answer=answer, error="InferError", **more)

    model = an_object(name=TEXT, versions=_list(TEXT), platform=TEXT)
    yield verb("", "What a model takes and gives.", model, method="get")
    ready = an_object(name=TEXT, ready=_FLAG)
    yield verb("/ready", "Whether it would answer now.", ready, method="get", ready=True)
    tensor = an_object(name=TEXT, datatype=TEXT, shape=_list(_COUNT))
    tensors_out = an_object(model_name=TEXT, outputs=_list(tensor))
    binary = ("application/json", "application/octet-stream")
    yield verb("/infer", "Answer texts as tensors.", tensors_out, bodies=(tensors.InferBody,), kinds=binary)
    text = an_object(text_output=TEXT, model_name=TEXT, model_version=TEXT, kedge=_RECEIPT)
    yield verb("/generate", "Answer a text.", text, bodies=(inference.GenerateBody,))
    events = ("text/event-stream",)
    yield verb("/generate_stream", "Answer a text as it comes.", TEXT, bodies=(inference.GenerateBody,), kinds=events)


def _container() -> Iterator[Described]:
    summary = "SageMaker: whether a request would be answered now. Not there without `gateway.container_key`."
    yield Described(path=container.PING, summary=summary, answer={"type": "object"}, method="get", ready=True)
    yield Described(
        path=container.INVOCATIONS,
        summary="SageMaker: a chat, a completion, or inputs. Not there without `gateway.container_key`.",
        bodies=(chat.ChatBody, completions.CompletionBody, container.InputsBody),
        answer={"anyOf": [{"type": "object"}, _list(an_object(generated_text=TEXT, kedge=_RECEIPT))]},
        kinds=BOTH,
    )
