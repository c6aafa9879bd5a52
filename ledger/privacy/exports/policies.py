"""Export policies as data: one TOML file a policy, so that whoever is responsible can read and review what leaves.

Those of the package stand beside this module; a service adds its own, and its own win by name.
"""

from pathlib import Path
from typing import Annotated, Final

import msgspec

from ledger import plain_file, toml_text
from ledger.privacy.errors import ExportPolicyInvalid
from ledger.privacy.exports.policy import Policy, ProvablePolicy, UnlinkablePolicy
from ledger.records.privacy import LegalBasis, Purpose

FOLDER: Final = Path(__file__).with_name("policies")
MAX_BYTES: Final = 65_536
MAX_POLICIES: Final = 64


class PolicyFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file: what an export is for, what it is made of, and how; exactly one of `provable` and `unlinkable`."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,31}$(?!\n)")]
    purpose: Purpose
    legal_basis: LegalBasis
    records: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=16)]
    """Types of the records whose entries become rows."""
    reviewed: Annotated[str, msgspec.Meta(min_length=3, max_length=200)]
    """Who has looked at it, and when."""
    provable: ProvablePolicy | None = None
    unlinkable: UnlinkablePolicy | None = None

    def __post_init__(self) -> None:
        """Raises `ExportPolicyInvalid`."""
        if (self.provable is None) is (self.unlinkable is None):
            raise ExportPolicyInvalid("a policy is provable or unlinkable", expected="exactly one of the two tables")

    @property
    def policy(self) -> Policy:
        """The policy itself."""
        found = self.provable or self.unlinkable
        assert found is not None  # noqa: S101 -- __post_init__ saw to it
        return found


def read(path: Path) -> PolicyFile:
    """The policy in a file; raises `ExportPolicyInvalid`."""
    try:
        with plain_file.opened(path) as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ExportPolicyInvalid("the file is too large", expected=f"at most {MAX_BYTES} bytes", file=path.name)
        found = toml_text.decode(data, PolicyFile)
    except OSError as error:
        raise ExportPolicyInvalid("the file cannot be read", found=error.strerror, file=path.name) from None
    except msgspec.ValidationError as error:
        inner = error.__cause__
        reason = inner.detail if isinstance(inner, ExportPolicyInvalid) else str(error)
        raise ExportPolicyInvalid("the file does not fit", found=reason, file=path.name) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ExportPolicyInvalid("the file is not TOML", file=path.name) from None
    if found.name != path.stem:
        raise ExportPolicyInvalid("a policy has its file's name", expected=path.stem, found=found.name)
    return found


def load(own: Path | None = None) -> dict[str, PolicyFile]:
    """The package's policies and those in the folder `own`, by name; raises `ExportPolicyInvalid`."""
    found: dict[str, PolicyFile] = {}
    for folder in (FOLDER, own):
        if folder is None:
            continue
        paths = sorted(folder.glob("*.toml"))
        if len(paths) > MAX_POLICIES:
            raise ExportPolicyInvalid("too many policies", expected=f"at most {MAX_POLICIES}", found=len(paths))
        found.update({path.stem: read(path) for path in paths})
    return found
