"""Sets up logging to stderr: words on a terminal, one JSON object a line elsewhere. Called by doors and workers only.

`RUN` and `TRACE` name what is being worked on; both appear in every line.
"""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from typing import Any, TextIO

RUN: ContextVar[str] = ContextVar("run", default="")
TRACE: ContextVar[str] = ContextVar("trace", default="")

_OWN = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """A record as one JSON object: time, level, logger, phrase, ids and facts."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, without its newline."""
        line: dict[str, Any] = {
            "at": record.created,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_ids(),
            **_facts(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class Words(logging.Formatter):
    """A record as a line for a person."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, phrase and facts."""
        facts = " ".join(f"{name}={value}" for name, value in {**_ids(), **_facts(record)}.items())
        line = (
            f"{self.formatTime(record, '%H:%M:%S')} {record.levelname.lower():7} {record.getMessage()} {facts}".rstrip()
        )
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class Line(logging.Handler):
    """Writes to a stream, or to what `sys.stderr` is at that moment, as it may be replaced or closed."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            stream = self._stream or sys.stderr
            stream.write(self.format(record) + "\n")
            stream.flush()
        except (OSError, ValueError):
            self.handleError(record)


def configure(*, verbose: bool = False, stream: TextIO | None = None, run: str = "") -> None:
    """Send kedge's own records to `stream` (stderr): warnings and worse, or everything from INFO when verbose.

    `run` is the run that this process works on, if it works on one.
    """
    handler = Line(stream)
    handler.setFormatter(Words() if (stream or sys.stderr).isatty() else JsonLines())
    logger = logging.getLogger("kedge")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    logger.propagate = False
    RUN.set(run)


def _ids() -> dict[str, str]:
    return {name: value for name, value in (("run", RUN.get()), ("trace", TRACE.get())) if value}


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    """What was given as `extra`. Libraries that put fields of their own into every record begin them with `_`."""
    return {name: value for name, value in record.__dict__.items() if name not in _OWN and not name.startswith("_")}
