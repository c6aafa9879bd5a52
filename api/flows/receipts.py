"""The receipt of one entry in the format that the asker reads."""

from functools import partial

from api.flows.service import Service
from api.verification import cose_receipt
from ledger.tlog import checkpoint, note


async def cose(service: Service, index: int) -> bytes:
    """The COSE receipt (RFC 9942) of an entry, up to a published checkpoint that covers it."""
    signed = await service.witnessing.covering(index)
    head = checkpoint.parse(note.parse_text(signed))
    path = service.reader.inclusion(index, head.size)
    return cose_receipt.encode(
        head, index, path, verifier=service.publisher.root_key, sign=partial(service.publisher.sign_root, head)
    )
