"""What the privacy officer's routes share."""

from typing import Annotated

import msgspec

from api.web.identity import require
from ledger.records.marks import Category, shown_personal
from pki.roles import Role

OFFICER = [require(Role.DPO)]
PRIVATE = {"cache-control": "private, no-store"}

Pseudonym = Annotated[str, shown_personal(Category.IDENTITY, "direct")]


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """It was done; the log has nothing to say of it."""

    done: bool = True
