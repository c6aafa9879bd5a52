"""`flexledger rebuild`: the projections made anew from the log, or only compared with it."""

import asyncio
import os
from contextlib import closing
from pathlib import Path

import msgspec

from api import engines, settings
from api.cli.pki_offline import answered, say
from api.cli.words import counted
from api.settings import Settings
from ledger.audit.report import Code
from ledger.store import rebuild
from ledger.store.rebuild import RowDiffers

CLEAN, FOUND = 0, 1


def run(config: Path, *, is_check: bool, json: bool) -> int:
    """Exit code 0 nothing was wrong or it is mended, 1 a check found rows that are wrong, 2 it could not be done."""

    def act() -> int:
        found = settings.load(config, os.environ)
        wrong = _check(found) if is_check else _mend(found)
        _show(wrong, is_check=is_check, json=json)
        return FOUND if wrong and is_check else CLEAN

    return answered(act, json=json)


def _check(found: Settings) -> list[RowDiffers]:
    with closing(engines.open_reader(found)) as reader, reader.moment():
        return rebuild.check(reader)


def _mend(found: Settings) -> list[RowDiffers]:
    with closing(engines.open_store(found, create=False)) as store:

        async def work() -> list[RowDiffers]:
            try:
                return await rebuild.mend(store)
            finally:
                await store.leave()

        return asyncio.run(work())


def _show(wrong: list[RowDiffers], *, is_check: bool, json: bool) -> None:
    code = Code.PROJECTION_DIFFERS.value
    lines = [f"{code}: {one.kind} {one.key}: expected {one.expected}, found {one.found}" for one in wrong]
    what = f"{counted(len(wrong), 'row', 'rows')} not what the log says"
    lines.append(what if is_check or not wrong else f"{what}, and made anew")
    findings = [{"code": code, **msgspec.structs.asdict(one)} for one in wrong]
    say({"findings": findings, "mended": bool(wrong) and not is_check}, "\n".join(lines), json=json)
