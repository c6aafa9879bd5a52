"""Whether a station signed a sample body: with the key that the site's configuration binds, about this, and once."""

from collections.abc import Callable
from typing import Final

from ledger.delivery import station_root
from ledger.delivery.errors import StationRootForeign, StationRootReplayed
from ledger.records.requests import RequestIssued
from ledger.records.sites import Evse
from pki.credential import Credential

CLOCK_TOLERANCE_MS: Final = 60_000
"""How far ahead of the service's clock a station may say that it signs."""

Known = tuple[str, str]
"""Certificate and payload: the same words again, whatever message or signature brings them."""


def open_for(
    text: str,
    body: bytes,
    *,
    batch_id: str,
    evse: Evse,
    issued: RequestIssued,
    station: Credential,
    at_ms: int,
    before: Callable[[Known], str | None],
) -> Known:
    """By what the words are known again, now proven to be the station's about `body`, in the request's time.

    `station` is the credential of the EVSE's key, good at `at_ms`, when the body was recorded; `before` tells with
    which batch words were shown earlier. Raises `StationRootMalformed`, `StationRootSignature`, `StationRootForeign`,
    `StationRootReplayed`, `SamplesMalformed`.
    """
    if station.spki_sha256 != evse.key_spki_sha256 or station.station_id != evse.station_id:
        raise StationRootForeign("the credential is not the one that the site's configuration binds")
    found = station_root.open_root(text, station.public_key, station.x5t_s256)
    station_root.require_of(found.root, body, station_id=evse.station_id, evse_id=evse.connector)
    if not (found.root.from_ms < issued.end_at_ms and issued.start_at_ms <= found.root.to_ms):
        raise StationRootForeign("signed for the time of another request")
    if found.root.signed_at_ms > at_ms + CLOCK_TOLERANCE_MS:
        raise StationRootForeign("signed later than it was recorded")
    known = (found.x5t, found.payload_sha256)
    if before(known) not in (None, batch_id):
        raise StationRootReplayed("the same signed words were shown for another batch")
    return known
