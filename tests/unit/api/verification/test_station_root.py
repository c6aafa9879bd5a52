"""What a station signed of its samples: taken by the service and verified again offline only for what it was said of."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec

from api.flows.memory import Memory
from api.verification import bundle, page
from api.verification.bundle import Verification
from api.verification.report import Status
from api.verification.station_root import CLOCK_TOLERANCE_MS, open_for
from ledger.delivery import samples, station_root
from ledger.delivery.errors import StationRootForeign, StationRootReplayed, StationRootSignature
from ledger.delivery.samples import Sample
from ledger.delivery.station_root import SignedRoot
from ledger.records import jws
from ledger.records.evidence import SampleSchema
from ledger.records.requests import RequestIssued
from ledger.records.sites import Evse
from pki.credential import Credential
from pki.roles import Purpose
from tests.support import world as stage
from tests.support.world import EVSES, HOUR_MS, MINUTE_MS, SITE, STATIONS, World


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder: Path = tmp_path_factory.mktemp("signing")
    opened = await World.open(folder, crl_every_ms=HOUR_MS)
    try:
        yield opened
    finally:
        await opened.close()


pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]  # takes seconds


def said_of(body: bytes, **changes: object) -> SignedRoot:
    """What the first station of the world says of a body."""
    decoded = samples.decode(body)
    root = SignedRoot(
        request_id=1,
        station_id=STATIONS[0],
        evse_id=1,
        schema=SampleSchema.NARROW,
        root=samples.root(body).hex(),
        n=len(decoded),
        from_ms=decoded[0].t_ms,
        to_ms=decoded[-1].t_ms,
        seq=1,
        signed_at_ms=decoded[-1].t_ms,
    )
    return msgspec.structs.replace(root, **changes)


def signed(world: World, root: SignedRoot, key: ec.EllipticCurvePrivateKey | None = None) -> str:
    issued = world.made.stations[STATIONS[0]].credentials[Purpose.SIGNING]
    x5t = jws.encode_base64url(hashlib.sha256(issued.chain[0]).digest())
    return station_root.text_of(station_root.sign(root, key or issued.key, x5t))


# The story: one request, whose first EVSE is told to have signed


@dataclass
class Story:
    fsr_id: str
    words: str
    evse: Evse
    issued: RequestIssued
    station: Credential
    body: bytes


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(world: World) -> Story:
    fsc_ids = await stage.prepare(world)
    kept: list[str] = []

    def honest(body: bytes) -> str:
        kept.append(signed(world, said_of(body)))
        return kept[0]

    found = await stage.play(world, fsc_ids, words={EVSES[0]: honest, EVSES[1]: lambda _body: kept[0]})
    request = world.desk.state.request(found.fsr_id)
    evse = world.desk.state.site(SITE).configured.evses[0]
    times = range(request.issued.start_at_ms, request.issued.end_at_ms, MINUTE_MS)
    body = samples.encode(Sample(at, 2_000, 50_000, 2_000, 0, seq) for seq, at in enumerate(times))
    station = world.desk.directory.station(evse.key_spki_sha256, world.clock.now_ms())
    return Story(found.fsr_id, kept[0], evse, request.issued, station, body)


def opened(world: World, played: Story, text: str, **changes: object) -> tuple[str, str]:
    wanted = {
        "batch_id": "batch-1",
        "evse": played.evse,
        "issued": played.issued,
        "station": played.station,
        "at_ms": world.clock.now_ms(),
        "before": {}.get,
    }
    return open_for(text, played.body, **(wanted | changes))  # type: ignore[arg-type]  # one of each name


async def test_the_same_words_prove_one_batch_and_no_other(world: World, played: Story) -> None:
    text = signed(world, said_of(played.body))
    known = opened(world, played, text)
    assert opened(world, played, text, before={known: "batch-1"}.get) == known
    # A fresh signature over them makes them no other words.
    again = signed(world, said_of(played.body))
    assert again != text
    for words in (text, again):
        with pytest.raises(StationRootReplayed):
            opened(world, played, words, before={known: "batch-2"}.get)


async def test_the_key_is_that_of_the_sites_configuration(world: World, played: Story) -> None:
    with pytest.raises(StationRootSignature):
        opened(world, played, signed(world, said_of(played.body), ec.generate_private_key(ec.SECP256R1())))
    text = signed(world, said_of(played.body))
    other = world.desk.state.site(SITE).configured.evses[1]
    theirs = world.desk.directory.station(other.key_spki_sha256, world.clock.now_ms())
    for changes in ({"station": theirs}, {"evse": other}, {"evse": other, "station": theirs}):
        with pytest.raises(StationRootForeign):
            opened(world, played, text, **changes)


async def test_words_of_another_request_or_of_later_prove_nothing(world: World, played: Story) -> None:
    text = signed(world, said_of(played.body))
    for start in (played.issued.end_at_ms, played.issued.start_at_ms - 2 * HOUR_MS):
        later = msgspec.structs.replace(played.issued, start_at_ms=start, end_at_ms=start + HOUR_MS // 2)
        with pytest.raises(StationRootForeign, match="another request"):
            opened(world, played, text, issued=later)
    now_ms = world.clock.now_ms()
    fits = signed(world, said_of(played.body, signed_at_ms=now_ms + CLOCK_TOLERANCE_MS))
    assert opened(world, played, fits)[0] == played.station.x5t_s256
    ahead = signed(world, said_of(played.body, signed_at_ms=now_ms + CLOCK_TOLERANCE_MS + 1))
    with pytest.raises(StationRootForeign, match="later than"):
        opened(world, played, ahead)


# In a bundle, offline


async def test_a_bundle_says_station_signed_or_refuted_and_the_page_shows_it(world: World, played: Story) -> None:
    """The first EVSE's station signed its body; the second EVSE was given the words of the first."""
    verification = Verification(bundle.open_bundle(await world.bundle(played.fsr_id)), None)
    report = verification.run()
    found = [line for line in report.lines if line.check == "station signature"]
    assert [line.status for line in found] == [Status.VERIFIED, Status.REFUTED]
    assert found[0].detail.startswith("station-signed")
    assert found[1].code == "ledger/station-root-foreign"
    assert report.exit_code == 1
    text = page.render(verification, report, digest="00" * 32, policy_digest=None)
    assert "samples: trust STATION_SIGNED" in text
    assert "ledger/station-root-foreign" in text


async def test_the_service_knows_the_words_again_after_it_has_read_its_log_anew(world: World, played: Story) -> None:
    said = station_root.read(played.words)
    batch_id = world.memory.batch_with((said.x5t, said.payload_sha256))
    assert world.desk.state.request_of_batch(str(batch_id)) == played.fsr_id
    assert Memory(world.desk).batch_with((said.x5t, said.payload_sha256)) == batch_id
    assert world.memory.batch_with((said.x5t, "00" * 32)) is None
