"""Benchmarks are not timed in the suite; here the quick ones run for a turn, so that they still run when needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import test_adapter as adapter_bench
from tests.bench import test_engine as engine_bench


def test_the_adapters_bench_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(adapter_bench, "ROUNDS", 2)
    monkeypatch.setattr(adapter_bench, "SWAPS", 2)
    adapter_bench.test_overhead_of_a_click_and_time_of_a_swap(1, tmp_path)
    printed = capsys.readouterr().out
    for step in ("first click", "fifth click", "box"):
        assert f"{step}: the adapter adds" in printed
    assert "swap on a cached embedding" in printed


def test_the_embedded_models_bench_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(engine_bench, "ROUNDS", 2)
    engine_bench.test_nano_against_the_official_predictor()
    assert "official" in capsys.readouterr().out
