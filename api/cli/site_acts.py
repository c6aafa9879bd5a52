"""What a CSO does with its sites from the command line: change, take out of service, look."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from api.cli import failures
from api.cli.party_acts import members_of, read, say_after, whole
from api.cli.words import one_of, utc
from api.client.client import AsyncClient
from api.client.party import PartyFile
from api.gateway import Said
from ledger.records.site_changes import AvailabilityChanged, SiteChanged
from ledger.records.sites import Operational

BASE: Final = "base_version"


def change(party_file: Path, record: Path, *, json: bool) -> int:
    """The changes that a file holds. Where it names no version it is read from the service first: whoever changes the
    site meanwhile is noticed, and the port refuses.
    """

    async def make(_: PartyFile, client: AsyncClient) -> Said:
        members = members_of(record)
        if BASE not in members:
            site_id = members.get("site_id")
            if not isinstance(site_id, str):
                raise failures.InputUnfit("the record names no site", expected="the member site_id")
            members[BASE] = await _version(client, site_id)
        return Said(type=SiteChanged.TYPE, record=members)

    return say_after(party_file, make, json=json)


def set_evse(party_file: Path, site_id: str, evse_id: str, *, operational: str, json: bool) -> int:
    """One EVSE is out of service, or in it, from now on."""
    wanted = one_of(Operational, operational)

    async def make(_: PartyFile, client: AsyncClient) -> Said:
        changes = (AvailabilityChanged(evse_id=evse_id, operational=wanted),)
        version = await _version(client, site_id)
        return whole(SiteChanged(site_id=site_id, base_version=version, changes=changes))

    return say_after(party_file, make, json=json)


async def _version(client: AsyncClient, site_id: str) -> int:
    return (await client.read_site(site_id)).latest_version


def sites(party_file: Path, *, limit: int, json: bool) -> int:
    """The sites that the party may see, in the order in which they were declared."""
    return read(party_file, f"/v1/sites?limit={limit}", _sites, json=json)


def show(party_file: Path, site_id: str, *, at_ms: int | None, json: bool) -> int:
    """A site with its EVSEs."""
    query = "" if at_ms is None else f"?at_ms={at_ms}"
    return read(party_file, f"/v1/sites/{site_id}{query}", _site, json=json)


def _sites(page: Mapping[str, Any]) -> str:
    lines = [f"{one['site_id']}  version {one['version']}" for one in page["sites"]]
    more = [f"more after {page['next']}"] if page["next"] else []
    return "\n".join([*(lines or ["no sites"]), *more])


def _site(view: Mapping[str, Any]) -> str:
    head = (
        f"{view['site_id']}  version {view['version']} since {utc(view['declared_at_ms'])}  "
        f"{view['import_limit_w']} W in, {view['export_limit_w']} W out"
    )
    evses = [
        f"  {one['evse_id']}  {one['kind']}  charges {one['max_charge_w']} W, discharges {one['max_discharge_w']} W  "
        f"{one.get('operational', Operational.OPERATIVE)}"
        for one in view["evses"]
    ]
    forecasts = [
        f"  {utc(one['from_ms'])} to {utc(one['until_ms'])}  {one['up_w']} W up, {one['down_w']} W down, "
        f"for {one['duration_s']} s"
        for one in view["forecasts"]
    ]
    return "\n".join([head, *evses, *forecasts])
