"""What a server does under load: ``python -m tests.load clicks|fairness|kill|requests``. Ends with 1 when a limit is
passed. All of it is bounded in time, and on the loopback address alone."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from tests.load.clicker import CLICK, KNOWN, OPEN, Clicker, Seen, picture
from tests.load.requests import Requests
from tests.load.serving import Serving

_TOKENS = tuple(f"token-of-client-number-{number:03}" for number in range(64))
_QUIET_CLIENTS, _QUIET_THINK_S, _TURNS = 4, 0.25, 6
_MOST_GROWTH_MIB = 64.0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("what", choices=sorted(_KINDS))
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--think-ms", type=float, default=0.0, help="mean pause of a client between clicks")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--embeddings-mib", type=int, default=256, help="of `clicks`")
    parser.add_argument("--model", default="nano", help="small: one with random weights, that answers in moments")
    parser.add_argument("--count", type=int, default=20_000, help="of `requests`")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        if args.model == "small" or args.what == "requests":
            args.model = str(_small(Path(folder)))
        return _KINDS[args.what](args)


def _clicks(args: argparse.Namespace) -> int:
    """Clients that click, on more images than are kept; memory is looked at each second."""
    seen, stop = Seen(), threading.Event()
    with Serving(_TOKENS, ("--model", args.model, "--embeddings-mib", str(args.embeddings_mib))) as serving:
        clickers = _start(args, serving, seen, stop)
        cpu_s, memory = serving.cpu_s(), list[float]()
        started_s = time.monotonic()
        while (took_s := time.monotonic() - started_s) < args.seconds:
            time.sleep(min(1.0, args.seconds - took_s + 0.01))
            memory.append(serving.rss_mib())
        cpu_s = serving.cpu_s() - cpu_s
        _join(clickers, stop)
    _print(seen, took_s)
    third = max(1, len(memory) // 3)
    before, after = statistics.mean(memory[third : 2 * third]), statistics.mean(memory[-third:])
    clicks = max(1, len(seen.took_ms[CLICK]))
    print(
        f"processor {cpu_s / took_s:.2f} of a core, {cpu_s / clicks * 1e3:.1f} ms a click with its part of the encodes"
    )
    print(f"memory {memory[0]:.0f} MiB at 1 s, {before:.0f} in the middle")
    print(f"third, {after:.0f} in the last one, at most {max(memory):.0f}")
    shares = sorted(clicker.answered for clicker in clickers)
    print(f"clicks of a client: {shares[0]} to {shares[-1]}")
    return _verdict({"answers of 5xx": _errors(seen), "wrong answers": len(seen.wrong)}) or int(
        after - before > _MOST_GROWTH_MIB
    )


def _fairness(args: argparse.Namespace) -> int:
    """Clients that think between clicks, alone and beside one that floods with as many connections as ``--clients``; in
    turns, so that what else the machine does falls on both."""
    alone, beside, flood = Seen(), Seen(), Seen()
    turn_s = args.seconds / _TURNS
    with Serving(_TOKENS, ("--model", args.model)) as serving:
        _quiet(serving, Seen(), turn_s, think_s=0.0)  # everything is open then
        for _ in range(_TURNS):
            _quiet(serving, alone, turn_s)
            stop = threading.Event()
            flooders = [
                Clicker(serving.port, _TOKENS[-1], _few(), flood, stop, seed=100 + n, waits=False)
                for n in range(args.clients)
            ]
            for flooder in flooders:
                flooder.start()
            _quiet(serving, beside, turn_s)
            _join(flooders, stop)
    for title, seen in (("alone", alone), (f"beside a flood of {args.clients} connections of one client", beside)):
        print(f"{title}:")
        _print(seen, args.seconds)
    print(f"the flood: {dict(flood.statuses)}")
    ratio = _share(beside.took_ms[CLICK], 0.95) / _share(alone.took_ms[CLICK], 0.95)
    print(f"95th percentile beside the flood: {ratio:.2f} of that alone")
    return int(ratio > 1.5)


@cache
def _few() -> list[bytes]:
    """The grain is another one each time."""
    return [picture(number) for number in range(_QUIET_CLIENTS)]


def _quiet(serving: Serving, seen: Seen, seconds: float, think_s: float = _QUIET_THINK_S) -> None:
    stop = threading.Event()
    clickers = [
        Clicker(serving.port, _TOKENS[n], _few(), seen, stop, seed=n, think_s=think_s) for n in range(_QUIET_CLIENTS)
    ]
    for clicker in clickers:
        clicker.start()
    time.sleep(seconds)
    _join(clickers, stop)


def _kill(args: argparse.Namespace) -> int:
    """The server is killed in the middle and started anew: everybody goes on, with the same images and answers."""
    seen, stop = Seen(), threading.Event()
    with Serving(_TOKENS, ("--model", args.model)) as serving:
        clickers = _start(args, serving, seen, stop)
        time.sleep(args.seconds / 2)
        serving.kill()
        before = [clicker.answered for clicker in clickers]
        killed_s = time.monotonic()
        serving.start()
        ready_s = time.monotonic() - killed_s
        time.sleep(args.seconds / 2)
        after = [clicker.answered - count for clicker, count in zip(clickers, before, strict=True)]
        _join(clickers, stop)
    _print(seen, args.seconds)
    print(f"ready again after {ready_s:.1f} s; {seen.broken} requests broke; clicks before {sum(before)}, after it")
    print(f"{sum(after)}, of a client at least {min(after)}; images that had to be opened again: {seen.reopened}")
    stuck = sum(not count for count in after)
    return _verdict({"clients without a click afterwards": stuck, "wrong answers": len(seen.wrong)})


def _requests(args: argparse.Namespace) -> int:
    """Requests made from the server's own OpenAPI document, and damaged."""
    with Serving(options=("--model", args.model)) as serving:
        requests = Requests(serving.port, seed=args.seed)
        started_s = time.monotonic()
        found = requests.send(args.count)
        print(f"{sum(found.values())} requests in {time.monotonic() - started_s:.0f} s: {dict(sorted(found.items()))}")
        for one in requests.bad[:5]:
            print(f"seed {args.seed}: {one}")
        return _verdict({"answers of 5xx, or none": len(requests.bad)})


