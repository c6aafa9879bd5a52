"""Who holds a contract: an operator learns of its own contracts only, and every question is on record."""

from api import wire
from api.flows.desk import Desk, Opened
from api.flows.errors import TypeNotTaken
from ledger.records.contracts import HoldersAnswered, HoldersAsked


async def answer(desk: Desk, opened: Opened) -> wire.Accepted:
    """Of the contracts that the question means by blinded ids the asker's own, or a rough number if it means none."""
    asked = opened.whole
    if not isinstance(asked, HoldersAsked):
        raise TypeNotTaken("this flow answers questions about holders", expected=HoldersAsked.TYPE)
    result = HoldersAnswered(
        query_id=asked.query_id,
        matches=desk.state.held(asked, opened.actor.party, desk.clock.now_ms()),
        count=None if asked.candidates else desk.state.counted(asked),
    )
    return await desk.say(result, f"discovery/{asked.query_id}")
