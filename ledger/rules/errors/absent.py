"""Questions to the projection that name nothing on record."""

from ledger.errors import Absent


class RequestAbsent(Absent):
    """No such request is on record."""

    code = "rules/absent-request"
    title = "No such request"


class ContractAbsent(Absent):
    """No such contract is on record."""

    code = "rules/absent-contract"
    title = "No such contract"


class SiteAbsent(Absent):
    """No such site is on record."""

    code = "rules/absent-site"
    title = "No such site"
