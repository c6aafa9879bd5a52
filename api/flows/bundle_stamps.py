"""Which time stamps a bundle carries: the first over the request's beginning, and the first over all that is in it."""

from collections.abc import Sequence

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding

from api.engines import Engines
from api.flows.stamping import Stamp as Stamped
from api.flows.stamping import StampBook
from api.verification import bundle_format
from api.verification.bundle_format import Bundle, Stamp
from ledger.reader import Reader
from ledger.records import entry as entries
from ledger.tlog import checkpoint, note
from pki import timestamp
from pki.errors import PkiError


def stamped(bundle: Bundle, book: StampBook, reader: Reader, engines: Engines) -> Bundle:
    """The same bundle with its stamps; none where nobody stamped anything that covers an entry of it."""
    head = checkpoint.parse(note.parse_text(bundle.checkpoint.encode()))
    found, roots = list[Stamp](), set[bytes]()
    for one in _chosen(bundle, book, head.size):
        evidence = engines.store.evidence(one.token_sha256)
        signed = engines.store.checkpoint(one.size)
        if evidence is None or signed is None:
            continue
        try:
            anchor = timestamp.anchor_of(evidence[1], roots=engines.timestamp_roots)
        except PkiError:
            continue  # an authority that is trusted no longer
        roots.add(anchor.public_bytes(Encoding.DER))
        proof = reader.consistency(one.size, head.size)
        found.append(
            Stamp(
                checkpoint=signed.note.decode(),
                consistency=tuple(step.hex() for step in proof),
                token=evidence[1],
            )
        )
    anchors = msgspec.structs.replace(bundle.anchors, timestamp_roots=tuple(roots))
    return bundle_format.in_order(msgspec.structs.replace(bundle, anchors=anchors, timestamps=tuple(found)))


def _chosen(bundle: Bundle, book: StampBook, size: int) -> Sequence[Stamped]:
    """In order of size, each over an entry of the bundle that the one before does not cover."""
    indices = [one.index for one in bundle.entries]
    stream = f"fsr/{bundle.fsr_id}"
    own = [one.index for one in bundle.entries if entries.decode(bytes(one.entry)).stream == stream]
    last = next((one for one in reversed(book.all()) if min(indices) < one.size <= size), None)
    wanted = [book.covering(min(own or indices), below=size), book.covering(max(indices), below=size) or last]
    found: dict[int, Stamped] = {}
    for one in wanted:
        if one is not None and all(_newly(indices, one.size, before) for before in found):
            found[one.size] = one
    return list(found.values())


def _newly(indices: Sequence[int], size: int, before: int) -> bool:
    return any(before <= index < size for index in indices)
