"""`flexledger pki revoke` and `crl`: on the machine of the office; a running service takes up the list in a second."""

from pathlib import Path

from api.cli.pki_offline import DONE, answered, name_of, opened, say
from pki.roles import Group
from pki.store.records import Reason


def run(config: Path, name: str, *, reason: Reason, json: bool) -> int:
    """Exit code 0 when it is revoked and the lists say so, 2 when not."""

    def act() -> int:
        with opened(config) as office:
            held = office.held(name)
            at_ms = office.now_ms(held.purpose)
            standing = office.issuing.hierarchy.revoke(held.issuer_key_sha256, held.serial, reason, at_ms)
            lists = office.publish(held.issuer_key_sha256)
            document = {
                "name": name_of(held),
                "revoked_at_ms": standing.revoked_at_ms,
                "reason": standing.reason,
                "lists": lists,
            }
            text = f"revoked {name_of(held)}\n  {standing.reason} at {standing.revoked_at_ms}; {lists} lists written"
            say(document, text, json=json)
        return DONE

    return answered(act)


def lists(config: Path, *, json: bool) -> int:
    """Exit code 0 when every issuing authority has a list made just now, 2 when not."""

    def act() -> int:
        with opened(config) as office:
            made = {group: office.publish(office.issuing.hierarchy.issuing[group].key_sha256) for group in Group}
            say(made, f"{sum(made.values())} lists written to {office.settings.pki.crl_dir.name}", json=json)
        return DONE

    return answered(act)
