"""`flexledger pki invite`: a one-time code, on the machine of the office."""

from pathlib import Path

from api.cli.pki_offline import DONE, answered, opened, say
from api.flows.enrolment import MAX_LIFETIME_MS, fitting
from ledger.clock import SystemClock
from pki.profiles import HOUR_MS
from pki.store.codes import Invitation


def run(config: Path, asked: Invitation, *, hours: int | None, json: bool) -> int:
    """Exit code 0 with the code, 2 without."""
    return answered(lambda: _invite(config, asked, hours, json))


def _invite(config: Path, asked: Invitation, hours: int | None, json: bool) -> int:
    with opened(config) as office:
        issuing = office.settings.issuing
        lifetime_ms = (hours or (issuing.code_lifetime_hours if issuing is not None else 1)) * HOUR_MS
        invitation = fitting(asked)
        expires_at_ms = SystemClock().now_ms() + min(lifetime_ms, MAX_LIFETIME_MS)
        code = office.issuing.codes.invite(invitation, expires_at_ms=expires_at_ms)
    document = {
        "code": code,
        "role": invitation.role,
        "party_id": invitation.party_id,
        "purposes": invitation.purposes,
        "expires_at_ms": expires_at_ms,
    }
    text = (
        f"{code}\n"
        f"  for {invitation.role} {invitation.party_id}: {', '.join(invitation.purposes).lower()}; shown this once\n"
        f"  next, there: flexledger enroll {code} --service https://... --ca root.pem --out credentials"
    )
    say(document, text, json=json)
    return DONE
