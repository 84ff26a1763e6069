"""The `kedge` command: finds the command's module when it is asked for, and turns errors into words and exit codes.

Exit codes are those of `core.errors` (2 wrong input, 3 refused, 4 not found, ... 70 a bug of ours), and 130 after
Ctrl-C. With `--json` the one object on stdout is the result or `{"error": {...}}`; everything else goes to stderr.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NamedTuple

import click

from kedge import log
from kedge.core.catalogue import nearest
from kedge.core.errors import Broken, Invalid, KedgeError, Missing, Unavailable
from kedge.plugins import find_versions

INTERRUPTED = 130
_OUTSIDE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EMFILE}  # nobody's bug


class Entry(NamedTuple):
    """Where a command is, and what it does in one line."""

    module: str
    summary: str


COMMANDS: dict[str, dict[str, Entry]] = {
    "Start": {
        "init": Entry("kedge.cli.init", "Write a commented kedge.toml for your own JSON Lines."),
        "demo": Entry("kedge.cli.demo", "Haul a small model round the whole line, in minutes."),
        "config": Entry("kedge.cli.config", "Show each setting and where it comes from."),
    },
    "Build": {
        "run": Entry("kedge.cli.run", "Run the stages that are not up to date, and say why."),
        "status": Entry("kedge.cli.status", "Draw the whole line on one screen."),
        "runs": Entry("kedge.cli.runs", "List and search runs."),
        "show": Entry("kedge.cli.show", "Show a run with its curves, an artifact or a version."),
        "evaluate": Entry("kedge.cli.evaluate", "Score a version, a bundle, an endpoint or a server."),
        "review": Entry("kedge.cli.review", "Let people label cases, and hold judges against them."),
        "data": Entry("kedge.cli.data", "Look into datasets: versions, rows, profile."),
    },
    "Release": {
        "models": Entry("kedge.cli.models", "List models, their versions, aliases and history."),
        "compare": Entry("kedge.cli.compare", "Compare two versions, case by case."),
        "gate": Entry("kedge.cli.gate", "Say what the gates found, to a person or a build server."),
        "approve": Entry("kedge.cli.approve", "Approve a version that somebody else made."),
        "promote": Entry("kedge.cli.promote", "Point an alias at a version that passed its gate."),
        "rollout": Entry("kedge.cli.rollout", "Send a version to an endpoint step by step."),
        "rollback": Entry("kedge.cli.rollback", "Return to the exact previous bundle."),
    },
    "Serve": {
        "serve": Entry("kedge.cli.serve", "Serve an endpoint with an OpenAI-compatible API."),
        "ask": Entry("kedge.cli.ask", "Ask an endpoint, and get the answer with its receipt."),
        "batch": Entry("kedge.cli.batch", "Answer a file of requests, and go on where it was stopped."),
        "keys": Entry("kedge.cli.keys", "Create, list and revoke API keys."),
    },
    "Account for": {
        "feedback": Entry("kedge.cli.feedback", "Say how good an answer was."),
        "replay": Entry("kedge.cli.replay", "Answer a stored request again, and compare."),
        "pin": Entry("kedge.cli.pin", "Keep a live case in a regression set."),
        "trace": Entry("kedge.cli.trace", "Walk from an answer back to the rows it came from."),
        "audit": Entry("kedge.cli.audit", "Read and verify the record of every change."),
        "gc": Entry("kedge.cli.gc", "Reclaim what nothing refers to."),
    },
}
ENTRIES = {name: entry for group in COMMANDS.values() for name, entry in group.items()}


class Line(click.Group):
    """A group that knows every command's summary and imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of the life cycle."""
        return list(ENTRIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command from its own module; `Invalid` with the nearest name if there is none."""
        entry = ENTRIES.get(cmd_name)
        if entry is None:
            raise Invalid(f"no command is called {cmd_name!r}", hint=nearest(cmd_name, ENTRIES))
        command: click.Command = importlib.import_module(entry.module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by the part of the life cycle they belong to."""
        for title, entries in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.summary) for name, entry in entries.items()])


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"kedge {find_versions(['kedge'])['kedge']}")
        ctx.exit()


@click.command("kedge", cls=Line, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-C", "--project", default=".", metavar="FOLDER", help="The project's folder, or one inside it.")
@click.option("-v", "--verbose", is_flag=True, help="Log what happens to stderr.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show it.")
@click.pass_context
def line(ctx: click.Context, project: str, verbose: bool, debug: bool) -> None:
    """Haul a language model from raw text to a watched endpoint, on one line that is never cut.

    Every command takes --json for one JSON object on stdout, and --help.
    """
    ctx.obj = project
    log.configure(verbose=verbose or debug)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = words[: words.index("--")] if "--" in words else words
    try:
        code = line.main(args=words, prog_name="kedge", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        return _hush()
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("interrupted; nothing half-done is left behind, run the command again to go on", err=True)
        return INTERRUPTED
    except Exception as error:
        if "--debug" in options:
            traceback.print_exc()
        return _report(_translate(error), as_json="--json" in options)
    return code if isinstance(code, int) else 0


def _translate(error: Exception) -> KedgeError:
    """Any exception as an error of the tree."""
    if isinstance(error, KedgeError):
        return error
    if isinstance(error, click.UsageError):
        where = error.ctx.command_path if error.ctx else "kedge"
        return Invalid(error.format_message(), hint=f"{where} --help")
    if isinstance(error, click.ClickException):
        return Invalid(error.format_message())
    if absent := Missing.behind(error):
        return absent
    if isinstance(error, OSError) and error.errno in _OUTSIDE:
        return Unavailable(f"the system refuses: {error}", hint="check permissions and free space, and try again")
    said = str(error) or "without a word"
    return Broken(
        f"kedge itself failed: {type(error).__name__}: {said}",
        hint="this is a bug of ours: run it again with `kedge --debug ...` and report the traceback with the version",
    )


def _report(error: KedgeError, *, as_json: bool) -> int:
    """Say what went wrong and what to do next; the exit code."""
    if as_json:
        told: dict[str, Any] = {"code": error.code, "message": error.message}
        told |= {"address": error.address} if error.address else {}
        told |= {"hint": error.hint} if error.hint else {}
        click.echo(json.dumps({"error": told}, ensure_ascii=False))
    else:
        click.echo(click.style("error: ", fg="red", bold=True) + error.message, err=True)
        for hint in error.hint.splitlines():
            click.echo(f"  {hint}", err=True)
    return error.exit_code


def _hush() -> int:
    """Whoever read our output has gone: say nothing more, not even when the interpreter flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
