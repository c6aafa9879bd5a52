"""One subject, one name: identifiers are brought to one form before they are looked up."""

import unicodedata
from typing import Final

from ledger.privacy.errors import SubjectNameRefused

MAX_NAME_LENGTH: Final = 256


def normalise(name: str) -> str:
    """`name` in NFKC, without white space around it and without invisible characters, in lower case.

    Whatever is then not printable ASCII is refused: the identifiers of this trade (parties, contracts, EVCCID, VIN,
    EVSE) are ASCII, and a Cyrillic letter that looks like a Latin one would make a second subject of one person.
    """
    if len(name) > MAX_NAME_LENGTH:
        raise SubjectNameRefused("too long", expected=f"at most {MAX_NAME_LENGTH}", found=len(name))
    if name.isascii():
        # NFKC changes nothing in ASCII, and none of its characters is of the category Cf.
        visible = name.strip()
    else:
        folded = unicodedata.normalize("NFKC", name)
        visible = "".join(one for one in folded if unicodedata.category(one) != "Cf").strip()
    if not visible:
        raise SubjectNameRefused("empty")
    if not (visible.isascii() and visible.isprintable()):
        raise SubjectNameRefused("not plain ASCII after normalisation (NFKC)")
    return visible.casefold()
