"""Checkpoints in torch's own format: plain weights by name, or a sentence that says what is wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from annotator.domain.errors import ModelError
from annotator.engine.torch_files import read_object, read_state


class Harmful:
    """What would run a program when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("ran",)


def test_weights_come_back_by_name(tmp_path: Path) -> None:
    torch.save({"a.weight": torch.arange(6).reshape(2, 3)}, tmp_path / "w.pt")
    (name, found), *rest = read_state(tmp_path / "w.pt").items()
    assert (name, rest) == ("a.weight", [])
    assert found.tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 cut off", b"\x80\x02.", b"\x80\x02]q\x00("])
def test_damage_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(ModelError, match=r"w\.pt is damaged or not a plain weights file.*Copy it again"):
        read_object(tmp_path / "w.pt")


def test_nothing_that_a_file_holds_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"a": Harmful()}, tmp_path / "w.pt")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="not a plain weights file"):
        read_object(tmp_path / "w.pt")
    assert os.listdir(tmp_path) == ["w.pt"]


@pytest.mark.parametrize("held", [[torch.zeros(2)], {"a": 5}, torch.zeros(2), {"model": {"a": torch.zeros(2)}}])
def test_something_else_than_weights_by_name_is_refused(tmp_path: Path, held: object) -> None:
    torch.save(held, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"w\.pt does not hold weights by name"):
        read_state(tmp_path / "w.pt")
