"""Lists of what is on record: one description each, from which the page, its filters and its links are made."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Final
from urllib.parse import urlencode

from api.ui.layout import Page, Place, text
from api.verification import markup


@dataclass(frozen=True, slots=True)
class Listing:
    """One list of the service, and how its rows are shown."""

    title: str
    path: str
    member: str
    name: str
    """The member that names a row, and leads to its page."""
    columns: tuple[str, ...]
    filters: tuple[str, ...] = ()
    paged_by: str = "after"


LISTS: Final[Mapping[str, Listing]] = {
    "requests": Listing(
        "Requests",
        "/v1/requests",
        "requests",
        "fsr_id",
        ("fo", "site_id", "service", "status", "start_at_ms", "end_at_ms"),
        ("status", "site_id"),
    ),
    "contracts": Listing(
        "Contracts",
        "/v1/contracts",
        "contracts",
        "fsc_id",
        ("kind", "fo", "counterparty", "site_id", "status", "in_force"),
        ("status", "site_id"),
    ),
    "sites": Listing(
        "Sites",
        "/v1/sites",
        "sites",
        "site_id",
        ("cso", "region", "congestion_point", "version", "import_limit_w", "export_limit_w"),
    ),
    "checks": Listing(
        "Credential checks",
        "/v1/checks",
        "checks",
        "check_id",
        ("fsr_id", "purpose", "service", "overall", "as_of_ms", "valid_until_ms"),
    ),
    "claims": Listing(
        "Conformity claims",
        "/v1/claims",
        "claims",
        "claim_id",
        ("kind", "site_id", "issuer", "standard", "not_after_ms", "is_withdrawn"),
    ),
    "credentials": Listing(
        "Credentials",
        "/v1/credentials",
        "credentials",
        "name",
        ("role", "purpose", "party", "not_before_ms", "not_after_ms", "entry", "revoked_at_ms", "reason"),
        ("party", "role", "revoked"),
    ),
    "streams": Listing(
        "Streams", "/v1/streams", "streams", "stream", ("entries", "is_closed", "last_index"), ("prefix",)
    ),
    "disclosures": Listing(
        "Exports that left the house",
        "/v1/disclosures",
        "disclosures",
        "index",
        ("type", "rec_ms", "party", "event"),
        ("recipient",),
        paged_by="before",
    ),
}
MAX_NAME: Final = 44
ENTRY_COLUMNS: Final = frozenset({"entry", "last_index"})
"""Members that name an entry of the log."""


def page(listing: Listing, answer: Mapping[str, Any], place: Place, asked: Mapping[str, str]) -> Page:
    """The list as the service gave it, a page of it at a time."""
    return Page(listing.title, tuple(_body(listing, answer, place, asked)))


def _body(listing: Listing, answer: Mapping[str, Any], place: Place, asked: Mapping[str, str]) -> Iterator[str]:
    if listing.filters:
        yield _filters(listing, place, asked)
    rows = answer.get(listing.member, [])
    yield markup.table((listing.name, *listing.columns), [_row(listing, row, place) for row in rows])
    if not rows:
        yield "<p>There is nothing here that concerns you.</p>"
    following = answer.get("next")
    if following is not None:
        query = urlencode({**_kept(listing, asked), listing.paged_by: str(following)})
        yield f"<p>{place.to(place.segments[0], text='Next page', query=query)}</p>"
    yield f"<p>As of a tree of {escape(str(answer.get('tree_size', '?')))} entries.</p>"


def _row(listing: Listing, row: Mapping[str, Any], place: Place) -> tuple[str, ...]:
    return _named(listing, row.get(listing.name), place), *(
        _cell(name, row.get(name), place) for name in listing.columns
    )


def _named(listing: Listing, name: Any, place: Place) -> str:
    if listing.name == "index":
        return f"<td>{place.to('entries', str(name), text=name)}</td>"
    segments = str(name).split("/", 1) if listing.name == "stream" else [str(name)]
    return f"<td>{place.to(place.segments[0], *segments, text=_short(str(name)))}</td>"


def _short(name: str) -> str:
    """A name of two digests would push everything else off the screen; its own page has it whole."""
    if len(name) <= MAX_NAME:
        return name
    return f"{name[:12]}\N{HORIZONTAL ELLIPSIS}{name[-12:]}"


def _cell(name: str, value: Any, place: Place) -> str:
    if value is None:
        return markup.cell("")
    if name == "event":
        return f"<td><code>{escape(', '.join(f'{key} {one}' for key, one in sorted(value.items())))}</code></td>"
    if name in ENTRY_COLUMNS:
        return f"<td>{place.to('entries', str(value), text=value)}</td>"
    if name == "fsr_id":
        return f"<td>{place.to('requests', str(value), text=value)}</td>"
    if name.endswith("_ms"):
        return markup.cell(markup.time(int(value)))
    return f"<td>{text(value)}</td>" if isinstance(value, bool) else markup.cell(value)


def _filters(listing: Listing, place: Place, asked: Mapping[str, str]) -> str:
    fields = "".join(
        f'<label>{escape(name)} <input name="{escape(name)}" value="{escape(asked.get(name, ""))}" size="16"></label>'
        for name in listing.filters
    )
    return f'<form action="{place.href(place.segments[0])}" method="get">{fields}<button>Filter</button></form>'


def _kept(listing: Listing, asked: Mapping[str, str]) -> dict[str, str]:
    return {name: asked[name] for name in listing.filters if asked.get(name)}
