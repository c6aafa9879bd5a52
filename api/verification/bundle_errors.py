"""What a bundle's evidence can be short of, or say wrongly."""

from api.errors import Absent, Refused


class EvidenceErased(Absent):
    """It was erased lawfully, and a tombstone in the log says so: neither a pass nor a failure."""

    code = "verify/erased"
    title = "Erased"


class EvidenceAbsent(Absent):
    """The bundle does not have what is needed to know; nobody is accused by that."""

    code = "verify/evidence-absent"
    title = "Evidence is missing"


class EvidenceSurplus(Refused):
    """The bundle holds something that proves nothing: whatever is changed there would go unnoticed."""

    code = "verify/surplus"
    title = "Bundle holds what nothing needs"


class EvidenceForeign(Refused):
    """A document is not the one that its digest names, or opens nothing in this bundle."""

    code = "verify/foreign"
    title = "Evidence does not belong here"


class RecomputedOther(Refused):
    """The evidence gives another result than the one that was recorded."""

    code = "verify/recomputed-other"
    title = "Recomputed result differs"


class StreamMissing(Refused):
    """A whole stream that the request rests on is not in the bundle."""

    code = "verify/stream-missing"
    title = "Stream is missing"


class EntryForeign(Refused):
    """An entry of a stream that the request does not rest on."""

    code = "verify/entry-foreign"
    title = "Entry does not belong here"


class SubmitterOther(Refused):
    """The entry says that another party handed the statement in than the one that signed it."""

    code = "verify/submitter-other"
    title = "Handed in by another party"


class CheckpointForeign(Refused):
    """The checkpoint carries signature lines that nobody here can check."""

    code = "verify/checkpoint-lines"
    title = "Unknown signature lines"


class RelayOther(Refused):
    """The person's own statement is not the one that was relayed."""

    code = "verify/relay-other"
    title = "Relayed statement differs"


class MeterRefused(Refused):
    """The meter's signed values are evidence against what was recorded."""

    code = "verify/meter-refused"
    title = "Meter values contradict"


class MandateUnproven(Refused):
    """No system operator's credential verifies the directive behind a mandate."""

    code = "verify/mandate-unproven"
    title = "Mandate is not proven"
