"""Writes docs/reference/{errors,cli,api,credentials,metrics}.md from the code: `python -m tests.support.reference --write`.

Without `--write` nothing is written, and the exit code is 1 if a page differs from what the code says.
"""

import inspect
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Final, cast, get_args

import typer

from api import telemetry
from api.app import create_app
from api.cli.main import app as command_line
from api.flows.service import Service
from api.settings import Limits
from api.verification.report import EXIT_CODES
from api.web import problems, schema
from tests.support import (
    client_source,
    coverage,
    grid_codes_reference,
    records_reference,
    rules_reference,
    services_reference,
)
from tests.support.credentials_reference import credentials
from tests.support.findings_reference import findings
from tests.support.vectors import REPOSITORY

FOLDER: Final = REPOSITORY / "docs" / "reference"

ERRORS_HEAD: Final = """\
# Errors

Generated from the error classes; a test compares this page with them.

Every failure has a stable code, a message with what was expected and what was found, and typed fields for the place.
Over HTTP it is a problem document (RFC 9457): `type` is `{prefix}` followed by the code, and
`code`, `title`, `status`, `detail`, `expected`, `found`, `where` and `instance` are its members. The prefix never
resolves; nobody fetches it.

There are four kinds, because a caller can react in four ways:

| kind | what to do | usual status |
|---|---|---|
| Refused | correct what was sent; the same again is refused again | 400; 409 for a rule; others where said |
| Absent | ask for something else | 404 |
| Busy | try again after `Retry-After`; nothing was changed | 503 |
| Broken | tell the operator; a 500 shows the code and nothing else | 500 |

Errors that only the command line or a library raises have a status too; it says what a service would answer.
Findings of a bundle's verification use the same codes, or those of [the bundle's specification](../spec/bundle.md).
"""

METRICS_PAGE: Final = FOLDER / "metrics.md"
METRICS_TABLE: Final = "| metric | kind | labels | what it counts |\n|---|---|---|---|\n"

FAMILIES: Final = {
    "api": "The service, its clients and its execution",
    "ledger": "The log, records, evidence and privacy",
    "pki": "Credentials and conformity claims",
    "rules": "Rules: an authentic statement that the log does not admit",
    "verify": "Verification of bundles and logs",
}

CLI_HEAD: Final = """\
# Command line

Generated from the command `flexledger`; a test compares this page with it. `flexledger COMMAND --help` shows the same.

Commands that verify need the base install only, no network and no running service. With `--json` a command prints one
JSON document. Exit codes of `verify` and `audit`: {exits}. `demo` exits 0 if everything
held and 1 if something did not. Every command exits 0 only if it did what was asked.
"""

API_HEAD: Final = """\
# HTTP interface

Generated from the OpenAPI document of the service; a test compares this page with it. A running service shows the
document, with the schema of every answer, at `/openapi.json`.

- HTTPS, TLS 1.3 only. A party is who its client certificate says; without one, only the public resources answer.
- A resource that takes a statement takes a `Submission`: the signed statement, its disclosures, certificates and
  attachments. What is inside is described in [statement](../spec/statement.md) and [records](records.md). The path
  repeats the id in the statement.
- A write answers with `index`, leaf hash and tree size. The same statement again is answered 200 with the same entry;
  other words under the same statement id are refused. `Prefer: receipt` adds a proof up to a signed checkpoint.
- Every failure is a problem document; [errors](errors.md) lists the codes. What does not concern a party is answered
  as if it did not exist.
- HEAD is answered wherever GET is; OPTIONS everywhere.
- Lists come a page at a time and name the tree size for which they hold: `next` of one page is `after` (or `before`, where the
  newest comes first) of the next. `at_ms` asks what was in force at a past time.
"""

TITLES: Final = {
    "statements": "Resources that take a signed statement",
    "checks": "Credential checks",
    "contracts": "Contracts: reading",
    "sites": "Sites, stations and what was measured there",
    "requests": "Requests: reading and proving",
    "evidence": "Evidence",
    "credentials": "Credentials",
    "enrolment": "Enrolment",
    "privacy": "Privacy",
    "claims": "Conformity claims",
    "tokens": "Access tokens",
    "log": "The public log",
    "webhooks": "Webhooks",
    "status": "Revocation status",
    "health": "Health",
}


def errors() -> str:
    """docs/reference/errors.md: every leaf class."""
    parts = [ERRORS_HEAD.format(prefix=problems.TYPE_PREFIX)]
    classes = problems.error_classes()
    for family, title in FAMILIES.items():
        parts += [f"## {title}\n", "| code | title | status | meaning |", "|---|---|---|---|"]
        parts += [
            f"| `{kind.code}` | {kind.title} | {problems.status_of(kind)} | {_first_paragraph(kind)} |"
            for kind in classes
            if kind.code.partition("/")[0] == family
        ]
        parts.append("")
    return "\n".join(parts)


