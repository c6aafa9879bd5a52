"""The life of credentials: R-91 to R-94."""

from ledger.rules.errors.violated import RuleViolated


class CredentialUnintended(RuleViolated):
    """What is said to be issued was intended before: the same issuer, serial number and to-be-signed bytes."""

    code = "rules/credential-unintended"
    title = "Nobody intended this credential"
    number = "R-91"
    source = "record credential.intended"


class SerialReused(RuleViolated):
    """An authority gives a serial number once (RFC 5280 section 4.1.2.2)."""

    code = "rules/serial-reused"
    title = "The serial number was given before"
    number = "R-92"
    source = "record credential.intended"


class CredentialUnknown(RuleViolated):
    """What is revoked was intended, issued or adopted here."""

    code = "rules/credential-unknown"
    title = "No such credential is on record"
    number = "R-93"
    source = "record credential.revoked"


class CredentialEnded(RuleViolated):
    """A revocation is for ever: it is said once, and what was revoked is not issued afterwards."""

    code = "rules/credential-ended"
    title = "The credential was revoked"
    number = "R-94"
    source = "record credential.revoked"
