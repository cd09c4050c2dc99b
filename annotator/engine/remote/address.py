"""Where a server is, and the token that lets one in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

import tomlkit
from tomlkit.exceptions import TOMLKitError

from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError
from annotator.files.atomic import write_atomic
from annotator.files.places import config_dir
from annotator.files.private import make_private_folder

DEFAULT_PORT = 8765
TOKEN_VARIABLE = "ANNOTATOR_SERVER_TOKEN"
_FILE = "servers.toml"
_SCHEMES = {"http": 80, "https": 443}
_MOST_LETTERS = 2000


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Of an ``annotator serve``: ``path`` is empty, or what a reverse proxy has put before its paths."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def text(self) -> str:
        """As a person types it, and as settings keep it."""
        return f"{self.scheme}://{self.place}{self.path}"

    @property
    def place(self) -> str:
        """Host and port, for the status bar."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_address(text: str) -> bool:
    """Whether a model's name is the address of a server."""
    return text.lower().startswith(("http://", "https://"))


def parse_address(text: str) -> ServerAddress:
    """Of ``http://host:8765``; a host alone is taken, too, with the port that servers have by default.

    Raises:
        ModelError: it is none; the message does not repeat a password that it holds.
    """
    text = text.strip()
    try:
        if not text or len(text) > _MOST_LETTERS or any(letter.isspace() or letter < " " for letter in text):
            raise ValueError
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port
        if parts.scheme not in _SCHEMES or not host or parts.query or parts.fragment or not host.isprintable():
            raise ValueError
    except ValueError:
        raise ModelError("That is no address of a server.", "Write it as http://host:8765.") from None
    if parts.username is not None or parts.password is not None:
        raise ModelError("The address holds a name or a password.", "Give the token in its own field.")
    default = DEFAULT_PORT if parts.scheme == "http" and not parts.path.strip("/") else _SCHEMES[parts.scheme]
    return ServerAddress(parts.scheme, host, port or default, parts.path.rstrip("/"))


def token_for(address: ServerAddress) -> str:
    """What was kept for this server, else what the environment names; empty when there is none.

    Raises:
        ModelError: the file of tokens cannot be read.
    """
    kept = _read().get(address.text)
    return kept if isinstance(kept, str) else os.environ.get(TOKEN_VARIABLE, "").strip()


def keep_token(address: ServerAddress, token: str) -> None:
    """Remember it in a file that only its owner reads; an empty one is forgotten.

    Raises:
        ModelError: the token holds what no header can carry, or the file cannot be written.
    """
    check_token(token)
    known = _read()
    if known.get(address.text, "") == token:
        return
    known.pop(address.text, None)
    if token:
        known[address.text] = token
    file = config_dir() / _FILE
    try:
        make_private_folder(file.parent, is_own=False)
        write_atomic(file, tomlkit.dumps(known).encode(), is_private=True)
    except OSError as error:
        raise ModelError(
            f"The token cannot be kept in {brief(file)} ({error.strerror}).", "Make the folder writable."
        ) from error


def check_token(token: str) -> None:
    """Raises:
    ModelError: the token holds what no header can carry.
    """
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise ModelError("The token holds a space or a character outside ASCII.", "Copy it once more.")


def _read() -> dict[str, object]:
    file = config_dir() / _FILE
    try:
        return dict(tomlkit.parse(file.read_text("utf-8")).unwrap())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TOMLKitError) as error:
        raise ModelError(f"{brief(file)} cannot be read.", "Delete it, and enter the servers' tokens again.") from error
