"""Signed records of real chargers: every one gets the verdict that the reference verifier's authors recorded."""

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any

import pytest

from ledger.delivery import ocmf
from ledger.delivery.errors import OcmfUnsupported
from ledger.errors import Refused
from tests.support import vectors

# The recorded verdict -> the codes that agree with it. A curve that this build lacks is UNSUPPORTED, never failed.
AGREES = {
    "bad-signature": {"ledger/ocmf-signature"},
    "error:key": {"ledger/ocmf-key-malformed"},
    "error:Odd-length string": {"ledger/ocmf-malformed"},
    "error:curve secp192k1": {"ledger/ocmf-unsupported"},
}


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    return [record for path in vectors.files("ocmf", "*.json") for record in json.loads(path.read_text())]


def key_bytes(written: str | None) -> bytes:
    """Hex (perhaps with spaces) or base64, as the files have it; anything else as it is, to be refused."""
    text = written or ""
    try:
        return bytes.fromhex(text)
    except ValueError:
        pass
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return text.encode()


def verdict(record: dict[str, Any]) -> str:
    try:
        ocmf.open_ocmf(record["text"], key_bytes(record["key"]))
    except Refused as refusal:
        return refusal.code
    return "valid"


def test_every_record_gets_the_recorded_verdict(records: list[dict[str, Any]], ran: Callable[[str, int], None]) -> None:
    ran("ocmf", len(records))
    for record in records:
        given = verdict(record)
        where = f"{record['src']} #{record['i']}"
        if given == OcmfUnsupported.code and record["verdict"] != "error:curve secp192k1":
            # Only a build without this curve may say so, and never for P-256.
            assert record["alg"] not in (None, "ECDSA-secp256r1-SHA256"), where
            continue
        assert given in AGREES.get(record["verdict"], {record["verdict"]}), where


def test_every_record_that_is_json_is_parsed_with_its_pagination_and_states(records: list[dict[str, Any]]) -> None:
    for record in records:
        if "jndi" in record["text"]:
            continue
        parsed = ocmf.parse_ocmf(record["text"])
        assert parsed.format_version == record["fv"]
        assert parsed.pagination is not None
        assert f"{parsed.pagination.kind}{parsed.pagination.number}" == record["pg"]
        assert parsed.readings[0].time == record["time"][0]
        assert parsed.readings[0].meter_state == record["status"][0]


def test_a_flipped_character_of_any_valid_payload_is_refused(records: list[dict[str, Any]]) -> None:
    for record in records:
        if record["verdict"] != "valid" or verdict(record) != "valid":
            continue
        changed = record | {"text": record["text"].replace('"GS"', '"Gs"', 1)}
        assert verdict(changed) == "ledger/ocmf-signature", record["src"]


def test_no_record_verifies_under_another_records_key(records: list[dict[str, Any]]) -> None:
    valid = [record for record in records if record["verdict"] == "valid"]
    for record, other in zip(valid, [*valid[1:], valid[0]], strict=True):
        if record["key"] != other["key"]:
            assert verdict(record | {"key": other["key"]}) != "valid", record["src"]


def test_few_valid_records_have_a_synchronised_clock(records: list[dict[str, Any]]) -> None:
    states = [
        reading.time_state
        for record in records
        if record["verdict"] == "valid"
        for reading in ocmf.parse_ocmf(record["text"]).readings
        if reading.time_state is not None
    ]
    assert states
    assert states.count("S") * 4 < len(states)
