"""The auditor's report as one HTML file: what was found, and pictures of what was delivered.

The file holds no script and loads nothing; every text is escaped; the same bundle under the same policy gives the same
bytes, so it says nothing of the moment or the machine on which it was made. It shows no more than the bundle discloses,
and is as confidential as the bundle.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Final

from api.verification import picture, plot
from api.verification.bundle import Verification
from api.verification.bundle_context import Proof
from api.verification.report import Exit, Line, Report, Status
from api.verification.work import Computed
from ledger.delivery.verdicts.outcome import Period
from ledger.delivery.work import ParticipationResult
from ledger.records.execution import ExecutionNoted
from ledger.records.work import Excluded

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
ANSWERS: Final = {
    Exit.VERIFIED: "Everything that this file can show was looked at, and holds.",
    Exit.REFUTED: "Something in this file is wrong; the lines marked REFUTED say what and where.",
    Exit.INDETERMINATE: "Nothing was found to be wrong, but something that is needed is missing or was erased.",
    Exit.UNUSABLE: "Nothing was verified.",
}
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


def render(verification: Verification, report: Report, *, digest: str, policy_digest: str | None) -> str:
    """The whole page for a verification that has run. `digest` and `policy_digest` are SHA-256 of the files, in hex."""
    context = verification.context
    proofs = [] if context is None else context.proofs
    noted = [] if context is None else context.noted
    body = (
        *_answer(report, digest, policy_digest),
        *_no_proof(proofs),
        *(part for place, proof in enumerate(proofs) for part in _proof(proof, report, place)),
        *_limits(report),
        *_facts(noted),
        *_checks(report),
    )
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(report.subject)}: {report.outcome}</title>",
            f"<style>{STYLE}</style></head><body>",
            *body,
            "</body></html>\n",
        )
    )


# Parts of the page


def _answer(report: Report, digest: str, policy_digest: str | None) -> Iterator[str]:
    yield f"<h1>Audit report: {escape(report.subject)}</h1>"
    yield f'<p><span class="badge {report.outcome}">{report.outcome.upper()}</span> {ANSWERS[report.outcome]}</p>'
    if report.caveat:
        yield f'<p class="note">{escape(report.caveat[:1].upper() + report.caveat[1:])}.</p>'
    under = f"<code>{policy_digest}</code>" if policy_digest else "none was given"
    yield _table(
        ("", ""),
        [
            (_cell("Answer"), _cell(report.summary())),
            (_cell("File (SHA-256)"), f"<td><code>{digest}</code></td>"),
            (_cell("Policy (SHA-256)"), f"<td>{under}</td>"),
            (_cell("To repeat it"), "<td><code>flexledger verify FILE --policy POLICY</code></td>"),
        ],
    )


def _proof(proof: Proof, report: Report, place: int) -> Iterator[str]:
    again = [line for line in report.lines if line.check == "proof of work" and _is_at(line, proof.told.index)]
    same = bool(again) and all(line.status is Status.VERIFIED for line in again)
    yield "<section><h2>Proof of flexibility delivered</h2>"
    if proof.computed is None:
        yield from _unrepeated(proof)
    else:
        yield from _repeated(proof, proof.computed, place, same=same)
    yield from _excluded(proof.recorded.excluded)
    yield "</section>"


def _repeated(proof: Proof, computed: Computed, place: int, *, same: bool) -> Iterator[str]:
    result, recorded = computed.result, proof.recorded
    if not same:
        yield (
            '<p class="note">The record says something else than its evidence gives. What stands below was computed '
            "again from the evidence; what was recorded is in the table.</p>"
        )
    yield _table(
        ("", "recorded", "computed again"),
        [
            (_cell("Verdict"), _verdict(recorded.verdict.value), _verdict(result.verdict.value)),
            _row("Score", _percent(recorded.score_ppm), _percent(result.score_ppm)),
            _row("Delivered", f"{recorded.delivered_wh} Wh", f"{computed.delivered_wh} Wh"),
            _row("Method", recorded.algorithm, result.algorithm),
            _row("Baseline", recorded.baseline_id, result.baseline or "none, or from the evidence itself"),
            _row("Service", str(result.service_class), "the same, bit for bit" if same else "not the same"),
            _row("Window (UTC)", _time(result.start_at_ms), _time(result.end_at_ms)),
        ],
    )
    shown = picture.panels(computed.inputs, result)
    for number, panel in enumerate(shown):
        yield f"<h3>{escape(panel.title)}</h3>"
        yield plot.svg(panel, name=f"p{place}-{number}")
    if not shown:
        yield '<p class="note">Nobody counts, or nobody left evidence: there is nothing to draw.</p>'
    else:
        yield (
            "<p>The thin band around a line is what single samples reached within one step of the picture. "
            "Grey hatching: no evidence. Yellow hatching: the span does not count, for the reason in the table of "
            "exclusions.</p>"
        )
    yield from _periods(result.periods)
    yield from _participations(result.participations)
    if result.figures:
        yield "<h3>Figures of the group</h3>"
        yield _table(("figure", "value"), [_row(name, _figure(name, value)) for name, value in result.figures.items()])


def _unrepeated(proof: Proof) -> Iterator[str]:
    """What was recorded in public, where the evidence behind it is gone: nothing is drawn that nobody can check."""
    recorded = proof.recorded
    yield (
        '<p class="note">This proof could not be computed again: what it rests on is not disclosed here, or was '
        "erased. What follows is what the log says, signed by the operator, and not more.</p>"
    )
    yield _table(
        ("", "recorded", "computed again"),
        [
            (_cell("Verdict"), _verdict(recorded.verdict.value), _cell("not possible")),
            _row("Score", _percent(recorded.score_ppm), "not possible"),
            _row("Delivered", f"{recorded.delivered_wh} Wh", "not possible"),
            _row("Method", recorded.algorithm, ""),
            _row("Baseline", recorded.baseline_id, ""),
        ],
    )


def _excluded(excluded: Sequence[Excluded]) -> Iterator[str]:
    if not excluded:
        return
    yield "<h3>Who, or what, does not count</h3>"
    yield _limited(
        ("participation", "reason", "from (UTC)", "to (UTC)"),
        [
            _row(
                one.participation,
                one.reason.value,
                _time(one.start_at_ms) if one.end_at_ms else "the whole service",
                _time(one.end_at_ms) if one.end_at_ms else "",
            )
            for one in excluded
        ],
    )


def _periods(periods: Sequence[Period]) -> Iterator[str]:
    if not periods:
        return
    yield "<h3>Period by period</h3>"
    yield _limited(
        ("from (UTC)", "baseline W", "ordered W", "measured W", "delivered W", "missing W", "excused W", "covered"),
        [
            (
                _cell(_time(one.start_at_ms)),
                *(
                    _cell(value, "n")
                    for value in (
                        one.baseline_w,
                        one.ordered_w,
                        one.actual_w,
                        one.delivered_w,
                        one.deficiency_w,
                        one.excused_w,
                        _percent(one.coverage_ppm),
                    )
                ),
            )
            for one in periods
        ],
    )


def _participations(parts: Sequence[ParticipationResult]) -> Iterator[str]:
    if not parts:
        return
    yield "<h3>Participation by participation</h3>"
    yield _limited(
        ("participation", "samples", "lost", "covered", "import Wh", "export Wh", "mean W", "least W", "most W"),
        [
            (
                _cell(one.participation_id),
                *(
                    _cell(value, "n")
                    for value in (
                        one.samples,
                        one.lost,
                        _percent(one.coverage_ppm),
                        _wh(one.import_milliwh),
                        _wh(one.export_milliwh),
                        one.mean_w,
                        one.min_w,
                        one.max_w,
                    )
                ),
            )
            for one in parts
        ],
    )
    with_figures = [one for one in parts if one.figures]
    if with_figures:
        rows = [
            _row(
                one.participation_id, ", ".join(f"{name} {_figure(name, value)}" for name, value in one.figures.items())
            )
            for one in with_figures
        ]
        yield _limited(("participation", "figures"), rows)


def _no_proof(proofs: Sequence[Proof]) -> Iterator[str]:
    if not proofs:
        yield "<h2>Proof of flexibility delivered</h2>"
        yield (
            '<p class="note">There is no proof of work of this request in this file, or none that can be read. The '
            "checks below say why.</p>"
        )


def _limits(report: Report) -> Iterator[str]:
    """What a reader must know before he relies on the rest."""
    open_lines = [line for line in report.lines if line.status is not Status.VERIFIED or line.check == "evidence grade"]
    yield "<h2>What is not proven, and how far the evidence carries</h2>"
    if not open_lines:
        yield "<p>No line is open: everything was decided.</p>"
        return
    yield _limited(("", "check", "what was found", "where"), [_checked(line) for line in open_lines])


def _facts(noted: Sequence[ExecutionNoted]) -> Iterator[str]:
    if not noted:
        return
    yield "<h2>What happened on the chargers</h2>"
    yield _limited(
        ("time (UTC)", "participation", "fact", "cause"),
        [
            _row(
                _time(one.at_ms) if isinstance(one.at_ms, int) else "not disclosed",
                one.participation,
                one.kind.value,
                one.cause.value if one.cause else "",
            )
            for one in noted
        ],
    )


def _checks(report: Report) -> Iterator[str]:
    yield "<h2>Every check</h2>"
    for check, lines in report.groups():
        bad = sum(line.status is not Status.VERIFIED for line in lines)
        opened = " open" if any(line.status in (Status.REFUTED, Status.INDETERMINATE) for line in lines) else ""
        what = f"{len(lines)} lines, {bad} not verified" if bad else f"{len(lines)} verified"
        yield f"<details{opened}><summary>{escape(check)}: {what}</summary>"
        yield _limited(("", "check", "what was found", "where"), [_checked(line) for line in lines])
        yield "</details>"


# Cells


def _checked(line: Line) -> tuple[str, ...]:
    code = "" if line.status is Status.VERIFIED else f"<code>{escape(line.code)}</code> "
    answer = f'<td class="s {line.status}">{SIGNS[line.status]}&nbsp;{line.status}</td>'
    return answer, _cell(line.check), f"<td>{code}{escape(line.detail)}</td>", _cell(line.place)


def _limited(head: Sequence[str], rows: Sequence[Iterable[str]]) -> str:
    more = len(rows) - MAX_ROWS
    table = _table(head, rows[:MAX_ROWS])
    return f"{table}<p>and {more} more rows</p>" if more > 0 else table


def _table(head: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head) if any(head) else ""
    lines = "\n".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f"<table>{f'<thead><tr>{top}</tr></thead>' if top else ''}<tbody>\n{lines}\n</tbody></table>"


def _row(*values: object) -> tuple[str, ...]:
    return tuple(_cell(value) for value in values)


def _cell(value: object, kind: str = "") -> str:
    marked = f' class="{kind}"' if kind else ""
    return f"<td{marked}>{escape(str(value))}</td>"


def _verdict(verdict: str) -> str:
    return f'<td><strong class="{escape(verdict)}">{escape(verdict)}</strong></td>'


def _percent(ppm: int) -> str:
    whole, rest = divmod(ppm, PPM_PER_PERCENT)
    return f"{whole}.{rest:04d}".rstrip("0").removesuffix(".") + " %"


def _wh(milliwh: int) -> str:
    return f"{milliwh // 1000}.{milliwh % 1000:03d}".rstrip("0").removesuffix(".")


def _figure(name: str, value: int) -> str:
    """The value with what its name says of its unit; moments as UTC."""
    return _time(value) if name.endswith("_at_ms") else str(value)


def _time(at_ms: int) -> str:
    try:
        moment = _EPOCH + timedelta(milliseconds=at_ms)
    except OverflowError:
        return f"{at_ms} ms"
    text = f"{moment:%Y-%m-%d %H:%M:%S}"
    return f"{text}.{at_ms % 1000:03d}" if at_ms % 1000 else text


def _is_at(line: Line, index: int) -> bool:
    return line.where.get("index") == index
