"""Writes `api/client/typed/*.py` from the routes of the service: `python -m tests.support.client_source --write`.

One method for each route, sync and async, with the types that the route has. What a route answers with is a type of the
service, which a client does not have: each such type is written down again, open to members that come later.
"""

import enum
import inspect
import re
import subprocess
import sys
import textwrap
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.response import Response

from api.web import schema
from api.web.routes import (
    checks,
    claims,
    contracts,
    credentials,
    evidence,
    parties,
    requests,
    sites,
    statements,
    streams,
    webhooks,
)
from tests.support.vectors import REPOSITORY

FOLDER: Final = REPOSITORY / "api" / "client" / "typed"
ROUTES: Final = (
    sites,
    claims,
    contracts,
    parties,
    requests,
    checks,
    evidence,
    streams,
    statements,
    webhooks,
    credentials,
)
"""Not what anybody may fetch (the log, lists of revocation), what never ends (events) and the privacy officer's desk."""
LEFT_OUT: Final = frozenset({"take_statements", "prepare_statement"})
"""What the client does by itself: it signs here, one statement at a time."""
WRITTEN_AGAIN: Final = ("api.flows", "api.web")
NOTICE: Final = (
    "Generated from the routes of the service (`python -m tests.support.client_source --write`); a test compares."
)
WIDTH: Final = 110


@dataclass(frozen=True, slots=True)
class Route:
    """One route, as a client calls it."""

    name: str
    summary: str
    method: str
    path: str
    records: tuple[type, ...]
    body: type | None
    answer: Any
    in_path: dict[str, Any]
    in_query: dict[str, tuple[str, Any, bool]]
    """By argument: the name in the address, the type, and whether it may be left out."""


def routes() -> list[Route]:
    """Every route that has a method, in the order of `ROUTES`."""
    return [_route(one) for module in ROUTES for one in module.HANDLERS if one.operation_id not in LEFT_OUT]


def _route(handler: HTTPRouteHandler) -> Route:
    path = re.sub(r"\{(\w+):\w+\}", r"{\1}", min(handler.paths))
    named = re.findall(r"\{(\w+)\}", path)
    signature = inspect.signature(handler.fn)
    in_path: dict[str, Any] = {}
    in_query: dict[str, tuple[str, Any, bool]] = {}
    for name, parameter in signature.parameters.items():
        plain, *marks = typing.get_args(parameter.annotation) or (parameter.annotation,)
        if name in named:
            in_path[name] = plain
        elif any(type(mark).__name__ in ("QueryParameter", "ParameterKwarg") for mark in marks):
            alias = next((mark.name for mark in marks if getattr(mark, "name", None)), name)
            in_query[name] = (alias, plain, parameter.default is not inspect.Parameter.empty)
    answer = signature.return_annotation
    if typing.get_origin(answer) is Response:
        (answer,) = typing.get_args(answer)
    summary = handler.summary or (inspect.getdoc(handler.fn) or "").partition("\n\n")[0].replace("\n", " ")
    return Route(
        name=str(handler.operation_id),
        summary=summary.rstrip("."),
        method=min(str(one.value) if isinstance(one, enum.Enum) else str(one) for one in handler.http_methods),
        path=path,
        records=tuple(handler.opt.get(schema.OPT_RECORDS, ())),
        body=None if schema.OPT_RECORDS in handler.opt else handler.opt.get(schema.OPT_BODY),
        answer=answer,
        in_path=in_path,
        in_query=in_query,
    )


class Types:
    """Types as they are written in a module, with what the module has to import for them."""

    def __init__(self) -> None:
        self.imports: set[tuple[str, str]] = set()
        self.again: dict[str, type] = {}
        """What is written down again, by name, those that others need first."""

    def write(self, found: Any) -> str:
        """The type as text."""
        origin, args = typing.get_origin(found), typing.get_args(found)
        if found is Any:
            self.imports.add(("typing", "Any"))
            return "Any"
        if found is None or found is type(None):
            return "None"
        if origin is typing.Annotated:
            return self.write(args[0])
        if origin in (typing.Union, types.UnionType):
            return " | ".join(self.write(one) for one in args)
        if origin is typing.Literal:
            self.imports.add(("typing", "Literal"))
            return f"Literal[{', '.join(repr(one) for one in args)}]"
        if origin in (tuple, list, dict, set, frozenset):
            return f"{origin.__name__}[{', '.join('...' if one is Ellipsis else self.write(one) for one in args)}]"
        if origin is not None:
            return f"{self.write(origin)}[{', '.join(self.write(one) for one in args)}]"
        return self._named(found)

    def _named(self, found: type) -> str:
        if found.__module__ == "builtins":
            return found.__name__
        if found.__module__.startswith(WRITTEN_AGAIN):
            known = self.again.get(found.__name__)
            if known is None:
                # Its members first: who reads the page meets no name before its meaning.
                for one in typing.get_type_hints(found).values() if issubclass(found, msgspec.Struct) else ():
                    self.write(one)
                self.again[found.__name__] = found
            elif known is not found:
                raise TypeError(f"two types are called {found.__name__}")
            return found.__name__
        module = "msgspec" if found.__module__.startswith("msgspec") else found.__module__
        module = "collections.abc" if module == "collections.abc" else module
        self.imports.add((module, found.__name__))
        return found.__name__

    def lines(self) -> list[str]:
        """The import lines."""
        modules = sorted({module for module, _ in self.imports})
        return [
            f"from {module} import {', '.join(sorted(name for of, name in self.imports if of == module))}"
            for module in modules
        ]


