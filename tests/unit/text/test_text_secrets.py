"""Keys that were left in a text are found by who issued them."""

from __future__ import annotations

import pytest

from kedge.text.secrets import entropy, find_secrets

RANDOM = "q7Xv2LmZ9kTbR4wYc8NfHs3JdPg6AuEe5KiMoB1rVtWxCzDyF0GhSjUlQnOpIaTe"  # long enough for every issuer


@pytest.mark.parametrize(
    ("kind", "secret"),
    [
        ("aws_key", "AKIA" + "Q3EGRZ7LXW5TNB2K"),
        ("github_token", "ghp_" + RANDOM[:36]),
        ("gitlab_token", "glpat-" + RANDOM[:20]),
        ("slack_token", "xoxb-123456789012-123456789012-" + RANDOM[:24]),
        ("stripe_key", "sk_live_" + RANDOM[:24]),
        ("openai_key", "sk-proj-" + RANDOM),
        ("anthropic_key", "sk-ant-api03-" + RANDOM + RANDOM[:30]),
        ("google_key", "AIza" + RANDOM[:35]),
        ("huggingface_token", "hf_" + RANDOM[:34]),
        ("sendgrid_key", f"SG.{RANDOM[:22]}.{RANDOM[:43]}"),
        ("telegram_token", "123456789:AA" + RANDOM[:33]),
        ("jwt", f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{RANDOM[:43]}"),
    ],
)
def test_a_key_is_found_by_its_issuers_pattern(kind: str, secret: str) -> None:
    text = f"KEY={secret}\nnext"
    assert [(span.kind, text[span.begin : span.end]) for span in find_secrets(text)] == [(kind, secret)]


def test_a_private_key_is_found_with_its_content() -> None:
    key = f"-----BEGIN RSA PRIVATE KEY-----\n{RANDOM}\n{RANDOM}\n-----END RSA PRIVATE KEY-----"
    (span,) = find_secrets(f"x {key} y")
    assert span.kind == "private_key"
    assert RANDOM in key[span.begin - 2 : span.end - 2]


def test_a_password_is_found_in_a_url_and_behind_a_name() -> None:
    text = "postgres://ann:s3cr3t-pw@db/x and api_key = 'a8f7Gh2kL9pQ4rT6vX1z'"
    assert [(span.kind, text[span.begin : span.end]) for span in find_secrets(text)] == [
        ("url_password", "s3cr3t-pw"),
        ("secret", "a8f7Gh2kL9pQ4rT6vX1z"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "password = 'change-me-please-now'",
        "api_key = 'your_api_key_goes_here_1'",
        "token = get_token('something_without_digits')",
        "AKIA" + "A" * 16,
        "http://user:password@host/",
        "hf_hub_download(repo_id) and sk-learn",
    ],
)
def test_placeholders_are_no_secrets(text: str) -> None:
    assert find_secrets(text) == []


def test_entropy_is_in_bits_a_character() -> None:
    assert entropy("") == entropy("aaaa") == 0
    assert entropy("abcd") == 2
