"""Requests become the text a model reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from kedge.core.bundle import Bundle, Sampling
from kedge.core.errors import Invalid
from kedge.core.generation import GenerationRequest
from kedge.serve.decoding.render import Rendered, Renderer

CHAT = "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"


def render(
    *,
    prompt: str | None = None,
    input: str | None = None,
    messages: Sequence[Mapping[str, str]] | None = None,
    template: str = "",
) -> Rendered:
    bundle = Bundle(model="sha256:0", prompt='{"q": "{input}"}\n', chat_template=template)
    request = GenerationRequest(id="a", sampling=Sampling(), prompt=prompt, input=input, messages=messages)
    return Renderer(bundle, tokens={"bos_token": "<s>"}).render(request)


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def test_a_prompt_is_read_as_it_is() -> None:
    assert render(prompt="{input}") == Rendered(text="{input}")


def test_an_input_goes_into_the_prompt_and_other_braces_stay() -> None:
    assert render(input="{x} {0.__class__}").text == '{"q": "{x} {0.__class__}"}\n'


def test_without_a_template_the_last_user_message_goes_into_the_prompt() -> None:
    messages = [user("first"), {"role": "assistant", "content": "no"}, user("last")]
    assert render(messages=messages).text == '{"q": "last"}\n'


def test_messages_without_a_user_are_invalid_where_there_is_no_template() -> None:
    with pytest.raises(Invalid, match="no message of the user"):
        render(messages=[{"role": "system", "content": "x"}])


def test_a_template_renders_every_message_and_its_own_special_tokens() -> None:
    rendered = render(messages=[user("hi")], template=CHAT)
    assert rendered == Rendered(text="<s><user>hi<assistant>", special=False)


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages.__class__.__mro__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append('x') }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ raise_exception('roles must alternate') }}",
        "{{ messages[0].content + 1 }}",
        "{% for i in range(10000000) %}{% endfor %}",
    ],
)
def test_a_template_cannot_reach_out_of_its_sandbox(template: str) -> None:
    with pytest.raises(Invalid, match="does not take these messages"):
        render(messages=[user("hi")], template=template)


def test_text_of_a_message_is_never_read_as_a_template() -> None:
    assert render(messages=[user("{{ 7 * 7 }}")], template=CHAT).text == "<s><user>{{ 7 * 7 }}<assistant>"


def test_a_broken_template_is_refused_when_it_is_opened() -> None:
    with pytest.raises(Invalid, match="cannot be read"):
        render(messages=[user("hi")], template="{% for %}")


def test_a_request_asks_exactly_one_thing() -> None:
    with pytest.raises(Invalid, match="exactly one"):
        render(prompt="a", input="b")
    with pytest.raises(Invalid, match="exactly one"):
        render()
