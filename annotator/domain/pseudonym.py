"""Names for what must not be named: the same within a project, and of no use outside of it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from functools import lru_cache

SALT_BYTES = 32


def new_salt() -> str:
    """A project's own secret, hexadecimal."""
    return secrets.token_hex(SALT_BYTES)


@lru_cache(maxsize=1024)
def pseudonym(salt: str, kind: str, identifier: str) -> str:
    """32 hexadecimal characters that stand for an identifier (a UID, a patient's number).

    Whoever has the salt can only test a guess; whoever has not learns nothing, not even whether two projects hold the
    same series.

    Args:
        kind: what is named; the same text of another kind gets another name.
    """
    text = f"{kind}\0{identifier}".encode("utf-8", "surrogatepass")
    return hmac.new(salt.encode("ascii"), text, hashlib.sha256).hexdigest()[:32]
