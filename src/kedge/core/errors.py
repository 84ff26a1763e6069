"""Every error kedge raises on purpose.

KedgeError
├── NotFound      what was named does not exist                 exit 4   HTTP 404
├── Conflict      somebody else changed it, or it exists        exit 5   HTTP 409
├── Invalid       the input is wrong; says where and how        exit 2   HTTP 400
├── Refused       a rule forbids it: gate, reference, limit     exit 3   HTTP 403
│   ├── Unauthenticated   no key, or not a valid one            exit 3   HTTP 401
│   └── Limited           too many, too long, too large         exit 3   HTTP 429
├── Missing       an extra or a tool is not installed           exit 6   HTTP 501
├── Unavailable   a store, an engine or a server is not there   exit 7   HTTP 503
├── Failed        a step of a pipeline failed                   exit 8   HTTP 500
└── Broken        a bug of ours or a damaged store              exit 70  HTTP 500
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

# The modules that extras bring, each with the extra to install for it: training brings what serving needs too.
EXTRAS: Final[Mapping[str, str]] = {
    "accelerate": "train",
    "ftfy": "clean",
    "huggingface_hub": "hub",
    "jinja2": "serve",
    "jsonschema": "evaluate",
    "llguidance": "schema",
    "lm_eval": "lm-eval",
    "numba": "clean",
    "numpy": "data",
    "obstore": "objects",
    "openai": "demo",
    "openvino": "openvino",
    "openvino_genai": "openvino",
    "peft": "train",
    "presidio_analyzer": "presidio",
    "psycopg": "postgres",
    "py3langid": "clean",
    "pyarrow": "data",
    "pypdfium2": "pdf",
    "ray": "ray",
    "rouge_score": "evaluate",
    "sacrebleu": "evaluate",
    "safetensors": "train",
    "scipy": "evaluate",
    "selectolax": "clean",
    "sklearn": "evaluate",
    "tokenizers": "train",
    "torch": "train",
    "transformers": "train",
    "uvloop": "serve",
}


class KedgeError(Exception):
    """Base of the tree: what happened, to which address, and what to do next."""

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, *, address: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.address = address
        self.hint = hint

    @property
    def code(self) -> str:
        """The class as a stable word for machines: `not_found`, `refused`."""
        name = type(self).__name__
        return "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class NotFound(KedgeError):
    """What was named does not exist."""

    exit_code = 4
    http_status = 404


class Conflict(KedgeError):
    """Somebody else changed it first, or it already exists."""

    exit_code = 5
    http_status = 409


class Invalid(KedgeError):
    """The input is wrong; the message says where and how."""

    exit_code = 2
    http_status = 400


class Refused(KedgeError):
    """A rule forbids it: a gate, a reference, a policy."""

    exit_code = 3
    http_status = 403


class Unauthenticated(Refused):
    """No key was given, or the key is not valid."""

    http_status = 401


class Limited(Refused):
    """Too many, too long or too large."""

    http_status = 429


class Missing(KedgeError):
    """An optional package or an outside tool is not installed."""

    exit_code = 6
    http_status = 501

    @classmethod
    def extra(cls, package: str, extra: str) -> Missing:
        """The error for a package that comes with `kedge[extra]`."""
        return cls(f"{package} is not installed", hint=f"pip install 'kedge[{extra}]'")

    @classmethod
    def behind(cls, error: BaseException) -> Missing | None:
        """The error behind a failed import, if an extra of ours brings the package; None otherwise."""
        package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
        return cls.extra(package, EXTRAS[package]) if package in EXTRAS else None


class Unavailable(KedgeError):
    """A store, an engine or a server cannot be reached."""

    exit_code = 7
    http_status = 503


class Failed(KedgeError):
    """A step of a pipeline failed."""

    exit_code = 8


class Broken(KedgeError):
    """A bug of ours, or a store whose bytes are not what their digest says."""

    exit_code = 70
