"""The filter language of run search, read by hand into SQL.

    metrics.loss < 0.3 and (params.lr >= 0.001 or stage = 'train') and not status = 'failed'

A field is an attribute of the run (`id stage step status key code pipeline error started ended seconds`), a metric's last
value (`metrics.NAME`), a parameter (`params.NAME`, nested ones as `params.optimizer.lr`) or an artifact on a port
(`inputs.PORT`, `outputs.PORT`); a name with other characters stands in backquotes, as metrics.`eval loss`. It is compared
with a number, a 'string', `true` or `false` by `= != < <= > >=`, or by `like` with % and _ as in SQL, ignoring case.
Times are ISO strings, in UTC unless they say otherwise. As in SQL, a comparison with what a run lacks is neither true nor
false: the run matches neither it nor its `not`.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Select, Table, and_, not_, or_, select, type_coerce
from sqlalchemy.sql.selectable import NamedFromClause

from kedge.core.catalogue import nearest
from kedge.core.errors import Invalid
from kedge.core.ledger import RunQuery
from kedge.store.ledger.tables import run_artifacts, run_params, runs, series

MAX_TOKENS: Final = 500
MAX_DEPTH: Final = 50

_TOKEN: Final = re.compile(
    r"(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
    r"|(?P<string>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")"
    r"|(?P<sign><=|>=|!=|==?|<|>)"
    r"|(?P<bracket>[()])"
    r"|(?P<word>[A-Za-z_](?:[\w./:-]|`[^`]+`)*)"
)
_SIGNS: Final = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TEXTS: Final = {name: runs.c[name] for name in ("id", "stage", "step", "status", "key", "code", "pipeline", "error")}
_TIMES: Final = {name: runs.c[name] for name in ("started", "ended")}
_ALWAYS: Final = {*_TEXTS, "started"}  # never NULL
_SECONDS: Final = (type_coerce(runs.c.ended, BigInteger) - type_coerce(runs.c.started, BigInteger)) / 1e6
_TABLES: Final[dict[str, Table]] = {
    "metrics": series,
    "params": run_params,
    "inputs": run_artifacts,
    "outputs": run_artifacts,
}
_FIELDS: Final = (*_TEXTS, *_TIMES, "seconds", *(f"{table}.NAME" for table in _TABLES))


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class _Field:
    """What a name stands for, by the kinds of value it can be compared with, and the join it needs."""

    text: ColumnElement[Any] | None = None
    number: ColumnElement[Any] | None = None
    time: ColumnElement[Any] | None = None
    join: str = ""


@dataclass(frozen=True, slots=True)
class _Condition:
    """A clause, and the joins without whose row it cannot be true."""

    clause: ColumnElement[bool]
    needs: frozenset[str]


def find_runs(query: RunQuery) -> Select[str]:
    """A statement for the ids of the runs a query asks for, in its order. `Invalid`."""
    if query.limit < 0 or query.offset < 0:
        raise Invalid("limit and offset of a search are not negative", hint="leave them out for the newest 100 runs")
    reader = _Reader(query.where)
    condition = reader.read() if query.where.strip() else None
    descending, name = query.order.startswith("-"), query.order.removeprefix("-")
    field = reader.field(_Token("word", name, 0), "order")
    needs = condition.needs if condition else frozenset()
    statement = select(runs.c.id)
    for join, (table, on) in reader.joins.items():
        statement = statement.join(table, on, isouter=join not in needs)
    if condition:
        statement = statement.where(condition.clause)
    certain = field.join in needs or name in _ALWAYS
    tie = reader.joins[field.join][0].c.run if field.join in needs else runs.c.id
    for column in (field.number, field.time, field.text, tie):
        if column is not None:
            ordered = column.desc() if descending else column.asc()
            statement = statement.order_by(ordered if certain or column is tie else ordered.nulls_last())
    return statement.limit(query.limit).offset(query.offset)


class _Reader:
    """Reads one filter from left to right, collecting the joins that its fields need."""

    def __init__(self, text: str) -> None:
        self.joins: dict[str, tuple[NamedFromClause, ColumnElement[bool]]] = {}
        self._text = text
        self._tokens = self._split()
        self._next = 0
        self._depth = 0

    def read(self) -> _Condition:
        condition = self._either()
        token = self._token
        if token.kind != "end":
            raise self._wrong(token, "expected `and`, `or` or the end")
        return condition

    def field(self, token: _Token, where: str = "filter") -> _Field:
        """What a name stands for. `Invalid` if it is not a field."""
        prefix, _, name = token.text.partition(".")
        name = name.replace("`", "")
        if token.text in _TEXTS:
            return _Field(text=_TEXTS[token.text])
        if token.text in _TIMES:
            return _Field(time=_TIMES[token.text])
        if token.text == "seconds":
            return _Field(number=_SECONDS)
        if prefix not in _TABLES or not name:
            raise self._wrong(token, "no such field", nearest(token.text, _FIELDS), where)
        join = f"{prefix}.{name}"
        if join not in self.joins:
            table = _TABLES[prefix].alias()
            on = and_(table.c.run == runs.c.id, _named(prefix, table) == name)
            if _TABLES[prefix] is run_artifacts:
                on = and_(on, table.c.side == prefix.removesuffix("s"))
            self.joins[join] = (table, on)
        columns = self.joins[join][0].c
        if prefix == "metrics":
            return _Field(number=columns.value, join=join)
        if prefix == "params":
            return _Field(number=columns.number, text=columns.text, join=join)
        return _Field(text=columns.artifact, join=join)

    def _split(self) -> list[_Token]:
        tokens: list[_Token] = []
        at = 0
        while rest := self._text[at:].lstrip():
            at = len(self._text) - len(rest)
            match = _TOKEN.match(rest)
            if match is None or len(tokens) == MAX_TOKENS:
                raise self._wrong(_Token("", rest[:1], at), "not understood" if match is None else "filter too long")
            tokens.append(_Token(str(match.lastgroup), match[0], at))
            at += match.end()
        return [*tokens, _Token("end", "", len(self._text))]

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, *texts: str) -> bool:
        """Step over the token if it is one of these words or signs."""
        token = self._token
        if token.kind in ("string", "number") or token.text.lower() not in texts:
            return False
        self._next += 1
        return True

    def _either(self) -> _Condition:
        left = self._both()
        while self._take("or"):
            right = self._both()
            left = _Condition(or_(left.clause, right.clause), left.needs & right.needs)
        return left

    def _both(self) -> _Condition:
        left = self._one()
        while self._take("and"):
            right = self._one()
            left = _Condition(and_(left.clause, right.clause), left.needs | right.needs)
        return left

    def _one(self) -> _Condition:
        self._depth += 1
        token = self._token
        if self._depth > MAX_DEPTH:
            raise self._wrong(token, "nested too deeply")
        if self._take("not"):
            condition = _Condition(not_(self._one().clause), frozenset())
        elif self._take("("):
            condition = self._either()
            if not self._take(")"):
                raise self._wrong(self._token, f"expected `)` for the `(` at character {token.at + 1}")
        else:
            condition = self._comparison()
        self._depth -= 1
        return condition

    def _comparison(self) -> _Condition:
        name = self._token
        if name.kind != "word":
            raise self._wrong(name, "expected a field", f"fields: {', '.join(_FIELDS)}")
        field = self.field(name)
        self._next += 1
        sign = self._token
        if sign.kind != "sign" and sign.text.lower() != "like":
            raise self._wrong(sign, f"expected a comparison after {name.text}", f"one of {' '.join(_SIGNS)} like")
        self._next += 1
        column, value = self._operands(field, name, self._token)
        if sign.kind == "sign":
            clause = _SIGNS[sign.text](column, value)
        elif field.text is column:
            clause = column.ilike(value)
        else:
            raise self._wrong(sign, f"`like` compares text, which {name.text} is not")
        self._next += 1
        return _Condition(clause, frozenset({field.join} - {""}))

    def _operands(self, field: _Field, name: _Token, value: _Token) -> tuple[ColumnElement[Any], Any]:
        """The column to compare and the value to compare it with, by the value's kind."""
        if value.kind == "number" and field.number is not None:
            return field.number, float(value.text)
        if value.kind == "string":
            text = value.text[1:-1].replace(value.text[0] * 2, value.text[0])
            if field.text is not None:
                return field.text, text
            if field.time is not None:
                return field.time, self._time(value, text)
        is_flag = value.kind == "word" and value.text.lower() in ("true", "false")
        if is_flag and field.text is not None and field.number is not None:  # a parameter
            return field.text, value.text.lower()
        kinds = {"a number": field.number, "a 'string'": field.text, "a time such as '2026-11-01'": field.time}
        expected = " or ".join(kind for kind, column in kinds.items() if column is not None)
        raise self._wrong(value, f"{name.text} is compared with {expected}")

    def _time(self, token: _Token, text: str) -> datetime:
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            raise self._wrong(token, "not a time", "write it as '2026-11-01' or '2026-11-01T09:30:00+01:00'") from None
        return time if time.tzinfo else time.replace(tzinfo=UTC)

    def _wrong(self, token: _Token, text: str, hint: str = "", where: str = "filter") -> Invalid:
        place = f"at character {token.at + 1}, {token.text!r}" if token.text else "at its end"
        return Invalid(f"cannot read the {where} {place}: {text}", address=self._text[:200], hint=hint)


def _named(prefix: str, table: NamedFromClause) -> ColumnElement[str]:
    return table.c.port if _TABLES[prefix] is run_artifacts else table.c.name
