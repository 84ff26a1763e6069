"""Errors as the API says them: the OpenAI shape, the right status, and a code for machines."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kedge.core.errors import KedgeError, Limited, NotFound, Refused, Unauthenticated, Unavailable

Header = tuple[bytes, bytes]

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    499: "cancelled",
    503: "overloaded_error",
    504: "timeout_error",
}


class Gone(Unavailable):
    """The caller went away before the answer was finished."""


class TimedOut(Unavailable):
    """The answer took longer than a request may."""


class ApiError(Exception):
    """What went wrong with one request, as its caller is told. `param` names the field at fault."""

    def __init__(
        self, status: int, message: str, *, code: str = "", param: str = "", headers: Sequence[Header] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = tuple(headers)

    @property
    def type(self) -> str:
        """The kind of error, by status."""
        return _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")

    def body(self) -> bytes:
        """The JSON body."""
        said = {"message": self.message, "type": self.type, "param": self.param or None, "code": self.code or None}
        return msgspec.json.encode({"error": said})


def invalid(message: str, *, param: str = "", code: str = "") -> ApiError:
    """The request is wrong."""
    return ApiError(400, message, param=param, code=code)


def limited(message: str, *, seconds: float, code: str) -> ApiError:
    """Too much at once; worth trying again after so many seconds."""
    return ApiError(429, message, code=code, headers=[_retry_after(seconds)])


def api_error(error: KedgeError) -> ApiError:
    """An error of the tree as the API says it. Its hint is for whoever runs the endpoint, and is left out."""
    if isinstance(error, Gone):
        return ApiError(499, error.message, code="client_closed_request")
    if isinstance(error, TimedOut):
        return ApiError(504, error.message, code="timeout")
    if isinstance(error, Unauthenticated):
        return ApiError(401, error.message, code="invalid_api_key", headers=[(b"www-authenticate", b"Bearer")])
    if isinstance(error, Limited):
        return limited(error.message, seconds=getattr(error, "seconds", 1), code="rate_limit_exceeded")
    if isinstance(error, Refused):
        return ApiError(403, error.message, code="insufficient_permissions")
    if isinstance(error, NotFound):
        return ApiError(404, error.message, code="not_found")
    if isinstance(error, Unavailable):
        return ApiError(503, error.message, code="engine_unavailable", headers=[_retry_after(1)])
    return ApiError(error.http_status, error.message, code=error.code)


def _retry_after(seconds: float) -> Header:
    return (b"retry-after", str(max(1, round(seconds))).encode())
