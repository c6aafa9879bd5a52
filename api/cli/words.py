"""Words that several commands use."""


def counted(number: int, one: str, many: str) -> str:
    """The number with the word that fits it: 1 entry, 2 entries."""
    return f"{number} {one if number == 1 else many}"
