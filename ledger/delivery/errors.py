"""What `ledger.delivery` refuses; every class has a stable code."""

from ledger.errors import Refused


class OcmfMalformed(Refused):
    """The text is not an OCMF record, or is beyond a limit."""

    code = "ledger/ocmf-malformed"
    title = "Not an OCMF record"


class OcmfSignature(Refused):
    """The signature does not hold over the payload under the bound key."""

    code = "ledger/ocmf-signature"
    title = "The meter's signature does not hold"


class OcmfUnsupported(Refused):
    """The curve or algorithm is not available here; says nothing about the signature."""

    code = "ledger/ocmf-unsupported"
    title = "The meter's signature algorithm is not available"


class OcmfKeyMismatch(Refused):
    """The bound key is of another kind than the record's signature algorithm."""

    code = "ledger/ocmf-key-mismatch"
    title = "The bound key does not fit the signature algorithm"


class OcmfKeyMalformed(Refused):
    """The bound key is not a DER SubjectPublicKeyInfo."""

    code = "ledger/ocmf-key-malformed"
    title = "The bound key cannot be read"


class SamplesMalformed(Refused):
    """The bytes are not a sample body, the samples are out of order, or a limit is passed."""

    code = "ledger/samples-malformed"
    title = "Not a sample body"


class SampleProofRefused(Refused):
    """The second is not under the root, or has no samples."""

    code = "ledger/sample-proof"
    title = "The second is not under the root"


class BaselineRefused(Refused):
    """The baseline's inputs are incomplete, contradictory or beyond a limit."""

    code = "ledger/baseline-inputs"
    title = "The baseline cannot be computed"


class BaselineDaysRefused(Refused):
    """A calendar day before the event is neither used nor excluded with a reason, or is both."""

    code = "ledger/baseline-days"
    title = "The baseline's days do not add up"


class WorkRefused(Refused):
    """The inputs of a verdict or a settlement are incomplete, contradictory or beyond a limit."""

    code = "ledger/work-inputs"
    title = "The work cannot be computed"


class StationRootMalformed(Refused):
    """The text is not a signed message with a sample root, or is beyond a limit."""

    code = "ledger/station-root-malformed"
    title = "Not a signed sample root"


class StationRootSignature(Refused):
    """The signature does not hold under the key of the station's credential, or is of another algorithm."""

    code = "ledger/station-root-signature"
    title = "The station's signature does not hold"


class StationRootForeign(Refused):
    """The signed root is of another station, EVSE, window or sample body, or of another time."""

    code = "ledger/station-root-foreign"
    title = "The station signed something else"


class StationRootReplayed(Refused):
    """The same signed words were shown before, for another batch."""

    code = "ledger/station-root-replayed"
    title = "The station's words were used before"
