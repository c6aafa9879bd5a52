"""The auditor's report as one HTML file: what was found, and pictures of what was delivered.

The file holds no script and loads nothing; every text is escaped; the same bundle under the same policy gives the same
bytes, so it says nothing of the moment or the machine on which it was made. It shows no more than the bundle discloses,
and is as confidential as the bundle.
"""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from api.verification import markup, picture, plot
from api.verification.bundle import Verification
from api.verification.bundle_context import Proof
from api.verification.report import Exit, Line, Report, Status
from api.verification.work import Computed
from ledger.delivery.verdicts.outcome import Period
from ledger.delivery.work import ParticipationResult
from ledger.records.execution import ExecutionNoted
from ledger.records.work import Excluded

ANSWERS: Final = {
    Exit.VERIFIED: "Everything that this file can show was looked at, and holds.",
    Exit.REFUTED: "Something in this file is wrong; the lines marked REFUTED say what and where.",
    Exit.INDETERMINATE: "Nothing was found to be wrong, but something that is needed is missing or was erased.",
    Exit.UNUSABLE: "Nothing was verified.",
}


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
            f"<style>{markup.STYLE}</style></head><body>",
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
    yield markup.table(
        ("", ""),
        [
            (markup.cell("Answer"), markup.cell(report.summary())),
            (markup.cell("File (SHA-256)"), f"<td><code>{digest}</code></td>"),
            (markup.cell("Policy (SHA-256)"), f"<td>{under}</td>"),
            (markup.cell("To repeat it"), "<td><code>flexledger verify FILE --policy POLICY</code></td>"),
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
    yield markup.table(
        ("", "recorded", "computed again"),
        [
            (markup.cell("Verdict"), markup.verdict(recorded.verdict.value), markup.verdict(result.verdict.value)),
            markup.row("Score", markup.percent(recorded.score_ppm), markup.percent(result.score_ppm)),
            markup.row("Delivered", f"{recorded.delivered_wh} Wh", f"{computed.delivered_wh} Wh"),
            markup.row("Method", recorded.algorithm, result.algorithm),
            markup.row("Baseline", recorded.baseline_id, result.baseline or "none, or from the evidence itself"),
            markup.row("Service", str(result.service_class), "the same, bit for bit" if same else "not the same"),
            markup.row("Window (UTC)", markup.time(result.start_at_ms), markup.time(result.end_at_ms)),
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
        yield markup.table(
            ("figure", "value"),
            [markup.row(name, markup.figure(name, value)) for name, value in result.figures.items()],
        )


def _unrepeated(proof: Proof) -> Iterator[str]:
    """What was recorded in public, where the evidence behind it is gone: nothing is drawn that nobody can check."""
    recorded = proof.recorded
    yield (
        '<p class="note">This proof could not be computed again: what it rests on is not disclosed here, or was '
        "erased. What follows is what the log says, signed by the operator, and not more.</p>"
    )
    yield markup.table(
        ("", "recorded", "computed again"),
        [
            (markup.cell("Verdict"), markup.verdict(recorded.verdict.value), markup.cell("not possible")),
            markup.row("Score", markup.percent(recorded.score_ppm), "not possible"),
            markup.row("Delivered", f"{recorded.delivered_wh} Wh", "not possible"),
            markup.row("Method", recorded.algorithm, ""),
            markup.row("Baseline", recorded.baseline_id, ""),
        ],
    )


def _excluded(excluded: Sequence[Excluded]) -> Iterator[str]:
    if not excluded:
        return
    yield "<h3>Who, or what, does not count</h3>"
    yield markup.limited(
        ("participation", "reason", "from (UTC)", "to (UTC)"),
        [
            markup.row(
                one.participation,
                one.reason.value,
                markup.time(one.start_at_ms) if one.end_at_ms else "the whole service",
                markup.time(one.end_at_ms) if one.end_at_ms else "",
            )
            for one in excluded
        ],
    )


def _periods(periods: Sequence[Period]) -> Iterator[str]:
    if not periods:
        return
    yield "<h3>Period by period</h3>"
    yield markup.limited(
        ("from (UTC)", "baseline W", "ordered W", "measured W", "delivered W", "missing W", "excused W", "covered"),
        [
            (
                markup.cell(markup.time(one.start_at_ms)),
                *(
                    markup.cell(value, "n")
                    for value in (
                        one.baseline_w,
                        one.ordered_w,
                        one.actual_w,
                        one.delivered_w,
                        one.deficiency_w,
                        one.excused_w,
                        markup.percent(one.coverage_ppm),
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
    yield markup.limited(
        ("participation", "samples", "lost", "covered", "import Wh", "export Wh", "mean W", "least W", "most W"),
        [
            (
                markup.cell(one.participation_id),
                *(
                    markup.cell(value, "n")
                    for value in (
                        one.samples,
                        one.lost,
                        markup.percent(one.coverage_ppm),
                        markup.wh(one.import_milliwh),
                        markup.wh(one.export_milliwh),
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
            markup.row(
                one.participation_id,
                ", ".join(f"{name} {markup.figure(name, value)}" for name, value in one.figures.items()),
            )
            for one in with_figures
        ]
        yield markup.limited(("participation", "figures"), rows)


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
    yield markup.limited(("", "check", "what was found", "where"), [_checked(line) for line in open_lines])


def _facts(noted: Sequence[ExecutionNoted]) -> Iterator[str]:
    if not noted:
        return
    yield "<h2>What happened on the chargers</h2>"
    yield markup.limited(
        ("time (UTC)", "participation", "fact", "cause"),
        [
            markup.row(
                markup.time(one.at_ms) if isinstance(one.at_ms, int) else "not disclosed",
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
        yield markup.limited(("", "check", "what was found", "where"), [_checked(line) for line in lines])
        yield "</details>"


# Cells


def _checked(line: Line) -> tuple[str, ...]:
    code = "" if line.status is Status.VERIFIED else f"<code>{escape(line.code)}</code> "
    answer = f'<td class="s {line.status}">{markup.SIGNS[line.status]}&nbsp;{line.status}</td>'
    return answer, markup.cell(line.check), f"<td>{code}{escape(line.detail)}</td>", markup.cell(line.place)


def _is_at(line: Line, index: int) -> bool:
    return line.where.get("index") == index
