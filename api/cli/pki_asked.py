"""From the options of a command to what is asked for."""

from collections.abc import Sequence

import typer

from api.cli.words import one_of
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
            role=one_of(Role, role),
            party_id=party,
            purposes=tuple(one_of(Purpose, one) for one in purposes),
            organisation=organisation,
            services=tuple(one_of(Service, one) for one in services or ()),
            dns_names=tuple(hosts or ()),
            station_id=station,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
