"""What every page has around it: head, menu, and the headers that let it load and run nothing.

Links are relative to the page, so that the secret in its address stands in no page that somebody keeps.
"""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from api.verification import markup

MENU: Final = (
    ("", "Log"),
    ("requests", "Requests"),
    ("contracts", "Contracts"),
    ("sites", "Sites"),
    ("checks", "Checks"),
    ("claims", "Claims"),
    ("credentials", "Credentials"),
    ("streams", "Streams"),
    ("disclosures", "Disclosures"),
)
STYLE: Final = (
    markup.STYLE
    + """nav{border-bottom:2px solid #1b1b1b;padding-bottom:.4rem;margin-bottom:1.4rem}
nav a{margin-right:1rem}a{color:#0b4f8a}nav a[aria-current]{color:#1b1b1b;font-weight:700;text-decoration:none}
form{margin:.8rem 0}label{margin-right:1rem}input,select,button{font:inherit}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:.2rem 0}
dt{color:#444}dd{margin:0;min-width:0}
pre{overflow-x:auto;background:#f5f5f5;padding:.6rem;font:.85em ui-monospace,monospace}
"""
)
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
)
HEADERS: Final = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Page:
    """What stands between head and end of one page; `body` is HTML that is escaped already, `title` is not."""

    title: str
    body: tuple[str, ...]
    status: int = HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page stands, and for whom it was made."""

    segments: tuple[str, ...]
    """The path below the secret, decoded."""
    reader: str
    """The party and role for which this process asks."""
    service: str
    origin: str

    @property
    def root(self) -> str:
        """What leads from this page to the first one; the last segment of a path is no folder."""
        return "../" * (len(self.segments) - 1) or "./"

    def to(self, *segments: str, text: object, query: str = "") -> str:
        """A link to a page; `text` and `segments` are escaped here."""
        return f'<a href="{self.href(*segments, query=query)}">{escape(str(text))}</a>'

    def href(self, *segments: str, query: str = "") -> str:
        """The value of an attribute that leads to a page."""
        path = "/".join(quote(segment, safe="") for segment in segments)
        return escape(self.root + path + (f"?{query}" if query else ""))


def render(page: Page, place: Place) -> bytes:
    """The whole document."""
    here = place.segments[0] if place.segments else ""
    menu = "".join(
        f'<a href="{place.href(*([name] if name else []))}"{" aria-current=page" if name == here else ""}>{text}</a>'
        for name, text in MENU
    )
    foot = (
        f"<p><small>Asked of {escape(place.service)} as {escape(place.reader)}, and verified on this machine where it "
        "says so. Everything else is the operator's word.</small></p>"
    )
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(page.title)} - {escape(place.origin)}</title>",
            f"<style>{STYLE}</style></head><body>",
            f"<nav>{menu}</nav>",
            f"<h1>{escape(page.title)}</h1>",
            *page.body,
            foot,
            "</body></html>\n",
        )
    ).encode()


def members(value: object) -> str:
    """A JSON value as HTML: objects as lists of their members, moments as UTC beside their numbers."""
    if isinstance(value, dict):
        inner = "".join(
            f"<dt>{escape(str(name))}</dt><dd>{_member(str(name), one)}</dd>" for name, one in value.items()
        )
        return f"<dl>{inner}</dl>" if inner else "none"
    if isinstance(value, list):
        return "".join(f"<div>{members(one)}</div>" for one in value) or "none"
    return text(value)


def _member(name: str, value: object) -> str:
    if name.endswith(("_at_ms", "_ms")) and isinstance(value, int) and value > YEAR_2000_MS:
        return f"{value} <small>({markup.time(value)} UTC)</small>"
    return members(value)


def text(value: object) -> str:
    """One value that is neither an object nor a list, escaped."""
    words = {None: "none", True: "yes", False: "no"}
    if value is None or isinstance(value, bool):
        return words[value]
    return f"<code>{escape(value)}</code>" if isinstance(value, str) else escape(str(value))


YEAR_2000_MS: Final = 946_684_800_000
"""A number of milliseconds above it is a moment, one below it a duration."""


def note(words: str) -> str:
    """A remark that must be seen; `words` are escaped here."""
    return f'<p class="note">{escape(words)}</p>'


def badge(word: str, kind: str) -> str:
    """A word in a frame; `kind` is its colour's class, which is never all that tells it."""
    return f'<span class="badge {escape(kind)}">{escape(word)}</span>'


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """A table of names and values; the values are HTML that is escaped already."""
    return markup.table(("", ""), [(markup.cell(name), f"<td>{value}</td>") for name, value in rows])
