"""What the pages refuse."""

from api.errors import Absent, Refused


class PageAbsent(Absent):
    """There is no such page; a wrong or missing secret gets the same answer."""

    code = "api/page-absent"
    title = "No such page"


class HostUnexpected(Refused):
    """The browser asked for another host than this process listens as: a page led it here under a name of its own."""

    code = "api/page-host"
    title = "Unexpected host"
