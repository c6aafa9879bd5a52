"""The field types of statements and entries; apart from `statement` because records use them too."""

from typing import Annotated

import msgspec

Jti = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{16,64}$(?!\n)")]
StreamName = Annotated[str, msgspec.Meta(pattern=r"^[a-z]{1,16}/[A-Za-z0-9._-]{1,80}$(?!\n)")]
Hash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
