"""`flexledger renew`: a party's next credentials, over its own connection, before the ones that it has end."""

import base64
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from api.cli.enroll import EST, certificates_in, key_of_attempt
from api.cli.pki_offline import DONE, answered, ders_in, save_chain, say
from api.cli.words import utc
from api.client import party as parties
from api.client.errors import AnswerMalformed
from api.client.http import Request, Transport
from api.client.party import KeyPair, PartyFile
from pki import handover, keys, path
from pki.roles import Purpose


@dataclass(frozen=True, slots=True)
class _Held:
    """What a party has for one purpose: the leaf, who issued it, and the key."""

    purpose: Purpose
    leaf: x509.Certificate
    issuer: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def of(cls, purpose: Purpose, pair: KeyPair) -> "_Held":
        chain = [x509.load_der_x509_certificate(der) for der in ders_in(pair.certificate)]
        if len(chain) < 2:
            raise parties.PartyFileUnfit("the certificate comes without its issuer", file=pair.certificate.name)
        return cls(purpose, chain[0], chain[1], keys.load_private(pair.key, None))


def run(file: Path, *, json: bool) -> int:
    """Exit code 0 when `file` names new credentials, 2 when it still names the old ones.

    The new keys are made first and stay: who runs it again asks with the same. Old files are left where they are, for
    what they are good for until their end.
    """
    return answered(lambda: _renew(file, json), json=json)


def _renew(file: Path, json: bool) -> int:
    party = parties.load(file)
    folder = file.resolve().parent
    os.umask(0o077)
    # All over the connection that stands; its own credential comes last.
    held = [] if party.signing is None else [_Held.of(Purpose.SIGNING, party.signing)]
    held.append(_Held.of(Purpose.TLS_CLIENT, party.tls))
    fresh: dict[Purpose, x509.Certificate] = {}
    with Transport(party.service, ca=party.ca, cert=party.tls.certificate, key=party.tls.key) as transport:
        authorities = certificates_in(transport.request(Request("GET", f"{EST}/cacerts")).body)
        for one in held:
            fresh[one.purpose] = _asked(transport, one, key_of_attempt(_pending(folder, one.purpose)))
    pairs = {one.purpose: _kept(folder, one.purpose, fresh[one.purpose], authorities) for one in held}
    _point(file, party, pairs)
    ends = {str(purpose): path.not_after_ms(leaf) for purpose, leaf in fresh.items()}
    lines = [f"  {name.lower()} until {utc(at_ms)}" for name, at_ms in ends.items()]
    text = "\n".join([f"renewed {party.role} {party.party}: {file.name} names the new credentials", *lines])
    say({"party": party.party, "not_after_ms": ends}, text, json=json)
    return DONE


def _pending(folder: Path, purpose: Purpose) -> Path:
    """Where the next key waits for its certificate."""
    return folder / f"{purpose.lower()}.next.key.pem"


def _asked(transport: Transport, held: _Held, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """The next certificate of the purpose, for `key`; raises what the service answered, or `AnswerMalformed`."""
    request = x509.CertificateSigningRequestBuilder().subject_name(held.leaf.subject).sign(key, hashes.SHA256())
    issuer = keys.spki_sha256(keys.require_authority_key(held.issuer.public_key()))
    said = handover.message(issuer, held.leaf.serial_number, keys.spki_sha256(key.public_key()))
    headers = {
        "content-type": "application/pkcs10",
        handover.HEADER: base64.b64encode(handover.prove(held.key, said)).decode(),
    }
    label = held.purpose.lower().replace("_", "-")
    body = base64.encodebytes(request.public_bytes(Encoding.DER))
    answer = transport.request(Request("POST", f"{EST}/{label}/simplereenroll", body, headers, idempotent=True))
    found = certificates_in(answer.body)
    is_ours = len(found) == 1 and found[0].public_key() == key.public_key() and found[0].subject == held.leaf.subject
    if not is_ours:
        raise AnswerMalformed("the answer is not the certificate that was asked for", expected="this key and subject")
    return found[0]


def _kept(folder: Path, purpose: Purpose, leaf: x509.Certificate, authorities: list[x509.Certificate]) -> KeyPair:
    """Key and certificate under a name that no earlier ones have, relative to `folder`."""
    name = f"{purpose.lower()}-{leaf.serial_number:040x}"
    pair = KeyPair(certificate=Path(f"{name}.crt.pem"), key=Path(f"{name}.key.pem"))
    save_chain(folder / pair.certificate, leaf, *(one for one in authorities if one.subject == leaf.issuer))
    _pending(folder, purpose).rename(folder / pair.key)
    return pair


def _point(file: Path, party: PartyFile, pairs: dict[Purpose, KeyPair]) -> None:
    """`file` names the new credentials from one moment to the next: whoever reads it meets the old ones or the new."""
    folder = file.resolve().parent
    ca = party.ca.relative_to(folder) if party.ca.is_relative_to(folder) else party.ca
    beside = file.with_name(f"{file.name}.part")
    parties.save(
        beside,
        msgspec.structs.replace(party, ca=ca, tls=pairs[Purpose.TLS_CLIENT], signing=pairs.get(Purpose.SIGNING)),
    )
    beside.replace(file)
