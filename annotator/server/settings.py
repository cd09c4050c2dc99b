"""What a server can be set to, and who may use it."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from annotator.domain.brevity import brief
from annotator.domain.errors import UserError

TOKEN_VARIABLE = "ANNOTATOR_SERVER_TOKEN"
LEAST_TOKEN_LETTERS = 16


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Limits and ways.

    Attributes:
        host, port: where it listens; port 0 is any free one.
        tokens: whoever sends one of them is let in; without any everybody is, which only a loopback address may do.
        model, device: as in ``annotator predict``; None for the best.
        precision: "float32" or "bfloat16"; empty: the faster one that gives the same masks.
        embeddings_bytes: memory for encoded images with their pixels; the one used longest ago goes first.
        requests, requests_per_client: that are let in at a time; more are refused with 429.
        max_body_bytes: of an upload; max_prompt_body_bytes: of a body that only holds prompts.
        max_pixels: of an image.
        job_s: how long a request may wait and compute; body_s: how long its body may take to arrive.
        drain_s: how long a stop waits for what has begun.
        compat: contracts of other tools that are answered, too; see :mod:`annotator.server.compat`.
        label_studio_url, label_studio_token: where images of Label Studio's tasks are fetched, and no other place.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    tokens: tuple[str, ...] = ()
    model: str | None = None
    device: str | None = None
    precision: str = ""
    embeddings_bytes: int = 4 << 30
    requests: int = 64
    requests_per_client: int = 8
    max_body_bytes: int = 64 << 20
    max_prompt_body_bytes: int = 1 << 20
    max_pixels: int = 100_000_000
    job_s: float = 60.0
    body_s: float = 30.0
    drain_s: float = 10.0
    compat: tuple[str, ...] = ()
    label_studio_url: str = ""
    label_studio_token: str = ""

    def checked(self) -> ServerSettings:
        """Itself.

        Raises:
            UserError: it would be open to a network, or a token can be guessed.
        """
        if not self.tokens and not is_loopback(self.host):
            raise UserError(
                f"Anyone who reaches {self.host} could use this server.",
                f"Give --token-file FILE or set {TOKEN_VARIABLE}, or listen on 127.0.0.1.",
            )
        if any(len(token) < LEAST_TOKEN_LETTERS for token in self.tokens):
            raise UserError(
                f"A token has fewer than {LEAST_TOKEN_LETTERS} characters.",
                "Make one with: python -c 'import secrets; print(secrets.token_urlsafe())'",
            )
        if not all(token.isascii() and token.isprintable() and " " not in token for token in self.tokens):
            raise UserError("A token holds a space or a character outside ASCII.", "Use letters, digits, - and _.")
        return self

    def lets_in(self, authorization: bytes) -> bool:
        """Whether the header ``Authorization`` holds a token; takes as long for a wrong one as for a right one."""
        if not self.tokens:
            return True
        scheme, _, given = authorization.partition(b" ")
        digest = hashlib.sha256(given.strip()).digest()
        known = [hashlib.sha256(token.encode()).digest() for token in self.tokens]
        is_known = sum(hmac.compare_digest(digest, one) for one in known) > 0
        return is_known and scheme.lower() == b"bearer"

    def answers_to(self, host_header: bytes) -> bool:
        """Whether the header ``Host`` names this server. Without a token a web page could otherwise get in under a
        name of its own that leads to the loopback address."""
        if self.tokens:
            return True
        name = host_header.decode("latin-1").lower()
        name = name[: name.find("]") + 1] if name.startswith("[") else name.split(":", 1)[0]
        return name.strip("[]") == self.host.lower() or is_loopback(name.strip("[]"))


def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_tokens(file: Path | None) -> tuple[str, ...]:
    """Tokens of a file (one a line; ``#`` starts a comment) and of the environment.

    Raises:
        UserError: the file cannot be read, or holds none.
    """
    named = os.environ.get(TOKEN_VARIABLE, "").strip()
    found = [named] if named else []
    if file is not None:
        found += _tokens_in(file)
    return tuple(found)


def _tokens_in(file: Path) -> Sequence[str]:
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UserError(
            f"The tokens in {brief(file)} cannot be read ({reason}).", "Name a text file with a token."
        ) from error
    tokens = [text for line in lines if (text := line.strip()) and not text.startswith("#")]
    if not tokens:
        raise UserError(f"{brief(file)} holds no token.", "Write one into it, a line each.")
    return tokens
