"""The JSON receipt of one entry: whole, offline, for whom it is meant, and not a byte of it can be changed."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from api.cli.demo import cast
from api.cli.main import app
from api.errors import ApiError
from api.verification import json_receipt
from api.verification.bundle_policy import Policy, encode_policy, policy_of
from api.verification.json_receipt import JsonReceipt, as_bundle
from api.verification.report import Report, Status
from ledger.errors import LedgerError
from ledger.records.requests import RequestAnswered
from ledger.tlog.note import NoteSigner
from tests.support import house as houses
from tests.support.house import House
from tests.support.house_acts import accepted

ACCEPT = (("accept", json_receipt.MEDIA_TYPE),)


async def receipt(house: House, who: str | None, index: int) -> JsonReceipt:
    reply = await house.ask(who, "GET", f"/v1/entries/{index}/receipt", b"", headers=ACCEPT)
    assert (reply.status, reply.headers["content-type"]) == (200, json_receipt.MEDIA_TYPE), reply.body
    assert "no-store" in reply.headers["cache-control"]
    return json_receipt.read(reply.body)


def codes(report: Report) -> set[str]:
    return {line.code for line in report.of(Status.REFUTED)}


async def test_every_entry_has_a_receipt_that_stands_alone(house: House, tmp_path: Path) -> None:
    await accepted(house)
    kinds = set()
    for index in range(house.size()):
        found = await receipt(house, cast.CSO, index)
        policy = policy_of(as_bundle(found))
        report = json_receipt.verify(found, policy=policy)
        assert report.exit_code == 0, (house.entry(index).type, report.of(Status.REFUTED))
        kinds.add(house.entry(index).type)
        assert len(found.certificates) < 5
    assert len(kinds) > 6
    (tmp_path / "one.json").write_bytes(json_receipt.encode(found))
    (tmp_path / "policy.json").write_bytes(encode_policy(policy))
    said = CliRunner().invoke(app, ["verify", str(tmp_path / "one.json"), "--policy", str(tmp_path / "policy.json")])
    assert (said.exit_code, "one entry alone" in said.output) == (0, True), said.output
    alone = CliRunner().invoke(app, ["verify", str(tmp_path / "one.json")])
    assert (alone.exit_code, "no policy was given" in alone.output) == (0, True)


async def test_what_is_about_a_person_is_disclosed_to_whom_a_bundle_discloses_it(house: House) -> None:
    await accepted(house)
    (index, *_) = [at for at in range(house.size()) if house.entry(at).type == RequestAnswered.TYPE]
    shown = {who: len((await receipt(house, who, index)).disclosures) for who in (cast.CSO, cast.AUD, cast.FO)}
    assert shown[cast.CSO] == shown[cast.AUD] > shown[cast.FO] == 0
    for who in (cast.RIVAL, cast.OTHER_CSO, cast.CSP, cast.DPO, cast.BAYS[0].person):
        assert (await receipt(house, who, index)).disclosures == ()
    nobody = await house.ask(None, "GET", f"/v1/entries/{index}/receipt", b"", headers=ACCEPT)
    houses.require_problem(nobody, 401, "api/credential-missing")
    gone = await house.ask(cast.CSO, "GET", "/v1/entries/99999/receipt", b"", headers=ACCEPT)
    assert gone.status in (404, 409)


@pytest.mark.slow
async def test_no_part_of_a_receipt_can_be_changed_unnoticed(house: House) -> None:
    await accepted(house)
    (index, *_) = [at for at in range(house.size()) if house.entry(at).type == RequestAnswered.TYPE]
    found = await receipt(house, cast.CSO, index)
    other = await receipt(house, cast.CSO, 0)
    policy = policy_of(as_bundle(found))
    data = json_receipt.encode(found)
    missed = []
    for at in range(0, len(data), 149):
        changed = bytearray(data)
        changed[at] ^= 1
        try:
            report = json_receipt.verify(json_receipt.read(bytes(changed)), policy=policy)
        except (ApiError, LedgerError):
            continue
        if report.exit_code == 0:
            missed.append(at)
    assert missed == []
    for changes, code in (
        ({"disclosures": ()}, None),
        ({"certificates": found.certificates[:1]}, None),
        ({"status": ()}, None),
        ({"entry": other.entry}, "verify/surplus"),
    ):
        report = json_receipt.verify(msgspec.structs.replace(found, **changes), policy=policy)
        if "disclosures" in changes:
            assert report.exit_code == 0  # what is not shown is not said
            continue
        assert report.exit_code != 0, changes
        assert code is None or code in codes(report)
    for strange in (
        msgspec.structs.replace(policy, vkey=NoteSigner.generate(found.origin).vkey),
        Policy(vkey=policy.vkey, roots=policy.roots, development=False),
    ):
        assert json_receipt.verify(found, policy=strange).exit_code == 1


@pytest.mark.parametrize("change", ["twice", "order", "member", "space", "large"])
async def test_a_receipt_is_read_strictly(house: House, change: str) -> None:
    data = json_receipt.encode(await receipt(house, cast.CSO, 0))
    value: dict[str, Any] = msgspec.json.decode(data)
    if change == "twice":
        value["certificates"] *= 2
    elif change == "order":
        value["certificates"].reverse()
        assert len(value["certificates"]) > 1
    elif change == "member":
        value["extra"] = 1
    made = msgspec.json.encode(value, order="sorted")
    if change == "space":
        made = made.replace(b",", b", ", 1)
    elif change == "large":
        made = b" " * (json_receipt.MAX_BYTES + 1)
    with pytest.raises(Exception, match=r".") as refused:
        json_receipt.read(made)
    assert getattr(refused.value, "code", "") in ("api/bundle-unusable", "ledger/not-canonical")
