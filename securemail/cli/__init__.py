"""The `securemail` command: one module for each of its commands."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from .. import __version__
from ..errors import PolicyError
from . import check, demo, explain, known, pin, status
from .options import WrongUsage
from .terminal import prepare, say

_STATUSES = (
    "exit status: 0 fine; 1 works, with a warning; 2 refused; 3 unreachable; 64 wrong usage. "
    "Of several results the worst counts, a refusal most."
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(status.USAGE, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    prepare(sys.stdout, sys.stderr)
    try:
        done = _run(argv)
        sys.stdout.flush()  # here, where a closed pipe can still be answered for
    except KeyboardInterrupt:
        return status.INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return status.BROKEN_PIPE
    return done


def _run(argv: Sequence[str] | None) -> int:
    parser = _parser()
    try:
        args = parser.parse_args(argv)
    except SystemExit as end:  # argparse has said why, or printed the help
        return int(end.code or 0)
    if args.command is None:
        parser.print_help(sys.stderr)
        return status.USAGE
    try:
        result: int = args.run(args)
    except WrongUsage as error:
        say(f"securemail {args.command}: {error}.", to=sys.stderr)
        return status.USAGE
    except PolicyError as error:
        say(f"securemail {args.command}: {error}", to=sys.stderr)
        return status.USAGE
    return result


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="securemail",
        description="Mail connections over verified TLS: look at a server, at its certificate, "
        "at what an error means, or at a demonstration.",
        epilog=_STATUSES,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"securemail {__version__}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    for module in (check, pin, known, explain, demo):
        name = module.__name__.rpartition(".")[2]
        summary, _, more = (module.__doc__ or "").partition("\n")
        command = commands.add_parser(
            name,
            help=summary[:1].lower() + summary[1:].rstrip("."),
            description=f"{summary} {more}",
            epilog=_STATUSES,
            allow_abbrev=False,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def _discard_output() -> None:
    """Nobody reads any more: what is still buffered goes nowhere, without an error at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
