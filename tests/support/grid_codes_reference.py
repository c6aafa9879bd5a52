"""Writes `docs/reference/grid-codes.md` from the data files: `python -m tests.support.grid_codes_reference > that page`."""

import sys
from collections.abc import Iterator

from pki import regions
from pki.regions import Certainty, ClaimsAsked, FunctionAsked, GridCode, MarketKnown

HEAD = """\
# Grid codes, country by country

Generated from `pki/gridcodes/*.toml`; a test compares this page with them.

What equipment must show before it may feed in, which functions the grid has a right to, and which services are sold. The
dimension CONFORMITY of the credential check reads these files: a country that is not here is `region-unknown`, and
nothing covers feeding in there until somebody has looked. What only charges needs none of this.

**This is no legal advice, and no grid code is reproduced.** Each line names the public document that it rests on; what was
not read in the document itself, or only in part, is marked *uncertain*. Look into the source before you rely on a line.

- *claims*: what a conformity claim must be (scheme, weakest first: {schemes}), and against which code.
- *mandatory*: a grid function. It acts in firmware wherever one feeds in; nobody requests it, nobody is paid. What it did
  is recorded as `embedded.acted`.
- *operator*: a grid function where the grid operator asks for it.
- *market*: a service that is sold, and the functions that a claim must name for it.
"""


def page() -> str:
    """The whole page."""
    schemes = ", ".join(one.name for one in regions.Scheme)
    lines = [HEAD.format(schemes=schemes)]
    for code in regions.grid_codes().values():
        lines += _country(code)
    return "\n".join(lines).rstrip() + "\n"


def _country(code: GridCode) -> Iterator[str]:
    yield f"## {code.name} (`{code.region}`)\n"
    yield f"Reviewed {code.reviewed}.\n"
    yield "| | what | says | sources |"
    yield "|---|---|---|---|"
    codes = ", ".join(code.claims.grid_codes) or "any code"
    yield f"| claims | {code.claims.weakest_scheme} or stronger; {codes} | {_said(code.claims)} |"
    for row in code.function:
        yield f"| {row.obligation.lower()} | {row.name} | {_said(row)} |"
    for sold in code.market:
        yield f"| market | {sold.service.value}: {', '.join(sold.functions)} | {_said(sold)} |"
    yield ""
    for source in code.source:
        yield f"- `{source.id}`: {source.title}. {source.publisher}, {source.date} ({source.address})."
    yield ""


def _said(row: ClaimsAsked | FunctionAsked | MarketKnown) -> str:
    mark = " *(uncertain)*" if row.certainty is Certainty.UNCERTAIN else ""
    return f"{row.says}{mark} | {', '.join(f'`{one}`' for one in row.sources)}"


if __name__ == "__main__":
    sys.stdout.write(page())
