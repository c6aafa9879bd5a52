"""While nothing may be signed, nothing is promised either, whatever the way in; what protects people goes on."""

from typing import Any

import pytest

from api import wire
from api.cli.demo import cast
from ledger.store.errors import HistoryDiffers
from pki import keys
from tests.support import enrolling, house_acts
from tests.support.house import House, require_problem


async def test_nothing_is_taken_while_nothing_may_be_signed_be_it_one_or_a_batch(house: House) -> None:
    one = house.said(cast.FO, house_acts.request("fsr-late"), "fsr/fsr-late")
    house.service.publisher.stop(HistoryDiffers("a witness remembers more"))
    size = house.size()
    require_problem(await house.post(cast.FO, "/v1/requests", one), 500, HistoryDiffers.code)
    batch = wire.SubmissionBatch(statements=(one,))
    require_problem(await house.post(cast.FO, "/v1/statements", batch), 500, HistoryDiffers.code)
    assert house.size() == size


@pytest.mark.parametrize(
    ("who", "path", "body"),
    [
        (cast.CSO, "/v1/checks", {"fsr_id": "fsr-late", "evse_ids": ["FI*NGC*E1"]}),
        (cast.CSO, "/v1/requests/fsr-late/proof", {}),
        (cast.DPO, "/v1/exports", {"profile": "RESEARCH", "recipient": "FI-UNI"}),
    ],
)
async def test_the_service_itself_says_nothing_new_while_nothing_may_be_signed(
    door: House, who: str, path: str, body: dict[str, Any]
) -> None:
    door.service.publisher.stop(HistoryDiffers("a witness remembers more"))
    size = door.size()
    require_problem(await door.post(who, path, body), 500, HistoryDiffers.code)
    assert door.size() == size


async def test_nothing_is_certified_while_nothing_may_be_signed_and_a_revocation_still_counts(door: House) -> None:
    code = await enrolling.invite(door, party_id="FI-LATE")
    newcomer = await enrolling.enrol(door, await enrolling.invite(door), enrolling.pkcs10(keys.generate()))
    leaf = enrolling.der(enrolling.certificate(newcomer))
    (listed,) = (await door.ask(leaf, "GET", "/v1/credentials")).json()["credentials"]
    door.service.publisher.stop(HistoryDiffers("a witness remembers more"))
    request = enrolling.pkcs10(keys.generate())
    require_problem(await enrolling.enrol(door, code, request), 500, HistoryDiffers.code)
    require_problem(await enrolling.reenrol(door, leaf, request), 500, HistoryDiffers.code)
    asked = {"reason": "keyCompromise"}
    reply = await door.post(cast.OPS, f"/v1/credentials/{listed['name']}/revocation", asked)
    assert reply.status == 201
    require_problem(await door.ask(leaf, "GET", "/v1/requests"), 401, "api/credential-refused")
