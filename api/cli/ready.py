"""How a command that serves says where it accepts: one line of JSON, and a file for whoever waits for it."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path


def tell(where: Mapping[str, object], ready_file: Path | None) -> None:
    """The line is on standard error, and in the file as a whole, where one is named."""
    said = json.dumps(where)
    if ready_file is not None:
        beside = ready_file.with_name(ready_file.name + ".part")
        beside.write_text(said)
        beside.rename(ready_file)
    print(said, file=sys.stderr, flush=True)
