"""Several ways of doing the same thing, timed in turns, so that a busy machine slows all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass
class Stopwatch:
    """Milliseconds by step and by who did it, in the order of the rounds."""

    ms: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def time(self, step: str, who: str, work: Callable[[], object]) -> None:
        started = time.perf_counter()
        work()
        self.ms.setdefault(step, {}).setdefault(who, []).append((time.perf_counter() - started) * 1e3)

    def table(self, title: str, pairs: Sequence[tuple[str, str]] = (("official", "ours"),)) -> str:
        """A Markdown table: everybody's median, and for each pair the median of the rounds' ratios with quartiles."""
        names = list(dict.fromkeys(name for pair in pairs for name in pair))
        head = ["step", *(f"{name} ms" for name in names), *(f"{ours} against {other}" for other, ours in pairs)]
        rows = [[*head, "rounds"], ["---"] * (len(head) + 1)]
        for step, by_who in self.ms.items():
            medians = [f"{statistics.median(by_who[name]):.3g}" for name in names]
            ratios = [_ratios(by_who[other], by_who[ours]) for other, ours in pairs]
            rows.append([step, *medians, *ratios, str(len(by_who[names[0]]))])
        return f"\n### {title}\n\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def _ratios(other_ms: list[float], ours_ms: list[float]) -> str:
    ratios = [other / ours for other, ours in zip(other_ms, ours_ms, strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"{statistics.median(ratios):.2f}x ({low:.2f} to {high:.2f})"


def percentiles(ms: list[float]) -> str:
    """Median, 99th percentile and the largest, in milliseconds."""
    hundredths = statistics.quantiles(ms, n=100, method="inclusive")
    middle, most = statistics.median(ms), max(ms)
    return f"median {middle:.3g} ms, 99 % under {hundredths[98]:.3g} ms, most {most:.3g} ms (n = {len(ms)})"
