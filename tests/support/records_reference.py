"""Writes `docs/reference/records.md` from the registry: `python -m tests.support.records_reference > that page`."""

import inspect as python
import sys
from collections.abc import Iterator

from msgspec import inspect

from ledger.records import marks, record, registry
from ledger.records.record import Part, Record, Value
from ledger.rules.writers import WRITERS
from tests.support import record_examples

HEAD = """\
# Records

Generated from the registry of record types (`ledger/records/registry.py`); a test compares this page with it.

A record is what one actor states; a statement signs it, an entry holds the statement (`../spec/statement.md`,
`../spec/entry.md`). A record is never edited, only followed by another. Unknown members are refused.

* **Stream**: the first part of the name of the stream in which the record stands (`../spec/streams.md`); `*` is any.
* **Written by**: roles that may state it (`rules.md`, R-01); further rules narrow that down.
* **Mark**: *public* fields stand in the log for ever, for the reason given. *Personal* fields stand there as salted
  digests only; the value lives in the vault. Shown are category, kind, how long it is kept, and `portable` where a
  person can take it along (GDPR Art. 20).
* **Required**: yes, no, or *hidden*: a personal field is never in the log, whoever states the record decides whether
  its digest is.
* Numbers are integers with the unit in their name; powers are positive for import; times are Unix milliseconds, UTC.
* The example fits the schema, personal members in clear as a party says them (`../how-to/use-the-gateway.md`), optional ones left
  out. Ids, digests and times are made up; whether the rules take it depends on what stands before it in the log.
* *coarse*: the entry's own time is rounded down to a quarter of an hour, for the moment is personal.
"""


def page() -> str:
    """The whole page."""
    lines = [HEAD]
    used: dict[type, None] = {}
    for kind in registry.kinds():
        lines += _record(kind)
        _collect(inspect.type_info(kind), used)
    lines += ["## Parts and values\n", "A part's fields are marked one by one; a value has the mark of its field.\n"]
    for found in sorted(used, key=lambda one: one.__name__):
        lines += _inner(found)
    return "\n".join(lines).rstrip() + "\n"


def _record(kind: type[Record]) -> Iterator[str]:
    yield f"## `{kind.TYPE}` version {kind.VERSION}\n"
    yield f"{_doc(kind)}\n"
    writers = ", ".join(sorted(WRITERS.get(kind, frozenset()))) or "nobody: it travels inside another record"
    coarse = "; coarse" if kind.COARSE else ""
    yield f"Class `{kind.__name__}`. Stream `{kind.STREAM}`. Written by: {writers}{coarse}.\n"
    yield from _table(kind, marked=True)
    yield f"```json\n{record_examples.example(kind).decode()}\n```\n"


def _inner(kind: type) -> Iterator[str]:
    yield f"### {kind.__name__}\n"
    config = getattr(kind, "__struct_config__")  # noqa: B009 -- every Struct has one
    yield f"{_doc(kind)}{f' Member `{config.tag_field}` is `{config.tag}`.' if config.tag else ''}\n"
    yield from _table(kind, marked=issubclass(kind, Part))


def _table(kind: type, *, marked: bool) -> Iterator[str]:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    fields = [field for field in info.fields if field.name != "sd"]
    if not fields:
        return
    yield "| field | type and bounds | required | mark |" if marked else "| field | type and bounds | required |"
    yield "|---|---|---|---|" if marked else "|---|---|---|"
    for field in fields:
        mark = record.mark_of(kind, field.name) if issubclass(kind, Part) else None
        hidden = isinstance(mark, marks.Personal)
        required = "hidden" if hidden else "yes" if field.required else "no"
        row = f"| `{field.encode_name}` | {shown(field.type)} | {required} |"
        yield f"{row} {_mark(mark)} |" if marked else row
    yield ""


def _mark(mark: marks.Public | marks.Personal | None) -> str:
    if isinstance(mark, marks.Public):
        return f"public: {mark.why}"
    assert isinstance(mark, marks.Personal), "an unmarked field cannot be registered"
    portable = ", portable" if mark.portable else ""
    return f"**personal**: {mark.category}, {mark.kind}, kept {mark.retention}{portable}"


def shown(info: inspect.Type) -> str:
    """A type and its bounds, in words."""
    match info:
        case inspect.Metadata(type=inner):
            return shown(inner)
        case inspect.IntType(ge=low, le=high):
            return f"integer {low} to {high}"
        case inspect.BoolType():
            return "boolean"
        case inspect.EnumType(cls=cls):
            return "one of " + ", ".join(f"`{member.value}`" for member in cls)
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(f"`{value}`" for value in values)
        case inspect.StrType():
            return _text(info)
        case inspect.VarTupleType(item_type=item, min_length=low, max_length=high):
            return f"list of {low or 0} to {high}: {shown(item)}"
        case inspect.UnionType(types=types):
            return " or ".join(shown(one) for one in types if not isinstance(one, inspect.NoneType))
        case inspect.StructType(cls=cls):
            return f"[{cls.__name__}](#{cls.__name__.lower()})"
    raise TypeError(type(info).__name__)


def _text(info: inspect.StrType) -> str:
    if info.pattern is not None:
        pattern = info.pattern.replace("$(?!\\n)", "$").replace("|", "\\|")
        return f"text `{pattern}`" + (f", at most {info.max_length}" if info.max_length else "")
    return f"text of at most {info.max_length} characters"


def _collect(info: inspect.Type, used: dict[type, None]) -> None:
    match info:
        case inspect.Metadata(type=inner):
            _collect(inner, used)
        case inspect.VarTupleType(item_type=item):
            _collect(item, used)
        case inspect.UnionType(types=types):
            for one in types:
                _collect(one, used)
        case inspect.StructType(cls=cls, fields=fields):
            if issubclass(cls, Part | Value) and not issubclass(cls, Record):
                used[cls] = None
            for field in fields:
                _collect(field.type, used)


def _doc(kind: type) -> str:
    return " ".join(line.strip() for line in python.cleandoc(kind.__doc__ or "").splitlines()).strip()


if __name__ == "__main__":
    sys.stdout.write(page())
