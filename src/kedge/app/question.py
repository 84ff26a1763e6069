"""What was asked, as the trace of its answer keeps it."""

from __future__ import annotations

from typing import Any

import msgspec

from kedge.core.trace import Trace


def asked(trace: Trace) -> str:
    """What was asked, as one text: the prompt, or the last thing that the user said."""
    if not trace.prompt.startswith("[") or not trace.route.endswith("/chat/completions"):
        return trace.prompt
    try:
        messages: Any = msgspec.json.decode(trace.prompt)
    except msgspec.DecodeError:
        return trace.prompt
    said = [each["content"] for each in messages if isinstance(each, dict) and each.get("role") == "user"]
    return str(said[-1]) if said and isinstance(said[-1], str) else trace.prompt
