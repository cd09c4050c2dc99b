"""Which larger model to offer where only the embedded one is there, and whether it can be fetched from here."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from annotator.engine import weights
from annotator.engine.registry import ModelEntry

_PROBE_S = 4.0
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class ModelOffer:
    """``size_bytes`` of the file; ``is_reachable``: the place it comes from answers."""

    name: str
    size_bytes: int
    licence: str
    is_reachable: bool


def find_offer() -> ModelOffer | None:
    """The smallest SAM 2.1 when none is on this computer, else None. Asks the network: not for the GUI thread."""
    entries = [entry for entry in weights.registry().values() if entry.kind == "sam2" and entry.url and entry.rank > 0]
    if not entries or any(weights.find_file(entry) is not None for entry in entries):
        return None
    smallest = min(entries, key=lambda entry: entry.rank)
    return ModelOffer(smallest.name, smallest.bytes, smallest.licence, _answers(smallest))


def _answers(entry: ModelEntry) -> bool:
    """Whether the host takes a connection; nothing is transferred. Where a proxy is set, that is asked."""
    from requests.utils import get_environ_proxies

    proxies = get_environ_proxies(entry.url)
    place = urlsplit(proxies.get(urlsplit(entry.url).scheme) or entry.url)
    try:
        socket.create_connection((place.hostname or "", place.port or _PORTS[place.scheme]), _PROBE_S).close()
    except (OSError, KeyError, ValueError):
        return False
    return True
