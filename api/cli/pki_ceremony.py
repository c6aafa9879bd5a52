"""`flexledger pki ceremony`: a hierarchy and the first credentials, from one reviewed file."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from api.cli.files import read_file
from api.cli.init import TargetTaken
from api.cli.pki_offline import DONE, answered, say
from api.errors import Absent
from api.issuing import read_password
from ledger.clock import SystemClock
from pki import ceremony
from pki.store.sqlite import SqliteStore

STORE: Final = "issued.db"


class CeremonyStoreAbsent(Absent):
    """What was made in the first ceremony is not where its later ones look for it."""

    code = "api/ceremony-store-absent"
    title = "No store of a ceremony"


def run(file: Path, out: Path, *, password_file: Path | None, store: Path | None, json: bool) -> int:
    """Exit code 0 when everything is in `out`, 2 when nothing was made."""
    return answered(lambda: _perform(file, out, password_file, store, json), json=json)


def _perform(file: Path, out: Path, password_file: Path | None, store: Path | None, json: bool) -> int:
    spec = ceremony.parse_spec(read_file(file, ceremony.MAX_SPEC_BYTES))
    if out.exists() and any(out.iterdir()):
        raise TargetTaken("there is something already, and keys are never written over", file=out.name)
    password = read_password(password_file)
    now_ms = SystemClock().now_ms()
    os.umask(0o077)
    with _folder(out), _kept(out / STORE if store is None else store) as kept:
        made = ceremony.perform(spec, tls_now_ms=now_ms, signing_now_ms=now_ms, store=kept)
        ceremony.save(made, out, password)
    document = {
        "root_sha256": made.hierarchy.root.key_sha256,
        "authorities": sorted(group.value for group in made.hierarchy.issuing),
        "parties": sorted(made.parties),
        "stations": sorted(made.stations),
    }
    text = (
        f"made {out}: {len(made.parties)} parties, {len(made.stations)} stations under root key\n"
        f"  {made.hierarchy.root.key_sha256}\n"
        "  lock root/ away; authorities/ goes to the machine that issues; hand the rest out"
    )
    say(document, text, json=json)
    return DONE


@contextmanager
def _folder(path: Path) -> Iterator[None]:
    """A folder at `path`; one that is new and still empty goes again if nothing was made."""
    is_new = not path.exists()
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if is_new:
            with suppress(OSError):
                path.rmdir()
        raise


@contextmanager
def _kept(path: Path) -> Iterator[SqliteStore]:
    """The store at `path`; one that is new goes again if nothing was made, so that the same can be tried again."""
    is_new = not path.exists()
    path.touch(mode=0o600)
    store = SqliteStore(path)
    try:
        yield store
    except BaseException:
        store.close()
        if is_new:
            for left in path.parent.glob(f"{path.name}*"):
                left.unlink()
        raise
    store.close()
