"""Small weights files that ask for gigabytes: refused before anything is allocated. Files as torch writes them."""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save

from annotator.domain import budget
from annotator.domain.errors import ModelError
from annotator.engine.sam2 import adapter_files
from annotator.engine.sam2.files import load_sam2
from annotator.engine.sam2.nano import FORMAT, NanoConfig, load_nano
from annotator.engine.weight_claims import check_checkpoint, check_network
from tests.unit.engine.test_adapter_files import write_adapter

TINY = "configs/sam2.1/sam2.1_hiera_t.yaml"
HUGE = 1_900_000_000


@pytest.fixture(autouse=True)
def _limit() -> Iterator[None]:
    yield
    budget.set_limit_bytes(None)


@pytest.fixture
def nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was about to be allocated"))


def saved(value: object, *, is_old: bool = False) -> bytes:
    out = io.BytesIO()
    torch.save({"model": {"w": value}}, out, _use_new_zipfile_serialization=not is_old)
    return out.getvalue()


def compressed(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as whole, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as small:
        for part in whole.infolist():
            small.writestr(part.filename, whole.read(part))
    return out.getvalue()


class Calls:
    """Pickled as a call of what it is given."""

    def __init__(self, what: Any) -> None:
        self.what = what

    def __reduce__(self) -> Any:
        return self.what, (HUGE,)


BOMBS = {
    "compressed": lambda: compressed(saved(torch.zeros(5_000_000))),
    "old": lambda: saved(torch.zeros(7), is_old=True).replace(b"K\x07", b"J" + struct.pack("<i", HUGE)),
    "old_text": lambda: saved("x" * 200, is_old=True).replace(struct.pack("<I", 200), struct.pack("<I", 0xFFFFFFF0)),
    "tensor": lambda: saved(Calls(torch.FloatTensor)),
    "bytes": lambda: saved(Calls(bytearray)),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_small_checkpoint_that_asks_for_gigabytes(tmp_path: Path, nothing_is_loaded: None, kind: str) -> None:
    path = tmp_path / "bomb.pt"
    path.write_bytes(BOMBS[kind]())
    assert path.stat().st_size < 100_000
    with pytest.raises(ModelError, match=r"bomb\.pt is damaged"):
        load_sam2(path, config=TINY)


def test_what_torch_writes_is_let_through(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    shared = torch.zeros(4, 5, dtype=torch.bfloat16)
    state = {
        "a": shared,
        "b": shared.T,
        "c": torch.nn.Parameter(torch.zeros(3)),
        "d": torch.zeros(2, dtype=torch.int64),
    }
    for is_old in (False, True):
        torch.save({"model": state, "step": 1 << 60, "note": "x"}, path, _use_new_zipfile_serialization=not is_old)
        check_checkpoint(path)


def test_a_model_above_the_limit_is_named_with_need_and_limit(tmp_path: Path, nothing_is_loaded: None) -> None:
    path = tmp_path / "large.pt"
    path.write_bytes(saved(torch.zeros(5_000_000)))
    budget.set_limit_bytes(10_000_000)
    with pytest.raises(ModelError, match=r"large\.pt needs 20 MB of memory, the limit is 10 MB"):
        load_sam2(path, config=TINY)
    with pytest.raises(ModelError, match=r"large\.pt needs 12 MB"):
        check_network(path, 3_000_000)


@pytest.mark.parametrize(
    "change",
    [
        {"channels": 60_000},
        {"mlp_channels": 10_000_000},
        {"stage_channels": (48, 96, 192, 50_000)},
        {"stage_blocks": (1, 2, 2_000_000_000, 1)},
        {"image_size": 1_000_000},
        {"channels": -4},
        {"channels": 1.5},
    ],
)
def test_a_small_file_that_describes_a_huge_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    monkeypatch.setattr("annotator.engine.sam2.nano.build_nano", lambda _: pytest.fail("it was about to be built"))
    config = json.dumps(asdict(replace(NanoConfig(), **change)))
    path = tmp_path / "huge.safetensors"
    path.write_bytes(save({"w": torch.zeros(2_000_000)}, metadata={"format": FORMAT, "config": config}))
    with pytest.raises(ModelError, match=r"huge\.safetensors"):
        load_nano(path)


def test_a_small_file_that_describes_a_huge_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_adapter(tmp_path / "huge.safetensors")
    with safe_open(path, framework="pt") as file:
        metadata = {key: re.sub('"channels": ?64', '"channels": 900000', text) for key, text in file.metadata().items()}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    assert any("900000" in text for text in metadata.values())
    path.write_bytes(save(tensors, metadata=metadata))
    monkeypatch.setattr(adapter_files, "PromptAdapter", lambda _: pytest.fail("it was about to be built"))
    with pytest.raises(ModelError, match=r"huge\.safetensors is damaged"):
        adapter_files.load_adapter(path)
