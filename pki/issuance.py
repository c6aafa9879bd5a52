"""One way to an issued certificate, for every kind of it, and the repair of what a crash left half done.

    planned in the store -> intent in the journal -> signed once, checked -> stored -> issued in the journal -> complete

Wherever it is interrupted, the store knows the intent, so `gaps` shows it and `repair` settles it: what is stored is
recorded; what may have been signed and is not stored was given to nobody, and its serial number is revoked.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pki.errors import PkiError, Refused
from pki.journal import Journal
from pki.revocation import revoke
from pki.store.records import CertificateStore, GapKind, Intent, Issued, KeyUse, Reason, Revocation

CLOCK_TOLERANCE_MS = 60_000
"""How far back the clock may step between two issuances: requests come in by many ways and overtake each other."""
PATIENCE_MS = 300_000
"""An issuance that is under way for so long is taken for interrupted."""
MAX_ORDER_ID = 128


class OrderTaken(Refused):
    """The order was given before, for another key, party or profile."""

    code = "pki/order-taken"
    title = "Order given before for something else"


class BadOrderId(Refused):
    """An order id is 1 to 128 printable ASCII characters."""

    code = "pki/bad-order-id"
    title = "Order id not allowed"


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair settled: certificates now recorded, and serial numbers revoked as a precaution."""

    recorded: tuple[Issued, ...]
    revoked: tuple[Revocation, ...]


def carry_out(
    store: CertificateStore,
    journal: Journal,
    intent: Intent,
    *,
    sign: Callable[[], Issued],
    order_id: str | None = None,
    clock_tolerance_ms: int | None = None,
    admit: Callable[[Sequence[KeyUse]], None] | None = None,
) -> Issued:
    """What `sign` made, stored and recorded; `sign` is called once, after the intent is in store and journal.

    Raises what `CertificateStore.plan` raises, and then nothing was begun; what the journal, `sign` or
    `CertificateStore.finish` raises, and then the intent stays a gap, nobody has the certificate, and the order may be
    given again. If only the last entry fails the certificate is stored, and the same order gets it.
    """
    if order_id is not None and not (
        order_id.isascii() and order_id.isprintable() and 0 < len(order_id) <= MAX_ORDER_ID
    ):
        raise BadOrderId("not an order id", expected=f"1 to {MAX_ORDER_ID} printable ASCII characters")
    store.plan(intent, order_id=order_id, clock_tolerance_ms=clock_tolerance_ms, admit=admit)
    try:
        journal.intent(intent)
        issued = sign()
        store.finish(issued)
    except Exception:
        if order_id is not None:
            with suppress(PkiError):  # the first error says more; the repair frees the order too
                store.release(intent)
        raise
    journal.issued(issued)
    store.recorded(issued.issuer_key_sha256, issued.serial)
    return issued


def repeated(store: CertificateStore, journal: Journal, order_id: str, same: Callable[[Issued], bool]) -> Issued | None:
    """The certificate that was issued for `order_id`, recorded if it was not; None for a new order.

    Raises OrderTaken unless `same` says it is what is asked for now, `OrderUnderWay` if it is not there yet.
    """
    held = store.order(order_id)
    if held is None:
        return None
    if not same(held):
        raise OrderTaken("the order was given before, for something else")
    name = (held.issuer_key_sha256, held.serial)
    if any((gap.intent.issuer_key_sha256, gap.intent.serial) == name for gap in store.gaps()):
        _record(store, journal, held)
    return held


def repair(
    store: CertificateStore,
    journal: Journal,
    *,
    now_ms: int,
    patience_ms: int | None = PATIENCE_MS,
    spki_sha256: str | None = None,
) -> Repaired:
    """Settles the gaps that are older than `patience_ms`, all of them for None, and says how; as often as you like.

    With `spki_sha256` only those of this key are looked at.

    An issuance that is still under way and taken for interrupted ends in `IntentWithdrawn`: its certificate is then
    revoked, and was given to nobody. Raises what the journal and the store raise; what was settled until then stays so.
    """
    recorded: list[Issued] = []
    revoked: list[Revocation] = []
    for gap in store.gaps(None if patience_ms is None else now_ms - patience_ms):
        intent = gap.intent
        if spki_sha256 not in (None, intent.spki_sha256):
            continue
        if gap.kind is GapKind.UNRECORDED:
            held = store.get(intent.issuer_key_sha256, intent.serial)
            _record(store, journal, held)
            recorded.append(held)
        elif store.withdraw(intent):
            # The crash may have come before the journal heard of the intent; it knows its own entries.
            journal.intent(intent)
            # SUPERSEDED: the request was good, and may come again with the same key. From the intent on: nobody was
            # ever given it, and a repair that is done again says the very same.
            revocation = Revocation(intent.issuer_key_sha256, intent.serial, intent.at_ms, Reason.SUPERSEDED)
            revoked.append(revoke(store, journal, revocation))
    return Repaired(tuple(recorded), tuple(revoked))


def _record(store: CertificateStore, journal: Journal, issued: Issued) -> None:
    journal.issued(issued)
    store.recorded(issued.issuer_key_sha256, issued.serial)
