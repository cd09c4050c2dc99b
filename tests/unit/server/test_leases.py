"""nnInteractive's contract where its client is not installed: leases, and the sentence about the package."""

from __future__ import annotations

import sys

import pytest

from annotator.cli import main
from annotator.server.compat.leases import IDLE_S, LEASES, LIVENESS_S, Leases
from annotator.server.problems import Problem


def test_leases_end_by_themselves() -> None:
    clock = [0.0]
    leases = Leases(now=lambda: clock[0])
    held = [leases.claim("one") for _ in range(LEASES)]
    with pytest.raises(Problem, match="taken"):
        leases.claim("two")
    with pytest.raises(Problem, match="expired"):
        leases.of(held[0].token, "two")
    leases.release(held[3].token, "two")  # another's stays
    leases.release(held[0].token, "one")
    again = leases.claim("two")
    for _ in range(int(IDLE_S / LIVENESS_S)):  # a sign of life keeps it, until nothing was done for too long
        clock[0] += LIVENESS_S - 1
        leases.of(again.token, "two", is_active=False)
    assert 0 < leases.left_s(again) < LIVENESS_S
    with pytest.raises(Problem, match="expired"):
        leases.of(held[1].token, "one")
    clock[0] += LIVENESS_S
    with pytest.raises(Problem, match="expired"):
        leases.of(again.token, "two")


def test_without_its_package_the_contract_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "blosc2", None)
    assert main(["serve", "--compat", "nninteractive", "--port", "0"]) == 2
    assert "pip install 'annotator[nninteractive]'" in capsys.readouterr().err