def command_reference() -> str:
    """docs/reference/cli.md: every command with its arguments and options."""
    exits = ", ".join(f"{number} {outcome.value.lower()}" for outcome, number in EXIT_CODES.items())
    parts = [CLI_HEAD.format(exits=exits)]
    for name, command in _commands("flexledger", typer.main.get_command(command_line)):
        usage = " ".join([name, *(_usage(one) for one in command.params)])
        parts += [f"## `{name}`\n", f"{inspect.cleandoc(command.help or '')}\n", f"    {usage}\n"]
        if command.params:
            parts += ["| argument or option | default | what it is |", "|---|---|---|"]
            parts += [_parameter(one) for one in command.params]
            parts.append("")
    return "\n".join(parts)


def api() -> str:
    """docs/reference/api.md: every route of the OpenAPI document."""
    document = openapi()
    rows: dict[str, list[str]] = {tag: [] for tag in TITLES}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for tag in operation["tags"]:
                rows[tag].append(_route(path, method, operation))
    parts = [API_HEAD]
    for tag, title in TITLES.items():
        parts += [f"## {title}\n", "| method and path | who | what |", "|---|---|---|", *rows[tag], ""]
    return "\n".join(parts)


def openapi() -> dict[str, Any]:
    """The document of the application; routes are known without an open service behind them."""
    closed = SimpleNamespace(settings=SimpleNamespace(origin="log.example", limits=Limits()))
    return schema.document(create_app(cast(Service, closed)).framework)


def metrics() -> str:
    """The page as it is, with its table written again: what stands around the table is for people."""
    before, _, rest = METRICS_PAGE.read_text(encoding="utf-8").partition(METRICS_TABLE)
    after = rest[rest.index("\n\n") :]
    rows = [
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.help} |"
        for one in telemetry.describe()
    ]
    return before + METRICS_TABLE + "\n".join(rows) + after


def covered() -> str:
    """docs/standard/coverage.md: every topic of the abstract, with what there is of it."""
    routes = {f"{method.upper()} {path}" for path, item in openapi()["paths"].items() for method in item}
    return coverage.page(routes)


PAGES: Final = {
    "../standard/coverage": covered,
    "errors": errors,
    "cli": command_reference,
    "api": api,
    "credentials": credentials,
    "findings": findings,
    "metrics": metrics,
    "records": records_reference.page,
    "rules": rules_reference.page,
    "services": services_reference.page,
    "grid-codes": grid_codes_reference.page,
    "client": client_source.page,
}


def _first_paragraph(kind: type) -> str:
    return " ".join(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].split())


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield name, command
        return
    for child, inner in children.items():
        yield from _commands(f"{name} {child}", inner)


def _kind(parameter: Any) -> str:
    return {"Path": "PATH", "int": "NUMBER", "str": "TEXT"}.get(_annotation(parameter), _annotation(parameter).upper())


def _annotation(parameter: Any) -> str:
    annotation = parameter.type_descriptor.annotation
    (inner,) = get_args(annotation) or (annotation,)  # of an option that may be given several times
    return str(getattr(inner, "__name__", inner))


def _usage(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        shown = str(parameter.name).upper()
    elif getattr(parameter, "is_flag", False):
        shown = parameter.opts[0]
    else:
        shown = f"{parameter.opts[0]} {_kind(parameter)}"
    return shown if parameter.required else f"[{shown}]"


def _parameter(parameter: Any) -> str:
    name = str(parameter.name).upper() if parameter.param_type_name == "argument" else parameter.opts[0]
    flag = getattr(parameter, "is_flag", False)
    default = "required" if parameter.required else "" if flag or not parameter.default else f"`{parameter.default}`"
    return f"| `{name}` | {default} | {parameter.help} |"


def _route(path: str, method: str, operation: dict[str, Any]) -> str:
    roles = operation.get("x-roles")
    who = ", ".join(str(getattr(role, "value", role)) for role in roles) if roles else "anyone"
    # A route for statements says what it does in its summary, the others in the first line of their description.
    what = (operation.get("description") or "").partition("\n")[0] or operation["summary"]
    query = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
    shown = path + ("?" + "&".join(f"{name}=" for name in query) if query else "")
    return f"| `{method.upper()} {shown}` | {who} | {what.rstrip('.')} |"


def main(arguments: list[str]) -> int:
    """Writes the pages with `--write`; else says which differ."""
    differing = 0
    for name, page in PAGES.items():
        path = (FOLDER / f"{name}.md").resolve()
        text = page().rstrip() + "\n"
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        if arguments == ["--write"]:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"written: {path.relative_to(REPOSITORY)}\n")
        else:
            differing = 1
            sys.stdout.write(f"differs: {path.relative_to(REPOSITORY)}; run: make docs\n")
    return differing


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