def views() -> str:
    """The module of types."""
    found = Types()
    for route in routes():
        for one in (route.body, route.answer):
            if one is not None:
                found.write(one)
    body = [line for kind in found.again.values() for line in _view(kind, found)]
    head = ['"""What the service answers with, and takes.', "", NOTICE, '"""', "", "import msgspec", ""]
    enums = any(issubclass(kind, enum.Enum) for kind in found.again.values())
    used = "\n".join(body)
    found.imports = {(of, name) for of, name in found.imports if re.search(rf"\b{name}\b", used)}
    return "\n".join([*head, *(["from enum import StrEnum"] if enums else []), *found.lines(), "", *body])


def _view(kind: type, found: Types) -> Iterator[str]:
    if issubclass(kind, enum.Enum):
        yield f"class {kind.__name__}(StrEnum):"
        yield from _says(inspect.getdoc(kind) or "", "    ")
        yield ""
        yield from (f"    {one.name} = {one.value!r}" for one in kind)
        yield ""
        return
    config = kind.__struct_config__  # type: ignore[attr-defined]
    rename = "".join(f", tag_field={config.tag_field!r}, tag={config.tag!r}" for _ in (1,) if config.tag is not None)
    yield f"class {kind.__name__}(msgspec.Struct, frozen=True, kw_only=True{rename}):"
    yield from _says(inspect.getdoc(kind) or "", "    ")
    yield ""
    hints = typing.get_type_hints(kind)
    for field in msgspec.structs.fields(kind):  # type: ignore[arg-type]
        kind_of = found.write(hints[field.name])
        renamed = field.encode_name != field.name
        default = _default(field, renamed=renamed, found=found)
        yield f"    {field.name}: {kind_of}{default}"
    yield ""


def _says(doc: str, margin: str) -> Iterator[str]:
    """The first paragraph as a docstring."""
    lines = textwrap.wrap(doc.partition("\n\n")[0], WIDTH - len(margin))
    if len(lines) == 1:
        yield f'{margin}"""{lines[0]}"""'
        return
    yield f'{margin}"""{lines[0]}'
    yield from (f"{margin}{line}" for line in lines[1:])
    yield f'{margin}"""'


def _default(field: msgspec.structs.FieldInfo, *, renamed: bool, found: Types) -> str:
    name = f"name={field.encode_name!r}" if renamed else ""
    if field.default is msgspec.UNSET:
        found.imports.add(("msgspec", "UNSET"))
        value = "UNSET"
    elif field.default is not msgspec.NODEFAULT:
        value = (
            f"{type(field.default).__name__}.{field.default.name}"
            if isinstance(field.default, enum.Enum)
            else repr(field.default)
        )
    elif field.default_factory is not msgspec.NODEFAULT:
        value = repr(field.default_factory())
    else:
        return f" = msgspec.field({name})" if renamed else ""
    return f" = msgspec.field({name}, default={value})" if renamed else f" = {value}"


def calls(*, is_async: bool) -> dict[str, str]:
    """The modules of methods by file name: statements, and everything else."""
    prefix = "async_" if is_async else ""
    stated = [one for one in routes() if one.records]
    asked = [one for one in routes() if not one.records]
    return {
        f"{prefix}statements.py": _calls("Statements", stated, is_async=is_async),
        f"{prefix}questions.py": _calls("Questions", asked, is_async=is_async),
    }


def _calls(name: str, of: list[Route], *, is_async: bool) -> str:
    found = Types()
    body = [line for route in of for line in (_statement if route.records else _question)(route, found, is_async)]
    base = "AsyncCaller" if is_async else "Caller"
    kind = f"Async{name}" if is_async else name
    used = "\n".join(body)
    again = sorted(one for one in found.again if re.search(rf"\b{one}\b", used))
    imports = found.lines()
    if name == "Statements":
        imports += [
            "from typing import Unpack",
            "from api.client.receipts import Receipt",
            f"from api.client.typed.caller import {base}, Handing",
        ]
        says = "One method for each route that takes a signed statement"
    else:
        imports += [
            f"from api.client.typed.caller import {base}",
            f"from api.client.typed.views import {', '.join(again)}",
        ]
        says = "One method for each route that is asked something, or told what is no statement"
    return "\n".join(
        [
            f'"""{says}.',
            "",
            NOTICE,
            '"""',
            "",
            *imports,
            "",
            f"class {kind}({base}):",
            f'    """{says}; raises `RemoteProblem`."""',
            "",
            *body,
        ]
    )


