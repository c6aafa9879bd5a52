"""Whether who asks wants its answer in gzip (RFC 9110 section 12.5.3)."""

from typing import Final

GZIP: Final = "gzip"
MAX_CODINGS: Final = 32
_NAMES: Final = frozenset({GZIP, "x-gzip", "*"})


def accepts_gzip(accept_encoding: str) -> bool:
    """True if the header asks for gzip, by name or by `*`, with a weight above zero; of at most `MAX_CODINGS` words.

    What cannot be read as a weight is taken for zero: who is not understood gets the plain bytes.
    """
    weights: dict[str, bool] = {}
    for word in accept_encoding.lower().split(",")[:MAX_CODINGS]:
        name, *parameters = (part.strip() for part in word.split(";"))
        if name in _NAMES:
            weights.setdefault(name, all(_is_positive(one) for one in parameters))
    # The name says more than the star.
    named = [weights[name] for name in (GZIP, "x-gzip") if name in weights]
    return any(named) if named else weights.get("*", False)


def _is_positive(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    if name.strip() != "q":
        return True
    try:
        return 0 < float(value) <= 1
    except ValueError:
        return False
