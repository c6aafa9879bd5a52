"""The pages of single things: the log, one entry, one stream, one request, and whatever else has a name."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

from api.ui.asked import Home, ProvenEntry, VerifiedRequest
from api.ui.layout import Page, Place, badge, facts, members, note
from api.verification import markup
from api.verification.page import ANSWERS
from api.verification.report import Status

SHOWN_OF_OPEN: Final = 20
"""Lines that are not verified; the whole report has all."""
MAX_EVENT_CHARACTERS: Final = 4_000


def home(found: Home, place: Place) -> Page:
    """The log, as its newest checkpoint says."""
    head = found.checkpoint.checkpoint
    witnesses = ", ".join(
        f"{escape(line.name)} at {markup.time(line.cosigned_at_ms or 0)} UTC" for line in found.checkpoint.cosignatures
    )
    checked = (
        f"<p>{badge('VERIFIED', 'verified')} The checkpoint below is signed by the log's key, and agrees with every "
        "checkpoint that this reader has ever kept.</p>"
    )
    form = (
        f'<form action="{place.href("entries")}" method="get"><label>Entry '
        '<input name="index" inputmode="numeric" pattern="[0-9]+" required size="12"></label>'
        "<button>Show</button></form>"
    )
    body = [
        checked,
        facts(
            (
                ("Log", f"<code>{escape(head.origin)}</code>"),
                ("Entries", str(head.size)),
                ("Root", f"<code>{head.root.hex()}</code>"),
                ("Cosigned by", witnesses or "no witness that this reader knows"),
                ("Operator", f"<code>{escape(str(found.about.get('party', '?')))}</code>"),
                ("Ready", "yes" if found.is_ready else f'<strong class="REFUTED">no</strong>: {escape(found.unready)}'),
                ("Version", escape(str(found.about.get("version", "?")))),
            )
        ),
        form,
    ]
    if found.about.get("development") is True:
        body.insert(0, note("A development log: its credentials count nowhere else."))
    return Page("The log", tuple(body))


def entry(found: ProvenEntry, place: Place) -> Page:
    """One entry, proven to stand in the log."""
    said, inside = found.claims, found.entry
    head = found.checkpoint.checkpoint
    kind, _, name = inside.stream.partition("/")
    proven = (
        f"<p>{badge('PROVEN', 'verified')} {len(found.path)} hashes lead from these bytes to the signed root of a tree "
        f"of {head.size} entries. Who signed it, and whether that was allowed, the report of its request says.</p>"
    )
    download = (
        f"<p>{place.to('entries', str(found.index), 'receipt', text='Download the receipt')} "
        "(c2sp.org/tlog-proof, with the entry inside): <code>flexledger verify FILE --policy POLICY</code>.</p>"
    )
    return Page(
        f"Entry {found.index}",
        (
            proven,
            facts(
                (
                    ("Type", f"<code>{escape(inside.type)}</code>, version {inside.v}"),
                    ("Stream", place.to("streams", kind, name, text=inside.stream) + f", entry {inside.seq} of it"),
                    ("Recorded (UTC)", markup.time(inside.rec)),
                    ("Said by", f"<code>{escape(said.iss)}</code>"),
                    ("Submitted by", f"<code>{escape(inside.sub.party)}</code> as {escape(inside.sub.role)}"),
                    ("Statement's id", f"<code>{escape(said.jti)}</code>"),
                    ("Leaf hash", f"<code>{found.leaf_hash.hex()}</code>"),
                )
            ),
            "<h2>What was said</h2>",
            "<p>Personal members are not in the log; their salted digests stand under <code>_sd</code>.</p>",
            members(said.event),
            "<h2>The way to the root</h2>",
            markup.table(("", "hash"), [markup.row(level, one.hex()) for level, one in enumerate(found.path)]),
            download,
        ),
    )


def stream(answer: Mapping[str, Any], place: Place) -> Page:
    """One stream's entries, newest first."""
    found = answer["stream"]
    state = "closed" if found["is_closed"] else "open"
    order = "Newest first; each number leads to the entry with its proof."
    body = [
        f"<p>{escape(str(found['entries']))} entries, {state}. {order}</p>",
        _entries(answer["entries"], place),
    ]
    if answer.get("next") is not None:
        older = f"before={int(answer['next'])}"
        body.append(f"<p>{place.to(*place.segments, text='Older entries', query=older)}</p>")
    return Page(f"Stream {found['stream']}", tuple(body))


