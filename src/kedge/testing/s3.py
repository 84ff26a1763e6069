"""An S3-compatible server for tests: moto's, on a free port of this machine."""

from __future__ import annotations

import itertools
import socket
import subprocess
import sys
import tempfile
import time
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

from kedge.core.errors import Missing, Unavailable

CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "kedge", "AWS_SECRET_ACCESS_KEY": "not-a-secret"}
_START_S: Final = 60


class TemporaryS3:
    """A server whose buckets are gone when it is closed. It takes `CREDENTIALS` for a login."""

    def __init__(self) -> None:
        program = Path(sys.executable).with_name("moto_server")
        if not program.exists():
            raise Missing("moto_server is not installed", hint="pip install 'moto[server]'")
        self._numbers = itertools.count(1)
        self._port = _free_port()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the server
        command = [str(program), "-H", "127.0.0.1", "-p", str(self._port)]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        self._wait()

    @property
    def address(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._port}"

    def bucket(self) -> str:
        """A new bucket, as a URL for `open_blobs`."""
        name = f"kedge-{next(self._numbers)}"
        connection = HTTPConnection("127.0.0.1", self._port, timeout=10)
        connection.request("PUT", f"/{name}")
        status = connection.getresponse().status
        connection.close()
        if status != HTTPStatus.OK:
            raise Unavailable(f"the S3 server made no bucket: HTTP {status}")
        return f"s3://{name}/some/prefix?endpoint={self.address}&region=us-east-1"

    def close(self) -> None:
        """End the server."""
        self._process.terminate()
        self._process.wait(10)
        self._log.close()

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        self._log.seek(0)
        said = self._log.read().decode(errors="replace")
        self.close()
        raise Unavailable(f"the S3 server did not start: {said[-500:]}")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
