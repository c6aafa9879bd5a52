"""`flexledger audit` of a stamped log: stamps are verified, and recording times that contradict them are named."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from api.cli import audit
from api.flows.stamping import StampBook, Stamping
from api.settings import Timestamps
from api.verification.bundle_policy import Policy
from api.verification.report import Report, Status
from tests.support import tsa
from tests.support import world as stage
from tests.support.logs import unfenced
from tests.support.tsa import Tsa

pytestmark = pytest.mark.slow

TEN_MINUTES_MS = 600_000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Tsa:
    return tsa.make(tmp_path_factory.mktemp("tsa") / "a", kind="ec")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Tsa:
    return tsa.make(tmp_path_factory.mktemp("tsa") / "b", kind="ec")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[stage.World]:
    # Stamps are of the machine's time, so the credentials are, too.
    found = await stage.World.open(tmp_path, dawn_ms=now_ms() - stage.HOUR_MS)
    yield found
    await found.close()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Forgetful(StampBook):
    """Knows of no stamp, so that one more is asked for where little has grown."""

    def all(self) -> tuple[()]:
        return ()


async def stamp(world: stage.World, authority: Tsa, *, book: StampBook | None = None) -> None:
    """The newest checkpoint has a stamp, which is on record."""

    async def ask(url: str, query: bytes) -> tuple[int, str, bytes]:
        return 200, "application/timestamp-reply", authority.stamp(query)

    await world.desk.publisher.publish()
    made = await Stamping(
        Timestamps(authorities=("http://tsa.example/",), trust=Path("unread")),
        desk=world.desk,
        publisher=world.desk.publisher,
        book=book or StampBook(world.reader),
        roots=[authority.root],
        ask=ask,
    ).once()
    assert made is not None
    await world.desk.publisher.publish()


def of_stamps(world: stage.World, folder: Path, *authorities: Tsa) -> tuple[Report, list[tuple[Status, str, object]]]:
    """The report, and status, code and index of what it says of stamps."""
    roots = tuple(root.public_bytes(Encoding.PEM).decode() for root in world.made.anchors.certificates)
    trusted = tuple(one.root.public_bytes(Encoding.PEM).decode() for one in authorities)
    policy = Policy(vkey=world.engines.log_keys.vkeys()[0], roots=roots, development=True, timestamp_roots=trusted)
    report = audit.audit(folder, policy)
    said = [
        (line.status, line.code, line.where.get("index"))
        for line in report.lines
        if line.check == "time stamp" or "stamp" in line.code
    ]
    return report, said


async def test_a_stamp_of_a_right_clock_is_verified(world: stage.World, authority: Tsa, tmp_path: Path) -> None:
    world.clock.set_ms(now_ms())
    await stamp(world, authority)
    _, said = of_stamps(world, tmp_path, authority)
    assert said == [(Status.VERIFIED, "verify/ok", None)]


async def test_a_clock_that_is_ten_minutes_slow_is_named_by_the_entry_that_tells_of_the_stamp(
    world: stage.World, authority: Tsa, tmp_path: Path
) -> None:
    world.clock.set_ms(now_ms() - TEN_MINUTES_MS)
    await stamp(world, authority)
    report, said = of_stamps(world, tmp_path, authority)
    assert said == [(Status.REFUTED, "ledger/recorded-before-stamp", 1)]
    assert report.exit_code == 1


async def test_a_clock_that_is_ten_minutes_fast_is_named_by_the_first_entry_under_the_stamp(
    world: stage.World, authority: Tsa, tmp_path: Path
) -> None:
    world.clock.set_ms(now_ms() + TEN_MINUTES_MS)
    await stamp(world, authority)
    assert of_stamps(world, tmp_path, authority)[1] == [(Status.VERIFIED, "verify/ok", None)]
    await stamp(world, authority, book=Forgetful(world.reader))
    _, said = of_stamps(world, tmp_path, authority)
    assert said == [(Status.REFUTED, "ledger/recorded-after-stamp", 1)]


async def test_nobody_whose_time_counts_and_a_token_that_is_gone_or_a_strangers_are_no_pass(
    world: stage.World, authority: Tsa, stranger: Tsa, tmp_path: Path
) -> None:
    world.clock.set_ms(now_ms())
    await stamp(world, authority)
    assert of_stamps(world, tmp_path)[1] == [(Status.UNDECIDED, "verify/timestamp-unvouched", None)]
    assert of_stamps(world, tmp_path, stranger)[1] == [(Status.REFUTED, "pki/timestamp-refused", 1)]
    with unfenced(tmp_path / "ledger.db") as db:
        db.execute("DELETE FROM evidence_blob WHERE kind = 'rfc3161'")
    assert of_stamps(world, tmp_path, authority)[1] == [(Status.INDETERMINATE, "verify/evidence-absent", 1)]
