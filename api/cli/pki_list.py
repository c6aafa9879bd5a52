"""`flexledger pki list` and `status`: what was issued, whether it holds, and why not."""

from pathlib import Path
from typing import Any

from api.cli.pki_offline import DONE, FOUND, Offline, answered, name_of, opened, say
from api.cli.words import one_of, utc
from api.errors import ApiError
from pki.errors import PkiError
from pki.roles import Purpose, Role
from pki.store.listing import Listed, Sought
from pki.store.records import Issued


def run(config: Path, sought: Sought, *, json: bool) -> int:
    """Exit code 0 with the list, which may be empty; 2 without."""

    def act() -> int:
        with opened(config) as office:
            found = office.issuing.listing.all(sought)
        rows = [_row(one) for one in found]
        lines = [
            f"{row['name']}  {row['profile']:<20} {row['party'] or '-':<20} until {utc(row['not_after_ms'])}"
            + (f"  REVOKED {row['reason']}" if row["reason"] else "")
            for row in rows
        ]
        say({"credentials": rows}, "\n".join([*lines, f"{len(rows)} credentials"]), json=json)
        return DONE

    return answered(act, json=json)


def sought(role: str | None, party: str | None, purpose: str | None, *, revoked: bool | None) -> Sought:
    """What the options of `list` ask for."""
    return Sought(
        role=None if role is None else one_of(Role, role),
        party_id=party,
        purpose=None if purpose is None else one_of(Purpose, purpose),
        is_revoked=revoked,
    )


def status(config: Path, name: str, *, json: bool) -> int:
    """Exit code 0 if the certificate holds now, 1 if it does not, 2 if nobody here knows it."""

    def act() -> int:
        with opened(config) as office:
            held = office.held(name)
            wrong = why_not(office, held)
            standing = office.issuing.store.revocation_of(held.issuer_key_sha256, held.serial)
        document = {
            **_row(Listed(0, held, standing)),
            "holds": wrong is None,
            "code": None if wrong is None else wrong.code,
            "detail": None if wrong is None else wrong.message(),
        }
        verdict = "holds" if wrong is None else f"does not hold: {wrong.code}: {wrong.message()}"
        say(document, f"{name_of(held)}\n  {held.profile} of {held.party_id}: {verdict}", json=json)
        return DONE if wrong is None else FOUND

    return answered(act, json=json)


def why_not(office: Offline, held: Issued) -> ApiError | PkiError | None:
    """What is wrong with the certificate now by the evidence in the folders; None if nothing is."""
    purpose = held.purpose or Purpose.TLS_CLIENT
    try:
        directory = office.directory()
        revoked = office.issuing.store.revocation_of(held.issuer_key_sha256, held.serial)
        if revoked is not None:
            # A person's certificate is on no list; the store knows all the same.
            directory.revoke(held.issuer_key_sha256, held.serial, revoked.revoked_at_ms)
        directory.validate(held.der, office.now_ms(purpose), purpose=purpose)
    except (ApiError, PkiError) as error:
        return error
    return None


def _row(listed: Listed) -> dict[str, Any]:
    held, standing = listed.issued, listed.revocation
    return {
        "name": name_of(held),
        "profile": held.profile,
        "party": held.party_id,
        "station": held.station_id,
        "not_before_ms": held.not_before_ms,
        "not_after_ms": held.not_after_ms,
        "revoked_at_ms": None if standing is None else standing.revoked_at_ms,
        "reason": None if standing is None else standing.reason.value,
        "invalid_from_ms": None if standing is None else standing.invalid_from_ms,
    }
