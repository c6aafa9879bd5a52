"""Run as a script: the command line, whose persons are canaries (`tests.support.canaries`)."""

import sys
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from api.cli.entry import main
from pki import names
from tests.support import canaries

COMMAND: Final = (sys.executable, "-P", str(Path(__file__)))
"""What to run instead of `python -m api`; -P, or the modules beside this one would stand before the library's."""

if __name__ == "__main__":
    names.new_pseudonym = canaries.marked_pseudonym
    main()