def request(
    view: Mapping[str, Any],
    logged: Mapping[str, Any],
    verified: VerifiedRequest | None,
    unverified: str,
    place: Place,
) -> Page:
    """One request: what this machine found of its record, how it stands, and everything that was written about it."""
    fsr_id = str(view["fsr_id"])
    shown = {name: value for name, value in view.items() if name not in ("participations", "proof", "refusals")}
    whole = place.to("streams", "fsr", fsr_id, text="The whole stream")
    return Page(
        f"Request {fsr_id}",
        (
            *_verified(fsr_id, verified, unverified, place),
            "<h2>How it stands, by the operator's word</h2>",
            members(shown),
            *_participations(view.get("participations") or []),
            "<h2>What was written</h2>",
            "<p>Newest first; each number leads to the entry with its proof.</p>",
            _entries(logged["entries"], place),
            f"<p>{whole}</p>" if logged.get("next") else "",
        ),
    )


def named(title: str, answer: Mapping[str, Any]) -> Page:
    """Anything else that has a name, member by member."""
    return Page(title, (members(answer),))


def problem(error: Exception, status: int) -> Page:
    """Why there is no such page."""
    rows = [("Code", f"<code>{escape(str(getattr(error, 'code', 'unknown')))}</code>")]
    rows += [
        (label, escape(str(value)))
        for label, value in (
            ("What", getattr(error, "detail", None)),
            ("Expected", getattr(error, "expected", None)),
            ("Found", getattr(error, "found", None)),
        )
        if value is not None
    ]
    rows += [(name, escape(str(value))) for name, value in (getattr(error, "where", None) or {}).items()]
    return Page(str(getattr(error, "title", "") or "That did not work"), (facts(rows),), status)


def _verified(fsr_id: str, verified: VerifiedRequest | None, unverified: str, place: Place) -> Iterator[str]:
    yield "<h2>What this machine found</h2>"
    if verified is None:
        yield note(f"The record could not be verified: {unverified}")
        return
    report = verified.report
    yield f"<p>{badge(report.outcome.upper(), report.outcome)} {ANSWERS[report.outcome]}</p>"
    yield f"<p>{escape(report.summary())}</p>"
    open_lines = [line for line in report.lines if line.status is not Status.VERIFIED]
    if open_lines:
        rows = [
            (
                f'<td class="s {line.status}">{markup.SIGNS[line.status]}&nbsp;{line.status}</td>',
                markup.cell(line.check),
                f"<td><code>{escape(line.code)}</code> {escape(line.detail)}</td>",
                markup.cell(line.place),
            )
            for line in open_lines[:SHOWN_OF_OPEN]
        ]
        yield markup.table(("", "check", "what was found", "where"), rows)
    yield (
        f"<p>{place.to('requests', fsr_id, 'report', text='The whole report, with pictures of what was delivered')} · "
        f"{place.to('requests', fsr_id, 'record', text='Download the record')}, to verify it elsewhere</p>"
    )


def _participations(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not found:
        return
    yield "<h2>Participations</h2>"
    yield markup.limited(
        ("participation", "status", "offered W", "opt until (UTC)"),
        [
            markup.row(one["participation"], one["status"], one["offered_w"], markup.time(int(one["opt_deadline_ms"])))
            for one in found
        ],
    )


def _entries(found: Sequence[Mapping[str, Any]], place: Place) -> str:
    return markup.table(
        ("entry", "recorded (UTC)", "type", "said by", "what was said"),
        [
            (
                f"<td>{place.to('entries', str(one['index']), text=one['index'])}</td>",
                markup.cell(markup.time(int(one["rec_ms"]))),
                markup.cell(one["type"]),
                markup.cell(one["party"]),
                f"<td><details><summary>members</summary>{_event(one['event'])}</details></td>",
            )
            for one in found
        ],
    )


def _event(event: Mapping[str, Any]) -> str:
    shown = members(event)
    return shown if len(shown) <= MAX_EVENT_CHARACTERS else "Too long for a list: it stands on the entry's page."
