"""The inputs of a committed baseline: there, readable, and leading to the series that the commitment states."""

from api.flows.desk import Desk, Opened
from api.flows.errors import AttachmentForeign, BaselineOther, TypeNotTaken
from api.verification import work
from ledger.records.evidence import BaselineCommitted


def require_inputs(desk: Desk, opened: Opened) -> None:
    """Raises unless the document that the commitment names is at hand and computes to the committed series.

    `AttachmentForeign` where it is missing, `NotCanonical` or `RecordMalformed` where it cannot be read,
    `BaselineOther` where it says something else.
    """
    said = opened.whole
    if not isinstance(said, BaselineCommitted):
        raise TypeNotTaken("this flow takes baselines", expected=BaselineCommitted.TYPE)
    attached = opened.attachments.get(said.inputs_sha256)
    stored = desk.engines.store.evidence(said.inputs_sha256)
    document = attached.data if attached is not None else stored[1] if stored is not None else None
    if document is None:
        raise AttachmentForeign("the baseline's inputs must come along", expected="an attachment with their digest")
    series = work.baseline_series(work.read_baseline(document))
    if series != said.baseline_w:
        raise BaselineOther("the inputs lead to another series", expected=len(series), found=len(said.baseline_w))
