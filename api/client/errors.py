"""What can go wrong between a client and the service; each class is one stable code."""

from api.errors import ApiError, Busy, Refused


class RemoteProblem(ApiError):
    """The service answered with a problem; `code`, `title`, `status` and `instance` are the service's own."""

    code = "api/remote-problem"
    title = "The service refused"

    def __init__(
        self,
        detail: str,
        *,
        code: str,
        status: int,
        title: str = "",
        instance: str | None = None,
        expected: str | None = None,
        found: str | None = None,
        where: dict[str, str | int] | None = None,
        body: bytes = b"",
    ) -> None:
        """`body` is the problem document as it came, for those who hand it on."""
        # The class has the code of the kind, the instance the code of the case.
        self.__dict__.update(code=code, title=title or type(self).title)
        self.status = status
        self.instance = instance
        self.body = body
        super().__init__(detail or title or code, expected=expected, found=found, **(where or {}))


class Unreachable(Busy):
    """The service could not be reached, or did not answer in time; whether it acted is unknown, so ask again."""

    code = "api/unreachable"
    title = "Service is unreachable"


class HandshakeRefused(Refused):
    """TLS was refused, by the service or by us; `found` is OpenSSL's reason. Trying again changes nothing."""

    code = "api/tls-refused"
    title = "TLS handshake refused"


class AnswerMalformed(Refused):
    """The service answered something that its interface does not allow."""

    code = "api/answer-malformed"
    title = "Answer is malformed"


class ReceiptMismatch(Refused):
    """The receipt is well-formed and is not for the statement that was sent: keep both, they are evidence."""

    code = "api/receipt-mismatch"
    title = "Receipt is not for this statement"


class UrlRefused(Refused):
    """The URL is none that is asked or posted to: https, a host name or a public address, and nothing hidden in it."""

    code = "api/url-refused"
    title = "URL is not used"


class AddressRefused(Refused):
    """The host has an address that is not public, and that the settings do not allow."""

    code = "api/address-refused"
    title = "Address is not posted to"
