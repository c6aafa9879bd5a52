"""Yesterday's backup: it was made before the erasure, is put back after it, and does not bring the person back."""

import shutil
from contextlib import closing
from pathlib import Path
from typing import Final

from api.cli.demo import cast
from api.cli.demo.report import Report
from api.cli.demo.story import Play
from api.client.errors import RemoteProblem
from ledger.clock import SystemClock
from ledger.privacy.errors import SubjectUnknown
from ledger.privacy.opened import State
from ledger.privacy.vault import KEYS_FILE, VAULT_FILE, Vault

FOLDER: Final = "yesterday"


def back_up(stage_folder: Path) -> None:
    """Both databases of the vault, as of now, in a folder beside the service's; the key ring is not among them."""
    copy = stage_folder / FOLDER
    copy.mkdir(mode=0o700)
    with closing(_opened(stage_folder, "service/vault")) as vault:
        vault.database.backup(copy / VAULT_FILE)
        vault.keys.backup(copy / KEYS_FILE)


async def put_back(play: Play, report: Report, person: str, neighbour: str) -> None:
    """The service is started over the older vault; it has forgotten the person again before it answers anybody."""
    folder = play.stage.folder
    known = _readable(folder, FOLDER, person)
    report.expect("yesterday's backup of the vault, opened with the keys", known > 0, f"{known} values", "privacy")
    await play.stage.close_service()
    vault = folder / "service" / "vault"
    for path in list(vault.glob("*.db*")):
        path.unlink()
    for name in (VAULT_FILE, KEYS_FILE):
        shutil.copy2(folder / FOLDER / name, vault / name)
    await play.stage.reopen_service()
    told = [await _told(play, subject) for subject in (person, neighbour)]
    report.expect("put back, and asked for that person", told[0] == SubjectUnknown.code, told[0], "privacy")
    report.expect("and for the neighbour, who is in it too", told[1] == "known", told[1], "privacy")
    left = _readable(folder, "service/vault", person)
    report.expect("what can be opened of that person now", left == 0, f"{left} values", "privacy")


async def _told(play: Play, subject: str) -> str:
    """What the privacy officer hears of somebody."""
    try:
        await play.ask(cast.DPO, "/v1/subjects/recipients", {"subject": subject})
    except RemoteProblem as problem:
        return problem.code
    return "known"


def _readable(stage_folder: Path, place: str, person: str) -> int:
    """How many of a person's values open there, by the one who has the keys."""
    with closing(_opened(stage_folder, place)) as vault:
        try:
            digests = vault.digests_of(person)
        except SubjectUnknown:
            return 0
        return sum(one.state is State.TEXT for one in vault.open_many(digests).values())


def _opened(stage_folder: Path, place: str) -> Vault:
    ring = stage_folder / "service" / "keys" / "kek.ring"
    return Vault.open(stage_folder / place, clock=SystemClock(), kek_path=ring)
