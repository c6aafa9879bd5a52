"""`python -m tests.bench`: measures the registered rows, prints a table, writes `bench.json`."""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.bench import frame, machine, table
from tests.bench.registry import NOT_MEASURED, ROWS


def chosen(only: str | None) -> frozenset[str]:
    """The ids of `--only`, all without it; raises SystemExit for an id that does not exist."""
    known = {row.id for row in ROWS} | NOT_MEASURED.keys()
    if only is None:
        return frozenset(known)
    wanted = frozenset(part.strip().upper() for part in only.split(","))
    if wanted - known:
        raise SystemExit(f"no such row: {', '.join(sorted(wanted - known))}")
    return wanted


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 whether goals are met or not: a measurement is no test. 1 if a row could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, under a minute; noisier")
    parser.add_argument("--only", metavar="P1,P8", help="these rows only")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), metavar="FILE", help="default: bench.json")
    given = parser.parse_args(arguments)
    ids = chosen(given.only)
    results: list[frame.Result] = []
    failed: dict[str, str] = {}
    skipped: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        scale = frame.Scale(quick=given.quick, folder=Path(folder))
        where = machine.look(scale.folder)
        print(table.heading(where, quick=given.quick))
        for row in (row for row in ROWS if row.id in ids):
            if given.quick and not row.in_quick:
                print(table.absent(row.id, f"{row.what}: left out of --quick"), flush=True)
                continue
            try:
                result = frame.measure(row, scale)
            except frame.NeighbourAbsent as absent:
                skipped[f"{row.id} {row.what}"] = str(absent)
                print(table.absent(row.id, f"{row.what}: left out, {absent}"), flush=True)
                continue
            except Exception as error:  # noqa: BLE001 -- one row that breaks must not hide the others
                failed[row.id] = f"{type(error).__name__}: {error}"
                print(table.absent(row.id, f"{row.what}: FAILED, {failed[row.id]}"), flush=True)
                continue
            results.append(result)
            print(table.line(result), flush=True)
        for name, reason in NOT_MEASURED.items():
            if name in ids:
                print(table.absent(name, reason))
        done = machine.finish(where)
    print(table.closing(results, done))
    report = {
        "environment": done,
        "method": frame.METHOD,
        "quick": given.quick,
        "rows": [frame.shown(result) for result in results],
        "not_measured": skipped | {name: why for name, why in NOT_MEASURED.items() if name in ids},
        "failed": failed,
    }
    given.json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    return 1 if failed else 0
