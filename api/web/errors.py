"""What can be wrong with a request before any flow sees it; each class is one stable code."""

from collections.abc import Sequence

from api.errors import Absent, Broken, Busy, Refused
from api.wire import Invalid


class RouteUnknown(Absent):
    """No resource has this path."""

    code = "api/route-unknown"
    title = "No such resource"


class MethodNotAllowed(Refused):
    """The resource exists and does not take this method; `Allow` names those that it takes."""

    code = "api/method-not-allowed"
    title = "Method not allowed"

    def __init__(self, detail: str, *, allow: Sequence[str]) -> None:
        """`allow` are the methods that the resource takes."""
        self.allow = tuple(allow)
        super().__init__(detail, expected=", ".join(self.allow))


class RequestMalformed(Refused):
    """The path, the query, a header or the body does not fit what the resource takes."""

    code = "api/request-malformed"
    title = "Request is malformed"

    def __init__(self, detail: str, *, found: object | None = None, errors: tuple[Invalid, ...] = ()) -> None:
        """`errors` says what was wanted, and where."""
        self.errors = errors
        super().__init__(detail, found=found)


class MediaTypeUnsupported(Refused):
    """The resource does not take a body of this media type."""

    code = "api/media-type-unsupported"
    title = "Unsupported media type"


class BodyTooLarge(Refused):
    """The body is larger than the service reads; it was not read to its end."""

    code = "api/body-too-large"
    title = "Body is too large"


class CrossSite(Refused):
    """A page of somebody else made a browser ask, with the certificate that the browser holds."""

    code = "api/cross-site"
    title = "Asked by another site's page"


class CredentialMissing(Refused):
    """The resource is for authenticated parties, and no client certificate was shown."""

    code = "api/credential-missing"
    title = "Client certificate needed"


class CredentialRefused(Refused):
    """The client certificate is no credential of a party here; `found` is the code of the reason."""

    code = "api/credential-refused"
    title = "Client certificate refused"


class CredentialUndecided(Busy):
    """There is no good evidence now whether the client certificate was revoked; `found` is the code of the reason."""

    code = "api/credential-undecided"
    title = "Client certificate cannot be judged now"


class RoleNotAllowed(Refused):
    """The party is known, and the resource is for other roles."""

    code = "api/role-not-allowed"
    title = "Role not allowed"


class RateLimited(Busy):
    """The party, or the address of a caller without certificate, made too many requests."""

    code = "api/rate-limited"
    title = "Too many requests"

    def __init__(self, detail: str, *, retry_after_s: int) -> None:
        """`retry_after_s` is when the next request will be admitted."""
        self.retry_after_s = retry_after_s
        super().__init__(detail, expected=f"the next request in {retry_after_s} s")


class NotReady(Busy):
    """A part that the service needs does not answer; `found` names the probes that failed."""

    code = "api/not-ready"
    title = "Not ready"


class ListenerFailed(Refused):
    """A listener could not start: its address is taken or not ours, or the application did not start."""

    code = "api/listener-failed"
    title = "Listener did not start"


class Internal(Broken):
    """Something failed that has no code of its own; the log has a line with the same `instance`."""

    code = "api/internal"
    title = "Internal error"
