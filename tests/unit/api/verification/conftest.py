import asyncio
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from api.verification.bundle import open_bundle
from api.verification.bundle_format import Bundle
from ledger.records.privacy import ErasureBasis
from tests.support import world as stage
from tests.support.bundles import Story


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return asyncio.run(_story(tmp_path_factory.mktemp("world")))


async def _story(folder: Path) -> Story:
    data = folder / "data"
    data.mkdir()
    world = await stage.World.open(data, crl_every_ms=stage.HOUR_MS)
    try:
        fsc_ids = await stage.prepare(world)
        played = await stage.play(world, fsc_ids)
        settled = await world.bundle(played.fsr_id)
        mandatory = await stage.play_mandate(world, start_at_ms=stage.DAWN_MS + 8 * stage.HOUR_MS)
        droop = await stage.play_droop(world, fsc_ids, start_at_ms=stage.DAWN_MS + 11 * stage.HOUR_MS)
        before = {"mandatory": await world.bundle(mandatory), "droop": await world.bundle(droop)}
        await world.privacy.erase(world.party(stage.PERSONS[1]), ErasureBasis.CONSENT_WITHDRAWN)
        erased = await world.bundle(played.fsr_id)
        droop_erased = await world.bundle(droop)
        vkey = world.engines.log_keys.vkeys()[-1]
        (data / "vkey").write_text(vkey + "\n")
        output = folder / "out"
        world.reader.export_static(output / "log", vkey=vkey)
        _leave(world, output)
        (output / "bundles").mkdir()
        (output / "bundles" / "one.json").write_bytes(erased)
    finally:
        await world.close()
    return Story(
        settled=settled,
        mandatory=before["mandatory"],
        droop=before["droop"],
        erased=erased,
        droop_erased=droop_erased,
        folder=data,
        output=output,
    )


def _leave(world: stage.World, output: Path) -> None:
    """Every certificate and CRL as a file, roots among them."""
    folder = output / "ca"
    folder.mkdir()
    ders = {
        one
        for minted in (*world.made.parties.values(), *world.made.stations.values())
        for issued in minted.credentials.values()
        for one in issued.chain
    }
    roots = {root.public_bytes(Encoding.DER) for root in world.engines.anchors.certificates}
    pem = b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in sorted(ders | roots))
    (folder / "all.pem").write_bytes(pem)
    for number, der in enumerate(world.engines.status.ders()):
        (folder / f"{number}.crl").write_bytes(der)


@pytest.fixture(scope="session")
def settled(story: Story) -> Bundle:
    return open_bundle(story.settled)
