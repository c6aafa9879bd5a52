"""`python -m devcerts [--out FOLDER]`: mint the development hierarchy of `hierarchy.toml` into a new folder."""

import argparse
import sys
from pathlib import Path

from pki import ceremony
from pki.clock import SystemClock
from pki.errors import PkiError
from pki.lint import second_opinion

SPEC = Path(__file__).with_name("hierarchy.toml")
OUT = Path(__file__).with_name("out")


def main(arguments: list[str] | None = None) -> int:
    """0 when everything was written; 1 with the reason on standard error, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m devcerts", description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="a folder that does not hold a hierarchy yet")
    parser.add_argument("--signing-at-ms", type=int, help="when statements are signed (default: now)")
    chosen = parser.parse_args(arguments)
    now_ms = SystemClock().now_ms()
    try:
        made = ceremony.perform(
            ceremony.parse_spec(SPEC.read_bytes()),
            tls_now_ms=now_ms,
            signing_now_ms=chosen.signing_at_ms or now_ms,
            second_opinion=second_opinion.installed(),
        )
        ceremony.save(made, chosen.out, None)
    except PkiError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 1
    print(f"{len(made.parties)} parties and {len(made.stations)} stations in {chosen.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
