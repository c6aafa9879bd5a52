"""`flexledger pki invite`, `invitations` and `withdraw`: one-time codes, on the machine of the office."""

from pathlib import Path

from api.cli.pki_offline import DONE, answered, opened, say
from api.cli.words import counted, utc
from api.flows.enrolment import MAX_LIFETIME_MS, fitting
from ledger.clock import SystemClock
from pki.profiles import HOUR_MS
from pki.store.codes import Invitation


def run(config: Path, asked: Invitation, *, hours: int | None, json: bool) -> int:
    """Exit code 0 with the code, 2 without."""
    return answered(lambda: _invite(config, asked, hours, json), json=json)


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


def listed(config: Path, *, json: bool) -> int:
    """Exit code 0 with the codes that are still good, 2 if they cannot be read."""

    def act() -> int:
        with opened(config) as office:
            found = office.issuing.codes.still_open(SystemClock().now_ms())
        rows = [
            {
                "id": one.id,
                "role": one.invitation.role,
                "party_id": one.invitation.party_id,
                "station_id": one.invitation.station_id,
                "purposes": one.purposes,
                "expires_at_ms": one.expires_at_ms,
            }
            for one in found
        ]
        lines = [
            f"{one.id}  {one.invitation.role} {one.invitation.party_id}: {', '.join(one.purposes).lower()}"
            f" until {utc(one.expires_at_ms)}"
            for one in found
        ]
        say({"invitations": rows}, "\n".join([*lines, counted(len(rows), "code", "codes")]), json=json)
        return DONE

    return answered(act, json=json)


def withdraw(config: Path, code_id: str, *, json: bool) -> int:
    """Exit code 0 when the code is good for nothing any more, 2 if there is none of this id."""

    def act() -> int:
        with opened(config) as office:
            office.issuing.codes.withdraw(code_id.partition(":")[0])
        say({"withdrawn": code_id.partition(":")[0]}, f"withdrawn {code_id.partition(':')[0]}", json=json)
        return DONE

    return answered(act, json=json)