def _statement(route: Route, found: Types, is_async: bool) -> Iterator[str]:
    kinds = " | ".join(found.write(one) for one in route.records)
    before, wait = ("async def", "await ") if is_async else ("def", "")
    yield f"    {before} {route.name}(self, said: {kinds}, **more: Unpack[Handing]) -> Receipt:"
    yield from _says(f"{route.summary}.", "        ")
    yield f'        return {wait}self.state("{route.path}", said, more)'
    yield ""


def _question(route: Route, found: Types, is_async: bool) -> Iterator[str]:
    before, wait = ("async def", "await ") if is_async else ("def", "")
    arguments = [f"{name}: {found.write(kind)}" for name, kind in route.in_path.items()]
    if route.body is not None:
        arguments.append(f"asked: {found.write(route.body)}")
    if route.in_query:
        arguments.append("*")
    for name, (_, kind, may_miss) in sorted(route.in_query.items(), key=lambda one: one[1][2]):
        text = found.write(kind)
        is_optional = "None" in text.split(" | ")
        arguments.append(
            f"{name}: {text}{'' if is_optional or not may_miss else ' | None'}{' = None' if may_miss else ''}"
        )
    answer = found.write(route.answer)
    yield f"    {before} {route.name}({', '.join(['self', *arguments])}) -> {answer}:"
    yield from _says(f"{route.summary}.", "        ")
    in_path = ", ".join(f'"{name}": {name}' for name in route.in_path)
    in_query = ", ".join(f'"{alias}": {name}' for name, (alias, _, _) in route.in_query.items())
    told = [f'"{route.method}"', f'"{route.path}"', f"{{{in_path}}}", f"{{{in_query}}}"]
    if route.body is not None:
        told.append("asked")
    if answer == "bytes":
        yield f"        return ({wait}self.ask({', '.join(told)})).body"
    elif answer == "None":
        yield f"        {wait}self.ask({', '.join(told)})"
    elif answer == "Any" or answer.startswith("dict["):
        yield f"        found: {answer} = ({wait}self.ask({', '.join(told)})).json()"
        yield "        return found"
    else:
        yield f"        return ({wait}self.ask({', '.join(told)})).decode({answer})"
    yield ""


PAGE_HEAD: Final = """\
# Client

Generated from the routes of the service; a test compares this page with them.

`api.client.client` has a sync `Client` and an `AsyncClient`; [how to use them](../how-to/use-the-client.md). Both have a method for
each route that a party uses. Not here: what anybody may fetch (the log, lists of revocation), events, and the privacy officer's desk.

A statement's method takes the record, signs it, hands it in, and gives a verified `Receipt` once it is durable; address and stream
follow from the record. Besides it takes `subjects`, `attachments`, `exp_prev` and `actor_seq`. What is in a record is in
[records](records.md), what a view has in `api/client/typed/views.py`. A refusal is raised as `RemoteProblem` with the service's
[code](errors.md).

"""


def page() -> str:
    """The reference of the methods."""
    lines = ["## Statements", "", "| method | takes | route |", "|---|---|---|"]
    found = Types()
    for route in routes():
        if route.records:
            kinds = " or ".join(f"`{found.write(one)}`" for one in route.records)
            lines.append(f"| `{route.name}` | {kinds} | `{route.method} {route.path}` |")
    lines += ["", "## Questions", "", "| method | takes | gives | route |", "|---|---|---|---|"]
    for route in routes():
        if not route.records:
            takes = [*route.in_path, *(() if route.body is None else (found.write(route.body),)), *route.in_query]
            named = ", ".join(f"`{one}`" for one in takes)
            lines.append(
                f"| `{route.name}` | {named} | `{found.write(route.answer)}` | `{route.method} {route.path}` |"
            )
    return PAGE_HEAD + "\n".join(lines) + "\n"


def written() -> dict[str, str]:
    """Every module by file name, as it stands in the repository."""
    made = {"views.py": views(), **calls(is_async=False), **calls(is_async=True)}
    return {name: _formatted(text) for name, text in made.items()}


def _formatted(text: str) -> str:
    ruff = [str(Path(sys.executable).parent / "ruff")]
    sorted_ = subprocess.run(
        [
            *ruff,
            "check",
            "--select",
            "I,F401",
            "--fix-only",
            "--quiet",
            "--stdin-filename",
            "api/client/typed/made.py",
            "-",
        ],
        input=text,
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
    ).stdout
    return subprocess.run(
        [*ruff, "format", "--stdin-filename", "api/client/typed/made.py", "-"],
        input=sorted_,
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
    ).stdout


def main(*, write: bool) -> int:
    """0 if every module is as the routes say, or was written."""
    differs = {name: text for name, text in written().items() if _text(name) != text}
    if write:
        for name, text in differs.items():
            (FOLDER / name).write_text(text, encoding="utf-8")
        return 0
    for name in differs:
        print(f"{name} differs: python -m tests.support.client_source --write")
    return 1 if differs else 0


def _text(name: str) -> str:
    path = FOLDER / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    raise SystemExit(main(write="--write" in sys.argv))
