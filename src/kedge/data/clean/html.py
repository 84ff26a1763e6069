"""The text of a page: what a reader sees, in the order it stands."""

from __future__ import annotations

import re

from selectolax.lexbor import LexborHTMLParser

_PAGE = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.{0,2000}?-->\s*)?<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_TAG = re.compile(
    r"</?(?:a|article|b|blockquote|body|br|button|div|em|footer|form|h[1-6]|head|header|hr|html|i|img|input|label|li|link|main|meta"
    r"|nav|ol|p|pre|script|section|span|strong|style|table|tbody|td|th|thead|title|tr|u|ul)\b[^<>]{0,2000}>",
    re.IGNORECASE,
)
_MARKUP = 0.15  # share of a text that is markup, from which it is a page
_LEAST = 4  # tags
_UNCLOSED = 10_000
_UNSEEN = (
    "script",
    "style",
    "noscript",
    "template",
    "head",
    "nav",
    "aside",
    "footer",
    "form",
    "svg",
    "iframe",
    "button",
)
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "blockquote",
        "body",
        "br",
        "dd",
        "div",
        "dl",
        "dt",
        "figcaption",
        "figure",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "main",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "ul",
    ]
)
_BLANKS = re.compile(r"[ \t\f\r\v]+")
_LINES = re.compile(r"\s*\n\s*")


def is_html(text: str) -> bool:
    """Whether a text is a page or a part of one, and not a text that mentions tags."""
    if "<" not in text:
        return False
    if _PAGE.match(text):
        return True
    tags = _TAG.findall(text)
    return len(tags) >= _LEAST and sum(map(len, tags)) >= _MARKUP * len(text)


def to_text(html: str) -> str:
    """The text without markup, scripts, navigation and forms; a line for each block.

    A page of many thousand tags that are never closed is hostile, and takes a parser time by their square: of such a
    page only the tags are cut out.
    """
    if html.count("<") - 2 * html.count("</") > _UNCLOSED:
        return _LINES.sub("\n", _TAG.sub("\n", html)).strip()
    tree = LexborHTMLParser(html)
    tree.strip_tags(list(_UNSEEN), recursive=True)
    root = tree.body or tree.root
    parts: list[str] = []
    for node in root.traverse(include_text=True) if root is not None else ():
        if node.tag == "-text":
            parts.append(_BLANKS.sub(" ", (node.text_content or "").replace("\n", " ")))
        elif node.tag in _BLOCKS:
            parts.append("\n")
    return _LINES.sub("\n", "".join(parts)).strip()
