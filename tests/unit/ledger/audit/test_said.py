"""What many statements say, read in one go, is what each of them says."""

import msgspec
import pytest

from ledger.audit import said
from ledger.records import jws

_READABLE = [
    jws.encode_base64url(
        b'{"actor_seq":%d,"aud":"log","event":{"note":"%s"},"iss":"P","jti":"%d","stream":"a/b","type":"t","v":1}'
        % (number, "\u00ff~>?".encode() * number, number)
    )
    for number in range(9)
]


def test_claims_of_many_payloads_are_those_of_each_at_every_length_and_in_both_alphabets() -> None:
    assert {len(one) % 4 for one in _READABLE} == {0, 2, 3}
    assert any("_" in one or "-" in one for one in _READABLE)

    found = said.all_claims(_READABLE)

    assert found == [said.claims(said.decode_part(one)) for one in _READABLE]


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "A",
        _READABLE[0] + "A",
        _READABLE[0] + '","' + _READABLE[1],
        "\\u0041" + _READABLE[0][1:],
        _READABLE[0][:-4] + "\\",
        " " + _READABLE[0],
        _READABLE[0] + "\n",
        "\u00e4" + _READABLE[0][1:],
        jws.encode_base64url(b"{}"),
        jws.encode_base64url(b'{"aud":"log"'),
    ],
)
def test_a_payload_that_is_none_is_not_read_among_others(payload: str) -> None:
    with pytest.raises((ValueError, msgspec.MsgspecError)):
        said.all_claims([_READABLE[2], payload, _READABLE[3]])


def test_a_payload_that_is_two_does_not_make_up_for_one_that_is_none() -> None:
    two = jws.encode_base64url(said.decode_part(_READABLE[0]) * 2)
    halves = [jws.encode_base64url(b'{"aud":'), jws.encode_base64url(b'"log"}')]

    with pytest.raises((ValueError, msgspec.MsgspecError)):
        said.all_claims([two, *halves])
    with pytest.raises((ValueError, msgspec.MsgspecError)):
        said.all_claims([f'{_READABLE[0]}","{_READABLE[1]}', _READABLE[2] + "\\", _READABLE[3]])
