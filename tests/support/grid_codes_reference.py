"""Writes `docs/reference/grid-codes.md` from the data files: `python -m tests.support.grid_codes_reference > that page`."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence

from pki import regions
from pki.asn1.claims import Scheme
from pki.gridcode import ClaimsAsked, DutyKnown, FunctionAsked, GridCode, MarketKnown, Read, Status

HEAD = """\
# Grid codes, country by country

Generated from `pki/gridcodes/*.toml`; a test compares this page with them.

What equipment must show before it may feed in, which functions the grid has a right to, and which services are sold. The
dimension CONFORMITY of the credential check reads these files: a country that is not here is `region-unknown`, and
nothing covers feeding in there until somebody has looked. What only charges needs none of this.

**This is no legal advice, and no grid code is reproduced.** Each line was reviewed, and names what it rests on by clause, and
how that was read. Everything was read in stored copies of public documents, of which the newest may be missing; standards that
are sold were not read. Look into the source before you rely on a line.

- CONFIRMED: what was read says it. UNCERTAIN: it was not read, or not far enough; the line says what would settle it.
- *text*: the provision itself was read. *part*: in part, its heading, or another provision of the same text that cites it.
  *page*: a page or form by its publisher, or by an operator who applies it. *secondary*: somebody else's account.
  *unread*: named, and not read.

What UNCERTAIN means for the check: only the line **claims** can make an EVSE pass. Where that line is UNCERTAIN, a claim that
covers everything else is `region-uncertain` and the dimension is INDETERMINATE, which is never PASS. A line **market** can only
ask for more functions, certain or not. The lines **mandatory**, **operator** and **duty** are told to readers and checked nowhere.

- *claims*: what a conformity claim must be (scheme, weakest first: {schemes}), and against which code or by which standard. The
  names of schemes are ours: the file says which of them comes nearest to the paper that is asked there.
- *mandatory*: a grid function. It acts in firmware wherever one feeds in; nobody requests it, nobody is paid. What it did
  is recorded as `embedded.acted`.
- *operator*: a grid function where the grid operator asks for it.
- *market*: a service that is sold, and the functions that a claim must name for it.
- *duty*: what somebody must do, or equipment must have, beside a claim.
"""
_COUNTS = "| country | reviewed | lines | CONFIRMED | by text | by part | by page | by secondary | UNCERTAIN |"


def page() -> str:
    """The whole page."""
    lines = [HEAD.format(schemes=", ".join(one.name for one in Scheme))]
    lines += _summary()
    for code in regions.grid_codes().values():
        lines += _country(code)
    return "\n".join(lines).rstrip() + "\n"


def _summary() -> Iterator[str]:
    yield _COUNTS
    yield "|---|---|---|---|---|---|---|---|---|"
    total: Counter[str] = Counter()
    for code in regions.grid_codes().values():
        counts = _counts(code)
        total += counts
        yield f"| {code.name} | {code.reviewed_on} | {_row(counts)} |"
    yield f"| all | | {_row(total)} |"
    yield ""
    yield "A confirmed line is counted under what was read best."
    yield ""


def _counts(code: GridCode) -> Counter[str]:
    counts: Counter[str] = Counter(line.status.value for line in code.lines)
    counts.update(line.best_read.value for line in code.lines if line.status is Status.CONFIRMED)
    return counts


def _row(counts: Counter[str]) -> str:
    confirmed, uncertain = counts[Status.CONFIRMED], counts[Status.UNCERTAIN]
    by = [counts[read] for read in (Read.TEXT, Read.PART, Read.PAGE, Read.SECONDARY)]
    return " | ".join(str(one) for one in (confirmed + uncertain, confirmed, *by, uncertain))


def _country(code: GridCode) -> Iterator[str]:
    yield f"## {code.name} (`{code.region}`)\n"
    yield f"Reviewed on {code.reviewed_on}. {code.reviewed}\n"
    yield "| | what | says | status | rests on |"
    yield "|---|---|---|---|---|"
    named = ", ".join((*code.claims.grid_codes, *code.claims.standards))
    yield f"| claims | {code.claims.weakest_scheme} or stronger; {named} | {_said(code.claims)} |"
    for row in code.function:
        yield f"| {row.obligation.lower()} | {row.name} | {_said(row)} |"
    for sold in code.market:
        yield f"| market | {sold.service.value}: {', '.join(sold.functions)} | {_said(sold)} |"
    for duty in code.duty:
        yield f"| duty | {duty.name} | {_said(duty)} |"
    yield ""
    yield from _points("Open, beside the uncertain lines", code.open_points)
    yield from _points("Struck out by the review", [f"*{one.said}* {one.why}" for one in code.removed])
    yield "Sources:\n"
    for source in code.source:
        yield f"- `{source.id}`: {source.title}. {source.publisher}, {source.date} ({source.address})."
    yield ""


def _points(head: str, points: Sequence[str]) -> Iterator[str]:
    if not points:
        return
    yield f"{head}:\n"
    yield from (f"- {one}" for one in points)
    yield ""


def _said(line: ClaimsAsked | FunctionAsked | MarketKnown | DutyKnown) -> str:
    settled = "" if line.settled_by is None else f". Settled by: {line.settled_by}"
    cites = "; ".join(f"`{one.source}`, {one.clause} ({one.read.lower()})" for one in line.cites)
    return f"{line.says} | {line.status}{settled} | {cites}"


if __name__ == "__main__":
    sys.stdout.write(page())
