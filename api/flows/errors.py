"""Errors of the use cases."""

from api.errors import Absent, Busy, Refused


class OwnCredentialEnded(Busy):
    """The service's own statement credential has ended, was revoked, or its status is not known: it says nothing."""

    code = "api/own-credential"
    title = "The service cannot sign for now"


class PartyMismatch(Refused):
    """The statement speaks for another party or role than the certificate of the connection."""

    code = "api/party-mismatch"
    title = "Statement of another party"


class TypeNotTaken(Refused):
    """This resource does not take statements of that type."""

    code = "api/type-not-taken"
    title = "Statement of another kind"


class AttachmentForeign(Refused):
    """An attachment whose digest stands nowhere in the statement, or one that is missing."""

    code = "api/attachment-foreign"
    title = "Attachment does not belong to the statement"


class BaselineOther(Refused):
    """The inputs that came with a baseline do not compute to the series that it commits to."""

    code = "api/baseline-other"
    title = "Baseline does not follow from its inputs"


class PersonUnproven(Refused):
    """A person's own statement does not say what the organisation relays, or was not signed by that person."""

    code = "api/person-unproven"
    title = "The person's own statement does not prove this"


class PersonalMissing(Refused):
    """A personal member that this record needs came without its disclosure."""

    code = "api/personal-missing"
    title = "Personal member is missing"


class StatementStale(Refused):
    """The statement's own time is too far from the service's clock: an old one is replayed, or a clock is wrong."""

    code = "api/statement-stale"
    title = "Statement's time is off"


class NotConcerned(Absent):
    """What was asked for does not concern the caller, who learns no more than if it did not exist."""

    code = "api/not-concerned"
    title = "Not found"


class NothingToProve(Refused):
    """The request has not ended, or left no evidence."""

    code = "api/nothing-to-prove"
    title = "Nothing to prove yet"


class RefusalLimit(Refused):
    """The party was refused so often that further refusals are no longer written down one by one."""

    code = "api/refusal-limit"
    title = "Too many refused statements"


class DocumentOther(Refused):
    """The attribute certificate is not what is registered, or not by who registers it."""

    code = "api/document-other"
    title = "Document of another kind"


class SubjectOther(Refused):
    """A disclosure or an attachment was given to another person than the record is about; erasure would miss it."""

    code = "api/subject-other"
    title = "Personal data of another person"


class SubjectMissing(Refused):
    """Personal data of somebody in particular came without saying whose it is, and nothing in the log says so."""

    code = "api/subject-missing"
    title = "Whose data it is was not said"


class PolicyUnknown(Absent):
    """No export policy of that name is installed."""

    code = "api/policy-unknown"
    title = "Unknown export policy"


class ReceiptAbsent(Absent):
    """Nothing of that entry was erased, or not what was asked about."""

    code = "api/receipt-absent"
    title = "No erasure receipt"
