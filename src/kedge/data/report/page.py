"""A report as one HTML page: no script, nothing loaded from anywhere, light and dark, readable aloud."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from kedge.data.report.types import Histogram, Report

_STYLE = """
:root{color-scheme:light dark;--back:#fff;--ink:#1b1f24;--quiet:#57606a;--line:#d8dee4;--bar:#2f6fb0;--warn:#9a3412}
@media (prefers-color-scheme:dark){:root{--back:#0f1419;--ink:#e6e9ec;--quiet:#9aa5b1;--line:#2b333b;--bar:#6cb0f5;--warn:#fdba74}}
*{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:64rem;margin:0 auto;padding:2rem 1.25rem 4rem}h1{font-size:1.6rem;margin:0}h2{font-size:1.15rem;margin:2.5rem 0 .75rem}
h3{font-size:1rem;margin:0 0 .25rem}p{margin:.25rem 0}.quiet{color:var(--quiet)}code{font:.85em ui-monospace,monospace;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .75rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600;color:var(--quiet)}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(19rem,1fr));gap:1.75rem}
svg{display:block;width:100%;height:auto}rect{fill:var(--bar)}text{fill:var(--quiet);font:11px system-ui,sans-serif}line{stroke:var(--line)}
.much{color:var(--warn);font-weight:600}.scroll{overflow-x:auto}
"""
_WIDTH, _HEIGHT, _FOOT = 320, 110, 18


def draw_page(report: Report) -> str:
    """The page."""
    parts = [
        f"<h1>{escape(report.name)}</h1>",
        f'<p class="quiet">{report.rows:,} rows · <code>{escape(report.digest)}</code></p>',
        _section("Rows", _counts("split", report.splits) + _counts("near-duplicates", report.clusters)),
        _section("Distributions", f'<div class="grid">{"".join(_measures(report))}</div>'),
        _section("Labels", f'<div class="grid">{"".join(_labels(report))}</div>') if report.labels else "",
        _section(f"Drift against {report.against[7:19]}", _drift(report)) if report.against else "",
        _section("Left out", _counts("reason", report.rejects)) if report.rejects else "",
        _section("What names a person", _counts("kind", report.private)) if report.private else "",
        _section("Outliers", _outliers(report)) if report.outliers else "",
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(report.name)}: dataset report</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{_STYLE}</style></head>\n<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: frozenset[int] = frozenset()) -> str:
    def cell(tag: str, at: int, content: str) -> str:
        scope = ' scope="col"' if tag == "th" else ""
        return f"<{tag}{scope}{' class=n' if at in numbers else ''}>{content}</{tag}>"

    top = "".join(cell("th", at, escape(name)) for at, name in enumerate(head))
    body = "".join(f"<tr>{''.join(cell('td', at, each) for at, each in enumerate(row))}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _counts(what: str, counts: Mapping[str, int]) -> str:
    rows = [(escape(name), f"{count:,}") for name, count in sorted(counts.items(), key=lambda entry: -entry[1])]
    return _table((what, "rows"), rows, frozenset({1}))


def _measures(report: Report) -> Iterable[str]:
    for measure in report.measures:
        told = " · ".join(f"{name} {_short(value)}" for name, value in measure.quantiles.items())
        yield (
            f"<article><h3>{escape(measure.name)}</h3>{_histogram(measure.name, measure.histogram)}"
            f'<p class="quiet">mean {_short(measure.mean)} · {told}</p></article>'
        )


def _histogram(name: str, histogram: Histogram) -> str:
    most, width = max(histogram.counts, default=0) or 1, _WIDTH / max(1, len(histogram.counts))
    bars = []
    for at, count in enumerate(histogram.counts):
        height = (_HEIGHT - _FOOT) * count / most
        said = f"{_short(histogram.edges[at])} to {_short(histogram.edges[at + 1])}: {count:,} rows"
        bars.append(
            f'<rect x="{at * width + 0.5:.1f}" y="{_HEIGHT - _FOOT - height:.1f}" width="{width - 1:.1f}" '
            f'height="{height:.1f}"><title>{said}</title></rect>'
        )
    low, high = _short(histogram.edges[0]), _short(histogram.edges[-1])
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Distribution of {escape(name)}, from {low} to {high}">'
        f'{"".join(bars)}<line x1="0" y1="{_HEIGHT - _FOOT}" x2="{_WIDTH}" y2="{_HEIGHT - _FOOT}"/>'
        f'<text x="0" y="{_HEIGHT - 4}">{low}</text><text x="{_WIDTH}" y="{_HEIGHT - 4}" text-anchor="end">{high}</text></svg>'
    )


def _labels(report: Report) -> Iterable[str]:
    for label in report.labels:
        most = label.top[0][1] if label.top else 1
        bars = []
        for at, (value, count) in enumerate(label.top):
            y, width = at * 20, (_WIDTH - 130) * count / most
            shown = value if len(value) <= 18 else value[:17] + "…"
            bars.append(
                f'<text x="0" y="{y + 14}">{escape(shown)}</text>'
                f'<rect x="125" y="{y + 4}" width="{max(1, width - 45):.1f}" height="13"><title>{escape(value)}: {count:,} rows</title></rect>'
                f'<text x="{_WIDTH}" y="{y + 14}" text-anchor="end">{count:,}</text>'
            )
        yield (
            f'<article><h3>{escape(label.name)}</h3><svg viewBox="0 0 {_WIDTH} {20 * len(label.top) + 4}" role="img" '
            f'aria-label="Most frequent values of {escape(label.name)}">{"".join(bars)}</svg>'
            f'<p class="quiet">{label.rows:,} rows · {label.distinct:,} values · balance {label.balance:.2f}</p></article>'
        )


def _drift(report: Report) -> str:
    rows = [
        (
            escape(each.name),
            f'<span class="{each.verdict}">{each.verdict}</span>',
            f"{each.psi:.3f}",
            each.test,
            f"{each.statistic:,.3f}",
            f"{each.p:.2g}",
        )
        for each in report.drift
    ]
    return _table(("what", "difference", "PSI", "test", "statistic", "p"), rows, frozenset({2, 4, 5}))


def _outliers(report: Report) -> str:
    rows = [
        (f"<code>{escape(each.row[:12])}</code>", escape(each.source), escape(each.why)) for each in report.outliers
    ]
    return _table(("row", "source", "why"), rows)


def _short(value: float) -> str:
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}"
