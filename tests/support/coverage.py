"""Writes `docs/standard/coverage.md` from `topics.py` and the code's registries; a name that is not there is refused."""

import ast
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

from ledger.records import registry
from tests.support import rules_reference
from tests.support.topics import OUTSIDE, TOPICS, Topic
from tests.support.vectors import REPOSITORY

HEAD: Final = """\
# Coverage

Generated from `tests/support/topics.py` and the code's own registries; a test compares them, and fails for an empty cell and for
a record, rule, route or test that is not there.

IEC 63382-1:2025 is public in its abstract only; the clauses are not. Everything here is *modelled on the public abstract*.
Field names, records, rules and routes are ours. Nothing here is conformance, and nothing may be called so.
"Proof of work" is proof of flexibility delivered; it is not mining.

[Records](../reference/records.md), [rules](../reference/rules.md) and [routes](../reference/api.md) are listed with what each means.
The demo day plays most of it, the [scenarios](../scenarios/index.md) the applications that the abstract names.
"""

OTHERS: Final = """\
## What belongs to no topic of the abstract

The log keeps itself, and the evidence: these records and rules serve every topic above.

| kind | names |
|---|---|
"""


class Stale(Exception):
    """A topic names what is not there, or names nothing."""


def page(routes: Iterable[str]) -> str:
    """The whole page; `routes` are those of the application, as `POST /v1/requests`. Raises `Stale`."""
    require_there(TOPICS, routes)
    parts = [HEAD]
    for topic in TOPICS:
        parts += [
            f"## {topic.title[0].upper()}{topic.title[1:]}\n",
            f"{topic.says[0].upper()}{topic.says[1:]}.\n",
            "| | |",
            "|---|---|",
            f"| records | {_shown(topic.records)} |",
            f"| rules | {', '.join(topic.rules)} |",
            f"| routes | {_shown(topic.routes)} |",
            f"| tests | {', '.join(f'`{name}` (`{tests()[name]}`)' for name in topic.tests)} |",
        ]
        if topic.lacks:
            parts.append(f"| not yet | {topic.lacks} |")
        parts.append("")
    parts += ["## Outside\n", "| topic | why |", "|---|---|"]
    parts += [f"| {one.title} | {one.why} |" for one in OUTSIDE]
    parts.append("")
    told = {name for topic in TOPICS for name in topic.records}
    ruled = {name for topic in TOPICS for name in topic.rules}
    parts.append(OTHERS.rstrip())
    parts.append(f"| records | {_shown(sorted(records() - told)) or 'none'} |")
    parts.append(f"| rules | {', '.join(sorted(rules() - ruled)) or 'none'} |")
    return "\n".join(parts)


def require_there(topics: Iterable[Topic], routes: Iterable[str]) -> None:
    """Every cell of every topic names something, and everything that it names is there. Raises `Stale`."""
    known: Mapping[str, Iterable[str]] = {
        "records": records(),
        "rules": rules(),
        "routes": set(routes),
        "tests": tests().keys(),
    }
    for topic in topics:
        for cell, names in known.items():
            said = getattr(topic, cell)
            if not said:
                raise Stale(f"{topic.title}: no {cell}")
            for name in said:
                if name not in names:
                    raise Stale(f"{topic.title}: {cell} has no {name}")


def records() -> set[str]:
    """Every registered record type."""
    return {kind.TYPE for kind in registry.kinds()}


def rules() -> set[str]:
    """Every rule, by number."""
    return {rule.number for rule in rules_reference.rules()}


@cache
def tests() -> Mapping[str, str]:
    """The file of every test function, by its name; a name that two files share is in neither."""
    found: dict[str, list[str]] = {}
    for path in sorted((REPOSITORY / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found.setdefault(node.name, []).append(str(path.relative_to(REPOSITORY)))
    return {name: files[0] for name, files in found.items() if len(files) == 1}


def _shown(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
