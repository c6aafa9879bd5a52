"""From the options of a command to what is asked for."""

from collections.abc import Sequence

import typer

from pki.roles import Purpose, Role, Service
from pki.store.codes import Invitation


def asked(
    role: str,
    purposes: Sequence[str],
    party: str,
    organisation: str,
    services: Sequence[str] | None,
    hosts: Sequence[str] | None,
    station: str | None,
) -> Invitation:
    """The invitation that the options describe; a word that is none of ours is a usage error."""
    try:
        return Invitation(
            role=Role(role.upper()),
            party_id=party,
            purposes=tuple(Purpose(one.upper().replace("-", "_")) for one in purposes),
            organisation=organisation,
            services=tuple(Service(one.upper()) for one in services or ()),
            dns_names=tuple(hosts or ()),
            station_id=station,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
