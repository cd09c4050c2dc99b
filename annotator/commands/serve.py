"""``annotator serve``: the engine over HTTP."""

from __future__ import annotations

import argparse
import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.commands.precision_option import PRECISIONS, add_precision_argument
from annotator.commands.ray_option import add_share_argument, share_of
from annotator.domain.brevity import brief
from annotator.domain.errors import UserError

if TYPE_CHECKING:
    from annotator.server.settings import ServerSettings

_COMPAT = ("label-studio", "cvat", "x-anylabeling", "nninteractive")
LABEL_STUDIO_TOKEN = "LABEL_STUDIO_TOKEN"
_PACKAGES = ("fastapi", "uvicorn", "prometheus_client")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; another than loopback needs a token")
    parser.add_argument("--port", type=_count(0, 65535), default=8765, help="0: any free one, which is printed")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="whoever sends a token in it is let in; one a line"
    )
    parser.add_argument(
        "--compat", default="", metavar="NAMES", help=f"answer other tools, too: {', '.join(_COMPAT)}; with commas"
    )
    parser.add_argument("--label-studio-url", default="", metavar="URL", help="images of its tasks are fetched there")
    parser.add_argument("--model", metavar="NAME|PATH", help="a model of the registry, or a checkpoint file")
    _add_ray_arguments(parser.add_argument_group("replicas", "on a Ray cluster; needs annotator[ray]"))
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), help="where the model runs (default: the best)")
    add_precision_argument(parser)
    parser.add_argument(
        "--embeddings-mib", type=_count(1), default=4096, metavar="N", help="memory for open images (default 4096)"
    )
    parser.add_argument(
        "--requests", type=_count(1), default=64, metavar="N", help="let in at a time, others get 429 (default 64)"
    )
    parser.add_argument(
        "--per-client", type=_count(1), default=8, metavar="N", help="of these from one client (default 8)"
    )
    parser.add_argument("--max-body-mib", type=_count(1), default=64, metavar="N", help="largest upload (default 64)")
    parser.add_argument(
        "--max-megapixels", type=_count(1), default=100, metavar="N", help="largest image (default 100)"
    )
    parser.add_argument(
        "--request-seconds", type=_count(1), default=60, metavar="N", help="longest wait for an answer (default 60)"
    )
    parser.add_argument(
        "--stop-seconds", type=_count(1), default=10, metavar="N", help="a stop waits for what has begun (default 10)"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until it is stopped by Ctrl+C or SIGTERM.

    Raises:
        UserError: the extra is not installed, no token for a network, the address cannot be had, no such model.
    """
    for name in _PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UserError(
                f"The server needs the package {brief(name)}, which is not installed.",
                "Run: pip install 'annotator[serve]'",
            ) from error
    from annotator.server.process import serve

    settings = _settings(args)
    if args.ray is None:
        serve(settings)
        return 0
    from annotator.commands.serve_on_ray import Spread, serve_on_ray

    if settings.compat:
        raise UserError("--compat needs a server of one process.", "Leave out --ray, or --compat.")
    models = tuple(dict.fromkeys(name.strip() for name in args.models.split(",") if name.strip()))
    models = models or (_best(args.model),)
    least, most = args.replicas
    serve_on_ray(
        settings,
        Spread(args.ray, models, args.models_each, least, most, args.target, share_of(args), args.idle_seconds),
    )
    return 0


def _settings(args: argparse.Namespace) -> ServerSettings:
    """Raises:
    UserError: a token file that cannot be read, or no such contract.
    """
    from annotator.server.settings import ServerSettings, read_tokens

    return ServerSettings(
        host=args.host,
        port=args.port,
        tokens=read_tokens(args.token_file),
        model=args.model,
        device=args.device,
        precision=PRECISIONS.get(args.precision, ""),
        embeddings_bytes=args.embeddings_mib << 20,
        requests=args.requests,
        requests_per_client=args.per_client,
        max_body_bytes=args.max_body_mib << 20,
        max_pixels=args.max_megapixels * 1_000_000,
        job_s=args.request_seconds,
        drain_s=args.stop_seconds,
        compat=_compat(args.compat),
        label_studio_url=_http(args.label_studio_url),
        label_studio_token=os.environ.get(LABEL_STUDIO_TOKEN, ""),
    )


def _add_ray_arguments(group: Any) -> None:
    group.add_argument("--ray", metavar="ADDRESS", help="replicas on the machines of this cluster; `local`: start one")
    group.add_argument("--replicas", type=_least_and_most, default=(1, 1), metavar="N|MIN-MAX", help="default: 1")
    add_share_argument(group, of="a replica")
    group.add_argument(
        "--idle-seconds", type=_count(1), default=600, metavar="N", help="before one too many ends (default 600)"
    )
    group.add_argument("--target", type=_count(1), default=4, metavar="N", help="requests of each, before more start")
    group.add_argument(
        "--models", default="", metavar="NAMES", help="may be named in paths, with commas; first: default"
    )
    group.add_argument(
        "--models-each", type=_count(1), default=2, metavar="N", help="in a replica's memory (default 2)"
    )


def _best(model: str | None) -> str:
    """The name of the model that is meant without one: all replicas get the same."""
    if model:
        return model
    from annotator.engine.weights import default_model

    return default_model().entry.name


def _least_and_most(text: str) -> tuple[int, int]:
    least, _, most = text.partition("-")
    found = int(least), int(most or least)
    if not 1 <= found[0] <= found[1]:
        raise argparse.ArgumentTypeError(f"{text} is not N or MIN-MAX, from 1")
    return found


def _compat(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in _COMPAT:
            raise UserError(f"There is no contract {brief(name)!r}.", f"There are: {', '.join(_COMPAT)}.")
    return names


def _http(url: str) -> str:
    if url and not url.startswith(("http://", "https://")):
        raise UserError(f"{url} is no address of a Label Studio.", "Give one that begins with http:// or https://.")
    return url


class _count:  # noqa: N801 - a function with a name for argparse's message
    """A whole number within limits."""

    __name__ = "whole number"

    def __init__(self, least: int, most: int = 1 << 40) -> None:
        self._least, self._most = least, most

    def __call__(self, text: str) -> int:
        value = int(text)
        if not self._least <= value <= self._most:
            raise argparse.ArgumentTypeError(f"{value} is not from {self._least} to {self._most}")
        return value
