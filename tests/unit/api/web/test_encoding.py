"""Gzip is for whoever asks for it in words that can be understood."""

import pytest

from api.web.encoding import accepts_gzip


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("gzip", True),
        ("GZip, br", True),
        ("br;q=1, gzip;q=0.001", True),
        ("*", True),
        ("x-gzip", True),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("*;q=0", False),
        ("gzip;q=high", False),
        ("gzip;q=nan", False),
        ("gzip;q=2", False),
        ("identity", False),
        ("", False),
        ("," * 40 + "gzip", False),
    ],
)
def test_who_wants_gzip_says_so(header: str, wanted: bool) -> None:
    assert accepts_gzip(header) is wanted
