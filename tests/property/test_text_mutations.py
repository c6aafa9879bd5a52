"""Whatever is done to what others sent, it is read or refused with a code, and soon: text formats, as DER is elsewhere."""

import time
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.errors import ApiError
from api.execution.ocpp import codec
from api.verification import cose_receipt
from ledger.delivery import meter, ocmf
from ledger.delivery.meter import MeterReading
from ledger.delivery.readings import Pagination
from ledger.errors import LedgerError
from ledger.records import canonical, disclosure, jws
from ledger.tlog import checkpoint, note, policy, proof, tiles
from ledger.witness import cosign
from tests.support import logs

AT_MS: Final = 1_768_867_200_000
SLOWEST_S: Final = 0.05
"""Of the processor's time for one call, at the best of three tries."""
HASH: Final = bytes(32)
NOTE: Final = checkpoint.sign(checkpoint.Checkpoint(logs.ORIGIN, 9, HASH), [logs.signer()])
READING: Final = MeterReading(at_ms=AT_MS, energy_milliwh=5_000, transaction="B")
PAYLOAD: Final = meter.build_payload(meter_serial="M1", pagination=Pagination("T", 1), readings=[READING])
RECEIPT: Final = cose_receipt.encode(
    checkpoint.Checkpoint(logs.ORIGIN, 10, HASH),
    3,
    [HASH] * 4,
    verifier=logs.signer().verifier,
    sign=logs.signer().sign_octets,
)


def of_text(read: Callable[[str], Any]) -> Callable[[bytes], Any]:
    """What is handed on as text, also where it is none."""
    return lambda data: read(data.decode("utf-8", "surrogateescape"))


def metered(data: bytes) -> Any:
    """A record, and all that its readings say when they are asked."""
    found = ocmf.parse_ocmf(data)
    return [(one.at_ms, one.time_state, one.energy_milliwh, one.resolution_milliwh) for one in found.readings]


FORMATS: Final[dict[str, tuple[Callable[[bytes], Any], bytes]]] = {
    "note": (note.parse, NOTE),
    "checkpoint": (lambda data: checkpoint.parse(note.parse(data).text), NOTE),
    "tlog-proof": (proof.parse, proof.encode(3, [HASH] * 4, NOTE, b"entry")),
    "add-checkpoint": (cosign.parse_request, cosign.encode_request(5, [HASH] * 3, NOTE)),
    "bundle of entries": (lambda data: tiles.read_bundle(data, 3), tiles.encode_bundle([b"a" * 100, b"b", b""])),
    "tlog-policy": (policy.parse, f"log {logs.signer().vkey}\nquorum none\n".encode()),
    "COSE": (cose_receipt.parse, RECEIPT),
    "canonical": (canonical.decode, b'{"a":[1,{"b":"c"}],"d":null}'),
    "JWS": (
        of_text(jws.parse),
        b".".join(jws.encode_base64url(part).encode() for part in (b'{"alg":"ES256"}', b"{}", HASH)),
    ),
    "disclosure": (of_text(disclosure.parse), disclosure.make(HASH, "name", {"a": 1}).text.encode()),
    "OCMF": (metered, f'OCMF|{PAYLOAD}|{{"SD":"3006020101020101"}}'.encode()),
    "OCPP": (codec.decode, b'[2,"id","Heartbeat",{"customData":{"vendorId":"x"}}]'),
}
PIECES: Final = (
    b"\xff",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\x00",
    b"\n\n",
    b"\\ud800",
    b"9" * 5_000,
    b"1e999",
    b"0.5",
    b"[" * 3_000,
    b'{"a":' * 3_000,
    b"=",
    b"NaN",
)

changes = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["flip", "cut", "repeat", "end"]), st.integers(0, 4_095), st.integers(1, 255)),
        st.tuples(st.just("insert"), st.integers(0, 4_095), st.sampled_from(PIECES)),
    ),
    min_size=1,
    max_size=4,
)


def changed(data: bytes, wanted: list[tuple[str, int, Any]]) -> bytes:
    out = bytearray(data)
    for kind, at, value in wanted:
        place = at % max(1, len(out))
        if kind == "insert":
            out[place:place] = value
        elif kind == "flip" and out:
            out[place] ^= value
        elif kind == "cut":
            del out[place : place + value % 16 + 1]
        elif kind == "repeat":
            out[place:place] = out[place : place + value]
        else:
            del out[place:]
    return bytes(out)


def refusal(read: Callable[[bytes], Any], data: bytes) -> str | None:
    """The code with which it is refused, None where it is read."""
    try:
        read(data)
    except (ApiError, LedgerError) as error:
        return error.code if error.message().isprintable() else pytest.fail("a message that moves a cursor")
    return None


@pytest.mark.parametrize("name", FORMATS)
@given(wanted=changes)
@settings(max_examples=100)
def test_what_was_changed_is_read_or_refused_soon(name: str, wanted: list[tuple[str, int, Any]]) -> None:
    read, sound = FORMATS[name]
    data = changed(sound, wanted)
    best_s = SLOWEST_S
    for _ in range(3):
        began = time.thread_time()
        refusal(read, data)
        best_s = min(best_s, time.thread_time() - began)
        if best_s < SLOWEST_S:
            break
    assert best_s < SLOWEST_S


@pytest.mark.parametrize("name", FORMATS)
def test_what_nobody_changed_is_read_and_each_piece_in_its_midst_is_read_or_refused(name: str) -> None:
    read, sound = FORMATS[name]
    assert refusal(read, sound) is None
    found = {refusal(read, sound[:at] + piece + sound[at:]) for piece in PIECES for at in range(len(sound))}
    assert found - {None}
