"""Errors of the certificate office."""

from api.errors import Absent, Broken, Busy, Refused


class OfficeAbsent(Absent):
    """This service issues nothing: its settings name no authorities."""

    code = "api/office-absent"
    title = "No certificate office here"


class OfficeBusy(Busy):
    """More callers wait for the office than it lets wait."""

    code = "api/office-busy"
    title = "Certificate office is busy"


class JournalLate(Busy):
    """The log did not confirm in time what the office was about to do, so it did not do it."""

    code = "api/journal-late"
    title = "Log did not confirm in time"


class JournalMisused(Broken):
    """The office's journal was asked on the thread that it has to wait for."""

    code = "api/journal-misused"
    title = "Journal used on the wrong thread"


class CredentialNotFound(Absent):
    """No credential of this name was issued here, or it is none of the caller's."""

    code = "api/credential-not-found"
    title = "Credential not found"


class RenewalRefused(Refused):
    """What is to be renewed was revoked, was never issued to the caller, or the request names somebody else."""

    code = "api/renewal-refused"
    title = "Credential is not renewed"


class InvitationUnfit(Refused):
    """The invitation does not say what a credential needs, or asks for what is not issued."""

    code = "api/invitation-unfit"
    title = "Invitation does not fit"


class InvitationNotFound(Absent):
    """There is no enrolment code of this id, or it is not good any more."""

    code = "api/invitation-not-found"
    title = "Invitation not found"


class ServiceCredential(Refused):
    """The service itself works with this credential, or could: that it ends is for operations to say."""

    code = "api/service-credential"
    title = "Credential of the service"


class CodeRefused(Refused):
    """The enrolment code is unknown, wrong, used or too old; which of these, only its holder learns."""

    code = "api/code-refused"
    title = "Enrolment code refused"

    challenge = 'Basic realm="flexledger enrolment", charset="UTF-8"'
