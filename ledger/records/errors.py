"""Errors of records, statements and entries."""

from ledger.errors import Refused


class NotCanonical(Refused):
    """The bytes are not the one canonical form of what they say (docs/spec/canonical.md)."""

    code = "ledger/not-canonical"
    title = "Not in canonical form"


class RecordMalformed(Refused):
    """The record does not fit its schema: a field is unknown, missing, out of bounds or of the wrong type."""

    code = "ledger/record-malformed"
    title = "Record does not fit its schema"


class RecordTypeUnknown(Refused):
    """No record of that type and version is registered."""

    code = "ledger/record-type-unknown"
    title = "Unknown record type"


class PersonalInClear(Refused):
    """A field marked personal stands in clear where only its salted digest may stand."""

    code = "ledger/personal-in-clear"
    title = "Personal data in clear"


class StatementMalformed(Refused):
    """The statement is not a compact JWS of the shape that docs/spec/statement.md describes."""

    code = "ledger/statement-malformed"
    title = "Statement is malformed"


class StatementTooLarge(Refused):
    """The statement is larger than an entry can hold."""

    code = "ledger/statement-too-large"
    title = "Statement is too large"


class SignatureInvalid(Refused):
    """The signature does not verify under the key of the credential that the statement names."""

    code = "ledger/signature-invalid"
    title = "Signature does not verify"


class DisclosureMalformed(Refused):
    """A disclosure is not [salt, name, value] in the form of RFC 9901."""

    code = "ledger/disclosure-malformed"
    title = "Disclosure is malformed"


class DisclosureForeign(Refused):
    """A disclosure opens no digest of the statement that it came with, or a digest twice."""

    code = "ledger/disclosure-foreign"
    title = "Disclosure does not belong to the statement"


class DisclosureMissing(Refused):
    """A statement came without the disclosure that the ledger must keep."""

    code = "ledger/disclosure-missing"
    title = "Disclosure is missing"


class EntryMalformed(Refused):
    """The entry's bytes are not an entry of docs/spec/entry.md."""

    code = "ledger/entry-malformed"
    title = "Entry is malformed"
