"""The receipt of one entry in the format that the asker reads."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial

import msgspec
from cryptography import x509

from api.flows import bundle, bundle_stamps
from api.flows.service import Service
from api.flows.standing import SEES_PERSONS, concerns_stream
from api.principals import Principal
from api.verification import bundle_format, cose_receipt, json_receipt
from api.verification.bundle_format import Anchors, Bundle, BundleEntry
from api.verification.errors import SignerUnknown
from api.verification.json_receipt import ReceiptVerification
from ledger.privacy.opened import State
from ledger.records import entry as entries
from ledger.records import record, statement
from ledger.tlog import checkpoint, note
from pki import trust
from pki.roles import Role
from pki.trust import encoded

SEES_EVIDENCE = frozenset({Role.FO, Role.CSO, Role.AUD})
"""Who gets a request's evidence; the same as for a bundle."""


async def cose(service: Service, index: int) -> bytes:
    """The COSE receipt (RFC 9942) of an entry, up to a published checkpoint that covers it."""
    signed = await service.witnessing.covering(index)
    head = checkpoint.parse(note.parse_text(signed))
    path = service.reader.inclusion(index, head.size)
    return cose_receipt.encode(
        head, index, path, verifier=service.publisher.root_key, sign=partial(service.publisher.sign_root, head)
    )


async def as_json(service: Service, index: int, principal: Principal) -> bytes:
    """The JSON receipt of an entry: with the signer's chain, what was known of it when it was recorded, and stamps.

    What stands in the vault is disclosed to whom the stream concerns, and what is about a person to who may see that.
    """
    desk = service.desk
    signed = await service.witnessing.covering(index)
    data = service.reader.entry(index)
    witnesses = () if service.witnessing.policy is None else service.witnessing.policy.verifiers
    known, (vkey, *vkeys) = bundle.known_lines(signed, service.engines.log_keys.vkeys(), witnesses)
    size = checkpoint.parse(note.parse_text(known)).size
    roots = tuple(map(encoded, desk.directory.anchors.certificates))
    whole = bundle_format.in_order(
        Bundle(
            format=bundle_format.FORMAT,
            origin=desk.origin,
            fsr_id="receipt",
            anchors=Anchors(vkey=vkey, vkeys=tuple(vkeys), roots=roots),
            checkpoint=known.decode(),
            entries=(
                BundleEntry(
                    index=index,
                    entry=msgspec.Raw(data),
                    proof=tuple(one.hex() for one in service.reader.inclusion(index, size)),
                ),
            ),
            disclosures=tuple(_disclosed(service, data, principal)),
            erasures=(),
            certificates=tuple(_chain(service, data)),
            status=service.directory.status.ders(),
            attachments=(),
        )
    )
    seen = ReceiptVerification(whole, None)
    seen.run()
    if seen.directory is not None:
        certificates, crls = seen.directory.unused()
        kept = [one for at, one in enumerate(whole.certificates) if at not in certificates]
        whole = msgspec.structs.replace(
            whole,
            anchors=msgspec.structs.replace(whole.anchors, roots=tuple(_above(kept, whole.anchors.roots))),
            certificates=tuple(one for at, one in enumerate(whole.certificates) if at not in certificates),
            status=tuple(one for at, one in enumerate(whole.status) if at not in crls),
        )
    stamped = bundle_stamps.stamped(whole, service.stamps, service.reader, service.engines)
    return json_receipt.encode(json_receipt.of_bundle(stamped))


def _above(certificates: Iterable[bytes], roots: Sequence[bytes]) -> Sequence[bytes]:
    """The roots that issued any of these: whoever verifies has to trust them, and no other."""
    issuers = [x509.load_der_x509_certificate(der) for der in certificates]
    found = [root for root in roots if trust.issued_any(x509.load_der_x509_certificate(root), issuers)]
    return found or roots


def _chain(service: Service, data: bytes) -> Iterator[bytes]:
    x5t = statement.parse_statement(entries.decode(data).stmt).header.x5t
    yield from service.directory.issuers()
    der = service.engines.store.certificate(x5t)
    with suppress(SignerUnknown):
        yield service.directory.certificate(x5t) if der is None else der


def _disclosed(service: Service, data: bytes, principal: Principal) -> Iterator[str]:
    made = entries.decode(data)
    is_concerned = concerns_stream(service.desk, service.memory, made.stream, principal)
    if principal.role not in SEES_EVIDENCE or not is_concerned:
        return
    digests = record.digests(statement.parse_statement(made.stmt).claims.event)
    for opened in service.engines.vault.open_many(digests).values():
        is_permitted = principal.role in SEES_PERSONS or opened.uid is None
        if opened.state is State.TEXT and opened.text is not None and is_permitted:
            yield opened.text
