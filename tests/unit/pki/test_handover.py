"""A key hands over to another one, and codes end: what both rest on, without a service."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from pki import handover, keys
from pki.roles import Purpose, Role
from pki.store.codes import CodeStore, CodeUnknown, Invitation


def test_a_handover_is_signed_by_every_kind_of_key_that_a_leaf_may_have() -> None:
    said = handover.message("ab" * 32, 7, "cd" * 32)
    for key in (keys.generate(), ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()):
        public = key.public_key()
        proof = handover.prove(key, said)
        handover.require_proven(public, said, proof)
        for other in (handover.message("ab" * 32, 8, "cd" * 32), handover.message("ab" * 32, 7, "ce" * 32)):
            with pytest.raises(handover.HandoverUnproven):
                handover.require_proven(public, other, proof)


def test_a_claim_stands_until_its_code_is_withdrawn() -> None:
    codes = CodeStore()
    code = codes.invite(Invitation(role=Role.FO, party_id="FI-X", purposes=(Purpose.TLS_CLIENT,)), expires_at_ms=10)
    claim = codes.claim(code, Purpose.TLS_CLIENT, "ab" * 32, 1)
    assert codes.stands(claim)
    assert [one.id for one in codes.still_open(1)] == [claim.id]
    assert codes.still_open(10) == []
    assert codes.withdraw_of(Role.CSO, "FI-X", None) == 0
    assert codes.withdraw_of(Role.FO, "FI-X", None) == 1
    assert not codes.stands(claim)
    codes.close()


def test_a_code_that_is_not_there_cannot_be_withdrawn() -> None:
    codes = CodeStore()
    with pytest.raises(CodeUnknown):
        codes.withdraw("nobody")
    codes.close()