def _small(folder: Path) -> Path:
    """For what is about requests and not about masks."""
    import torch

    from annotator.engine.sam2.nano import build_nano, save_nano
    from tests.small_base import SMALL

    torch.manual_seed(3)
    save_nano(build_nano(SMALL).eval(), folder / "small.safetensors", config=SMALL, metadata={"sets": "none"})
    return folder / "small.safetensors"


def _start(args: argparse.Namespace, serving: Serving, seen: Seen, stop: threading.Event) -> list[Clicker]:
    pictures = [picture(number) for number in range(args.images)]
    clickers = [
        Clicker(serving.port, _TOKENS[n % len(_TOKENS)], pictures, seen, stop, seed=n, think_s=args.think_ms / 1e3)
        for n in range(args.clients)
    ]
    for clicker in clickers:
        clicker.start()
    return clickers


def _join(clickers: Sequence[Clicker], stop: threading.Event) -> None:
    stop.set()
    for clicker in clickers:
        clicker.join(100)
        assert not clicker.is_alive()


def _print(seen: Seen, took_s: float) -> None:
    for kind in (CLICK, OPEN, KNOWN):
        if took := seen.took_ms[kind]:
            tail = ", ".join(f"{share:.0%} {_share(took, share):.0f}" for share in (0.5, 0.95, 0.99))
            print(f"{kind}: {len(took)}, {len(took) / took_s:.1f} a second; milliseconds {tail}, most {max(took):.0f}")
    print(f"answers by status: {dict(sorted(seen.statuses.items()))}")
    for one in seen.wrong[:5]:
        print(f"wrong: {one}")


def _share(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _errors(seen: Seen) -> int:
    return sum(count for status, count in seen.statuses.items() if status >= 500)


def _verdict(counts: dict[str, int]) -> int:
    print("; ".join(f"{what}: {count}" for what, count in counts.items()))
    return int(any(counts.values()))


_KINDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "clicks": _clicks,
    "fairness": _fairness,
    "kill": _kill,
    "requests": _requests,
}

if __name__ == "__main__":
    raise SystemExit(main())
