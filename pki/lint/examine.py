"""Run every rule; a finding blocks."""

from pki.errors import Refused
from pki.lint.rules import RULES
from pki.lint.subject import Examined


class LintFailed(Refused):
    """The certificate that was about to be signed breaks a rule; nothing was signed."""

    code = "pki/lint-failed"
    title = "Certificate fails its lint"


def examine(examined: Examined) -> None:
    """Passes if no rule finds anything; else LintFailed names every finding with its rule and citation."""
    findings = [f"{rule.name}: {text} ({rule.citation})" for rule in RULES for text in rule.check(examined)]
    if findings:
        raise LintFailed("; ".join(findings), expected="no finding", found=len(findings))
