"""What conformance tests share: they say how many cases of which suite they looked at."""

from collections.abc import Callable

import pytest

from tests.support.suites import RAN, SUITES


@pytest.fixture
def ran(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """Call it with a suite and how many of its cases this test looks at; each case is counted by one test only."""

    def note(suite: str, cases: int) -> None:
        assert suite in SUITES
        assert cases > 0, f"there is no case in '{suite}'"
        record_property(RAN, [suite, cases])

    return note
