"""The guard `injection`: prompts that try to talk the model out of its instructions.

Rules, not a model: they stop what is known and cheap to try, in English, German, French and Spanish, also where it is
written in leetspeak or spelled out, and must not be the only line of defence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kedge.core.guard import Ruling
from kedge.serve.guards.options import read_options
from kedge.text.spans import fold

_ORDERS = (
    r"(?:instruct|prompt|direct|rule|guideline|order|command|programming|restriction|polic|safeguard|filter|message)\w*"
)
_FORMER = (
    r"(?:previous|prior|above|earlier|preceding|former|foregoing|all|any|your|the|these|those|initial|original|system)"
)

# Each with its weight, and words of which one is in everything that it matches: most texts have none, and are done.
RULES: Final[Mapping[str, tuple[float, str, str]]] = {
    "override": (1.0, "ignor disregard forget overrid bypass neglect skip drop", rf"\b(?:ignore|disregard|forget|overrid\w+|bypass|neglect|skip|drop)\b(?: \w+){{0,3}} {_FORMER}(?: \w+){{0,3}} {_ORDERS}"),
    "override_all": (1.0, "ignore forget disregard", r"\b(?:ignore|forget|disregard) (?:everything|all|anything)(?: \w+){0,3} (?:above|before|said|told|previous\w*|prior)\b"),
    "override_de": (1.0, "ignorier vergiss missachte", r"\b(?:ignorier\w*|vergiss|missachte)(?: \w+){0,4} (?:anweisung|instruktion|vorgabe|regel|befehl)\w*"),
    "override_fr": (1.0, "ignore oublie", r"\b(?:ignore[rz]?|oublie[rz]?)(?: \w+){0,4} (?:instruction|consigne|r.gle|directive)\w*"),
    "override_es": (1.0, "ignora olvida omite", r"\b(?:ignora|olvida|omite)\w*(?: \w+){0,4} (?:instruccion|regla|orden|indicacion)\w*"),
    "reveal": (1.0, "reveal show print repeat output display tell give leak recite translate", rf"\b(?:reveal|show|print|repeat|output|display|tell me|give me|leak|recite|translate)\b(?: \w+){{0,4}} (?:system|hidden|initial|secret|original|your)(?: \w+){{0,2}} (?:prompt|instructions?|rules|{_ORDERS})"),
    "repeat_above": (1.0, "above before verbatim", r"\b(?:repeat|print|output|recite)\b(?: \w+){0,3} (?:above|before this|verbatim)"),
    "persona": (1.0, "you act pretend roleplay simulate", r"\b(?:you are (?:now|no longer)|from now on,? you|act as|pretend (?:to be|you are)|roleplay as|simulate)\b.{0,60}\b(?:dan|jailbroken|unrestricted|unfiltered|uncensored|evil|no (?:rules|restrictions|limits|filters?|ethic\w*)|without (?:any )?(?:rules|restrictions|limits|filters?|ethic\w*)|do anything now|developer mode|god mode)\b"),
    "mode": (1.0, "mode", r"\b(?:enable|enter|activate|switch to|turn on)\b(?: \w+){0,2} (?:dan|developer|debug|god|jailbreak|admin|sudo|unrestricted)(?: \w+)? ?mode\b"),
    "anything_now": (1.0, "anything jailbreak", r"\bdo anything now\b|\bjailbreak (?:prompt|mode|yourself)\b"),
    "no_refusal": (0.6, "refus decline say warn apolog disclaimer", r"\b(?:never|do not|don't|cannot|must not) (?:refuse|decline|say (?:no|you can't)|warn|apologi[sz]e)\b|\bwithout (?:any )?(?:warnings?|disclaimers?|refus\w+)\b"),
    "no_ethics": (0.6, "ethic moral legal safety", r"\b(?:no|without|free of|ignore)(?: \w+){0,2} (?:ethic\w*|moral\w*|legal\w*|safety)(?: \w+)? (?:constraint|guideline|concern|restriction|consideration|limit)\w*"),
    "markers": (1.0, "<| [ < #", r"<\|(?:im_start|im_end|system|endoftext|start_header_id|eot_id)\|?>|\[/?inst\]|<</?sys>>|^\s*#{2,} *(?:system|new instructions?)\b"),
    "new_orders": (0.6, "instruction prompt order", r"\b(?:new|updated|real|actual) (?:system )?(?:instructions?|prompt|orders)\b ?(?::|are|follow|begin)"),
    "authority": (0.5, "developer creator admin openai anthropic engineer operator", r"\b(?:i am|this is|as) (?:your|the|an?) (?:developer|creator|admin\w*|openai|anthropic|engineer|operator)\b"),
    "decode": (0.6, "decode decipher base64 rot13 hex", r"\b(?:decode|decipher|base64|rot13|hex)\b.{0,60}\b(?:and|then)\b.{0,20}\b(?:execute|follow|obey|run|do (?:it|what))\b"),
    "exfiltrate": (1.0, "![", r"!\[[^\]]{0,80}\]\(https?://[^)\s]{1,200}[?&][^)\s]{0,100}(?:\{|\$|<|secret|prompt|history|chat)"),
    "tool_orders": (0.7, "ignore forward send email upload delete exfiltrate", r"\b(?:assistant|ai|model|llm|chatbot)\b.{0,30}\b(?:must|should|shall)\b.{0,30}\b(?:ignore|forward|send|email|upload|delete|exfiltrate)\b"),
}  # fmt: skip

_LEET = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i"})
_SPELLED = re.compile(r"(?:\b\w[ .\-_*]){4,}\w\b")
_MAY_SPELL = re.compile(r"[ .\-_*]\w[ .\-_*]\w[ .\-_*]\w[ .\-_*]")  # in all that is spelled out
_GAPS = re.compile(r"[ .\-_*]")
_BLANKS = re.compile(r"\s+")
_RUN = re.compile(r"[\t\n\r\f\v]|  |[^\x00-\x7f]")
# A sign beside a letter, or up to four alone: longer numbers are no words. It begins with what is rare in a text.
_SIGNS = re.compile(r"[013457@$!](?:(?=[a-z])|(?<=[a-z].)|(?<!\w.)(?=[013457@$!]{0,3}(?!\w)))")


@dataclass(frozen=True, slots=True, kw_only=True)
class InjectionOptions:
    """Blocked when the weights of the rules that match add up to `threshold`. `ignore` names rules to leave out."""

    threshold: float = 1.0
    ignore: tuple[str, ...] = ()


class InjectionGuard:
    """Matches rules against the text as it reads: folded, in small letters, and with leetspeak undone."""

    constant = True

    def __init__(self, options: InjectionOptions) -> None:
        self._threshold = options.threshold
        self._rules: list[tuple[str, float, re.Pattern[str]]] = []
        self._marks: dict[str, list[int]] = {}
        for name, (weight, marks, pattern) in RULES.items():
            if name not in options.ignore:
                for mark in marks.split():
                    self._marks.setdefault(mark, []).append(len(self._rules))
                self._rules.append((name, weight, re.compile(pattern, re.MULTILINE)))

    def judge(self, text: str, start: int = 0) -> Ruling:
        """Blocked if it reads like an attack."""
        found = self._matches(text)
        if not found:
            return Ruling(text=text[start:] if start else text)
        if sum(weight for _, weight in found) >= self._threshold:
            said = "it tries to change this endpoint's instructions"
            return Ruling(text="", blocked=said, found=tuple(name for name, _ in found))
        return Ruling(text=text[start:], found=tuple(name for name, _ in found))

    def settled(self, text: str, start: int = 0) -> int:
        """Nothing before the end: a rule may span sentences."""
        return start

    def _matches(self, text: str) -> list[tuple[str, float]]:
        read = fold(text).text.lower()
        plain = read if _is_even(read) else _BLANKS.sub(" ", read)
        forms = [plain] if plain == read else [read, plain]
        spelled = _SPELLED.sub(_joined, plain) if _MAY_SPELL.search(plain) else plain
        if spelled != plain:
            forms.append(spelled)
        if _SIGNS.search(spelled):
            forms.append(spelled.translate(_LEET))
        everything = "\n".join(forms) if len(forms) > 1 else plain
        marks = list(filter(everything.__contains__, self._marks))
        if not marks:
            return []
        wanted = sorted({place for mark in marks for place in self._marks[mark]})
        return [
            (name, weight)
            for name, weight, rule in map(self._rules.__getitem__, wanted)
            if any(rule.search(form) for form in forms)
        ]


def _is_even(text: str) -> bool:
    """Whether words are parted by single blanks."""
    if text.isascii() and text.isprintable():
        return "  " not in text
    return not _RUN.search(text)


def _joined(match: re.Match[str]) -> str:
    return _GAPS.sub("", match[0])


def make_injection(args: Mapping[str, Any]) -> InjectionGuard:
    """A guard against prompt injection and jailbreaks."""
    return InjectionGuard(read_options(InjectionOptions, args, "injection"))
