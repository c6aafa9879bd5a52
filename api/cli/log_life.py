"""`flexledger log`: a log changes its key, and ends."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

from api import engines, telemetry
from api.cli.failures import told
from api.cli.serve import asking
from api.cli.words import counted, one_of
from api.errors import ApiError, Refused
from api.flows import log_end
from api.flows.log_end import Ended
from api.flows.log_keys import KEY_STREAM
from api.flows.service import open_service
from api.key_files import add_log_key, key_to_follow, read_log_keys, retire_log_key
from api.settings import Settings, load
from ledger import plain_file
from ledger.errors import LedgerError
from ledger.reader import VKEY_FILE, Reader
from ledger.records import entry as entries
from ledger.records import statement
from ledger.records.log import FreezeReason, KeyRotated
from ledger.store.errors import StreamAbsent
from ledger.store.log_keys import MAX_HELD
from ledger.store.signer_state import SignerState
from ledger.tlog.note import NoteSigner
from pki.errors import PkiError

DAY_MS: Final = 86_400_000
UNUSABLE: Final = 2
UNCOSIGNED: Final = 3


class KeyNotInUse(Refused):
    """The next key has not signed a checkpoint yet, so the older one is the only one that others can check."""

    code = "api/key-not-in-use"
    title = "The next key is not in use"


class OverlapRunning(Refused):
    """Both keys were promised to sign until a later time."""

    code = "api/key-overlap-running"
    title = "The keys still overlap"


def rotate_key(config: Path, *, overlap_days: int) -> int:
    """Exit code 0 when the next key is at hand, 2 when nothing was changed."""
    try:
        settings = load(config, os.environ)
        key_to_follow(settings.log_key)
        fresh = NoteSigner.generate(settings.origin)
        # The public half first: whoever audits must be able to check whatever the other half ever signs.
        with plain_file.require(settings.data_dir / VKEY_FILE).open("a", encoding="ascii") as file:
            file.write(fresh.vkey + "\n")
        add_log_key(settings.log_key, fresh, overlap_days * DAY_MS)
    except (ApiError, LedgerError, OSError) as error:
        return _nothing(error)
    print(f"the next key of {settings.origin}: {fresh.vkey}")
    print(f"  the running service announces it within seconds, else at its start; both sign for {overlap_days} days")
    print("  give it to witnesses, and to everybody with a policy, before they are over")
    print(f"  afterwards: flexledger log retire-key {config}")
    return 0


def retire_key(config: Path, *, is_now: bool) -> int:
    """Exit code 0 when the older key is gone, 2 when nothing was changed."""
    try:
        settings = load(config, os.environ)
        held = read_log_keys(settings.log_key).signers
        if len(held) == MAX_HELD:
            _require_in_use(settings, held[1])
            if not is_now:
                _require_over(settings)
        left = retire_log_key(settings.log_key)
    except (ApiError, LedgerError, OSError) as error:
        return _nothing(error)
    print(f"the key of {settings.origin} is {left.vkey}; the older one is gone")
    return 0


def freeze(config: Path, *, reason: str, out: Path) -> int:
    """Exit code 0 when the log has ended, 3 when it has but too few witnesses cosigned, 2 when nothing was changed."""
    why = one_of(FreezeReason, reason)
    try:
        settings = load(config, os.environ)
        # Before anything else: the checkpoint must have a place to go.
        with out.open("xb") as file:
            try:
                ended = asyncio.run(_freeze(settings, why))
            except BaseException:
                out.unlink()
                raise
            file.write(ended.signed)
    except (ApiError, LedgerError, PkiError, OSError) as error:
        return _nothing(error)
    size = counted(ended.checkpoint.size, "entry", "entries")
    print(f"{settings.origin} has ended{' before' if ended.was_frozen else ''}: {size}, nothing follows")
    print(f"  its last checkpoint is in {out}; give it to everybody, and to the log that continues this one")
    if ended.quorum is not None:
        print(f"  too few witnesses cosigned it; do it again later: {ended.quorum}", file=sys.stderr)
        return UNCOSIGNED
    return 0


async def _freeze(settings: Settings, reason: FreezeReason) -> Ended:
    # What the service logs goes where the service's log goes, not among what the command says.
    telemetry.configure()
    opened = engines.open_engines(settings)
    async with asking(settings) as ask, open_service(settings, opened, None, ask=ask) as service:
        return await log_end.freeze(service, reason)


def _require_in_use(settings: Settings, fresh: NoteSigner) -> None:
    state = SignerState(settings.log_key.with_suffix(".state"))
    try:
        is_used = state.last(settings.origin, [fresh.verifier]) is not None
    except LedgerError:
        is_used = False
    if not is_used:
        raise KeyNotInUse("it has signed no checkpoint yet", expected="a service that runs with both keys")


def _require_over(settings: Settings) -> None:
    store = engines.open_reader(settings)
    try:
        rows = Reader(store).stream(KEY_STREAM)
    except StreamAbsent:
        raise KeyNotInUse("the log has announced no other key") from None
    finally:
        store.close()
    last = statement.parse_statement(entries.decode(rows[-1][1]).stmt).record
    now_ms = engines.clock_of(settings).now_ms()
    if isinstance(last, KeyRotated) and now_ms < last.until_ms:
        raise OverlapRunning(
            "whoever knows only the older key relies on it until then",
            expected=f"{last.until_ms}, or --now",
            found=now_ms,
        )


def _nothing(error: Exception) -> int:
    print(f"nothing was changed: {told(error)}", file=sys.stderr)
    return UNUSABLE
