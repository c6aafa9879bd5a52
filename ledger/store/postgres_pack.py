"""How columns go to a PostgreSQL server: each as one text or one row of octets, not as an array.

The driver looks at every element of an array, at half a microsecond each, and a batch has a dozen columns; a text is
joined at once, and the server takes it apart.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from secrets import token_hex
from typing import Any, Final

SEPARATOR: Final = "\x1f"
NOTHING: Final = "n"
"""What stands for NULL among numbers."""


class Packed:
    """The parameters of one statement in the making; each call gives the SQL by which the server gets at its values."""

    def __init__(self) -> None:
        """None yet."""
        self.values: list[Any] = []

    def one(self, value: Any) -> str:
        """A single value, as it is."""
        self.values.append(value)
        return f"${len(self.values)}"

    def texts(self, values: Sequence[str]) -> str:
        """An array of texts, whatever stands in them."""
        separator = SEPARATOR
        # An element before the first one: without it, one empty text would be no element at all.
        text = separator.join(["", *values])
        while text.count(separator) != len(values):
            separator = SEPARATOR + token_hex(8)
            text = separator.join(["", *values])
        return f"(string_to_array({self.one(text)}::text, {self.one(separator)}::text))[2:]"

    def numbers(self, values: Iterable[int | None]) -> str:
        """An array of whole numbers and NULLs."""
        text = ",".join([NOTHING if value is None else str(value) for value in values])
        return f"string_to_array({self.one(text)}::text, ',', '{NOTHING}')::bigint[]"

    def octets(self, values: Sequence[bytes | None]) -> tuple[str, str, str]:
        """Rows of octets and NULLs: all in one, and two arrays that say where in it each begins and how long it is."""
        lengths = [0 if value is None else len(value) for value in values]
        starts = [
            None if value is None else end - length + 1
            for value, end, length in zip(values, accumulate(lengths), lengths, strict=True)
        ]
        whole = self.one(b"".join([value for value in values if value is not None]))
        return f"{whole}::bytea", self.numbers(starts), self.numbers(lengths)
