"""Pieces of HTML that all pages are made of: every text that comes in is escaped, and nothing of it is loaded."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Final

from api.verification.report import Status

MAX_ROWS: Final = 400
"""Rows of one table; what is beyond is counted, and is in `flexledger verify --json`."""
PPM_PER_PERCENT: Final = 10_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SIGNS: Final = {
    Status.VERIFIED: "\N{CHECK MARK}",
    Status.REFUTED: "\N{BALLOT X}",
    Status.INDETERMINATE: "?",
    Status.ERASED: "\N{ERASE TO THE LEFT}",
    Status.UNDECIDED: "\N{EN DASH}",
}
"""Beside the word, so that no answer is told by its colour alone."""
STYLE: Final = """
:root{color-scheme:light}
body{font:15px/1.5 system-ui,sans-serif;color:#1b1b1b;background:#fff;max-width:1000px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0 0 .4rem}h2{font-size:1.2rem;margin:2.2rem 0 .6rem;border-bottom:1px solid #ccc}
h3{font-size:1rem;margin:1.4rem 0 .4rem}
table{border-collapse:collapse;width:100%;margin:.4rem 0 1rem}
th,td{text-align:left;vertical-align:top;padding:.25rem .6rem .25rem 0;border-bottom:1px solid #e4e4e4}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
td.s{white-space:nowrap}
th{font-weight:600;color:#444}code{font:.9em ui-monospace,monospace;overflow-wrap:anywhere}
.badge{display:inline-block;padding:.15rem .7rem;border:2px solid;border-radius:.3rem;font-weight:700}
.verified,.DELIVERED,.VERIFIED{color:#00573c}.refuted,.FAILED,.REFUTED{color:#a1290a}
.indeterminate,.unusable,.UNPROVABLE,.INDETERMINATE{color:#7a5200}.PARTIAL{color:#7a5200}
.INFORMATIVE,.UNDECIDED,.ERASED{color:#3d5a80}
.note{background:#fff6dd;border-left:4px solid #c79100;padding:.5rem .8rem;margin:.8rem 0}
svg{width:100%;height:auto;margin:.3rem 0}svg text{font-family:system-ui,sans-serif;fill:#1b1b1b}
.tick{font-size:12px}.axis,.key{font-size:13px}.mark{font-size:11px}
details{margin:.3rem 0}summary{cursor:pointer}
@media print{body{margin:0;max-width:none}details{display:block}section{break-inside:avoid}}
"""


def limited(head: Sequence[str], rows: Sequence[Iterable[str]]) -> str:
    """A table of the first `MAX_ROWS` rows of cells, and below it how many there are more."""
    more = len(rows) - MAX_ROWS
    shown = table(head, rows[:MAX_ROWS])
    return f"{shown}<p>and {more} more rows</p>" if more > 0 else shown


def table(head: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of rows of finished cells, under names of columns where there are any."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head) if any(head) else ""
    lines = "\n".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f"<table>{f'<thead><tr>{top}</tr></thead>' if top else ''}<tbody>\n{lines}\n</tbody></table>"


def row(*values: object) -> tuple[str, ...]:
    """A cell for each value."""
    return tuple(cell(value) for value in values)


def cell(value: object, kind: str = "") -> str:
    """A cell with the value's text; `kind` is a class of the style."""
    marked = f' class="{kind}"' if kind else ""
    return f"<td{marked}>{escape(str(value))}</td>"


def verdict(word: str) -> str:
    """A cell with a verdict, in its colour and its word."""
    return f'<td><strong class="{escape(word)}">{escape(word)}</strong></td>'


def percent(ppm: int) -> str:
    """Parts per million as per cent, with no more digits than it has."""
    whole, rest = divmod(ppm, PPM_PER_PERCENT)
    return f"{whole}.{rest:04d}".rstrip("0").removesuffix(".") + " %"


def wh(milliwh: int) -> str:
    """Milliwatt-hours as watt-hours."""
    return f"{milliwh // 1000}.{milliwh % 1000:03d}".rstrip("0").removesuffix(".")


def figure(name: str, value: int) -> str:
    """The value with what its name says of its unit; moments as UTC."""
    return time(value) if name.endswith("_at_ms") else str(value)


def time(at_ms: int) -> str:
    """A moment in UTC; a number that is none stays a number of milliseconds."""
    try:
        moment = _EPOCH + timedelta(milliseconds=at_ms)
    except OverflowError:
        return f"{at_ms} ms"
    text = f"{moment:%Y-%m-%d %H:%M:%S}"
    return f"{text}.{at_ms % 1000:03d}" if at_ms % 1000 else text
