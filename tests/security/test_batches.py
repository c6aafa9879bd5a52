"""A batch is no way around what holds for one statement."""

from api import wire
from api.cli.demo import cast
from ledger.store.errors import HistoryDiffers
from tests.support import house_acts
from tests.support.house import House, require_problem


async def test_nothing_is_taken_while_nothing_may_be_signed_be_it_one_or_a_batch(house: House) -> None:
    one = house.said(cast.FO, house_acts.request("fsr-late"), "fsr/fsr-late")
    house.service.publisher.stop(HistoryDiffers("a witness remembers more"))
    size = house.size()
    require_problem(await house.post(cast.FO, "/v1/requests", one), 500, HistoryDiffers.code)
    batch = wire.SubmissionBatch(statements=(one,))
    require_problem(await house.post(cast.FO, "/v1/statements", batch), 500, HistoryDiffers.code)
    assert house.size() == size
