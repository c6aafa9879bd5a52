"""The entry point: a short way to `flexledger verify`, and the whole command line for everything else.

The command line's library takes longer to import than what it takes to verify a bundle. Only plain calls come the short
way: help, completion and mistakes are left to the library.
"""

import gc
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Call(NamedTuple):
    """What was asked for."""

    bundle: Path
    policy: Path | None
    json: bool


def plain_call(arguments: Sequence[str]) -> Call | None:
    """`verify BUNDLE`, with `--policy FILE` and `--json` anywhere behind; None for everything else."""
    if arguments[:1] != ["verify"]:
        return None
    bundles: list[Path] = []
    policies: list[Path] = []
    json = False
    rest = iter(arguments[1:])
    for one in rest:
        if one == "--json":
            json = True
        elif one == "--policy":
            value = next(rest, "-")
            if value.startswith("-"):
                return None
            policies.append(Path(value))
        elif one.startswith("-") or not one:
            return None
        else:
            bundles.append(Path(one))
    if len(bundles) != 1 or len(policies) > 1:
        return None
    return Call(bundles[0], policies[0] if policies else None, json)


def main() -> None:
    """Runs the command of this process's arguments and exits."""
    # A file's name may be octets that are no text: it is printed with escapes, as it is on standard error.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    call = plain_call(sys.argv[1:])
    if call is None:
        from api.cli import failures
        from api.cli.main import app

        try:
            app()
        except (OSError, RecursionError) as error:
            # A file or an address of which no command thought; whatever else comes up to here is a mistake of ours.
            failures.say("not done", error)
            sys.exit(2)
    else:
        # One file, then the end: looking for cycles, and once more for all that is left, takes a tenth of the time.
        gc.disable()
        try:
            from api.cli import verify

            code = verify.run(call.bundle, policy=call.policy, json=call.json)
        finally:
            gc.freeze()
            gc.enable()
        sys.exit(code)
