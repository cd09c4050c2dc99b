"""Loading checkpoints: real files in Meta's layout, and files that must be refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from annotator.domain.errors import ModelError
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.devices import pick_device
from annotator.engine.load import load_segmenter, make_engine
from annotator.engine.sam2.files import build_config, load_sam2

TINY = "configs/sam2.1/sam2.1_hiera_t.yaml"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "mine.pt"
    torch.manual_seed(2)
    torch.save({"model": build_config(TINY).state_dict()}, path)
    return path


def test_a_persons_own_checkpoint_is_used_and_called_unverified(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotator.engine.precision.cpu_has_bfloat16", lambda: False)  # no trial: seconds
    engine = make_engine(model=str(checkpoint), config=TINY, device="cpu", disk_bytes=None)
    info = engine.segmenter.info
    assert (info.name, info.is_verified, info.device) == ("mine", False, "cpu")
    assert "not verified" in info.note
    assert (info.source, info.config) == (str(checkpoint), TINY), "what loads it again, for a training in the window"
    image = np.zeros((32, 48, 3), np.uint8)
    found = engine.segmenter.decode(engine.segmenter.encode(image, "x"), Prompts((PointPrompt(5, 5),)))
    assert len(found.items) == 3


def test_what_does_not_fit_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="--config"):
        load_segmenter(str(checkpoint), device="cpu")
    with pytest.raises(ModelError, match="does not fit"):
        load_sam2(checkpoint, config="configs/sam2.1/sam2.1_hiera_s.yaml")
    with pytest.raises(ModelError, match="no configuration"):
        load_sam2(checkpoint, config="configs/none.yaml")
    with pytest.raises(ModelError, match="no model"):
        load_segmenter(str(tmp_path / "absent.pt"), device="cpu")


class Hostile:
    def __reduce__(self) -> Any:
        return (Path("pwned").write_text, ("x",))


def test_pickled_code_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Hostile()}, tmp_path / "hostile.pt")
    with pytest.raises(ModelError, match="plain weights"):
        load_sam2(tmp_path / "hostile.pt", config=TINY)
    assert not (tmp_path / "pwned").exists()


def test_an_absent_device_is_named() -> None:
    with pytest.raises(ModelError, match="no device"):
        pick_device("tpu")


def test_the_embedded_model_loads_and_segments() -> None:
    segmenter = load_segmenter("nano", device="cpu", dtype=torch.float32)
    assert segmenter.info.is_verified
    image = np.full((200, 300, 3), 120, np.uint8)
    image[60:140, 90:210] = (230, 60, 40)
    found = segmenter.decode(segmenter.encode(image, "x"), Prompts((PointPrompt(150, 100),)))
    truth = np.zeros((200, 300), bool)
    truth[60:140, 90:210] = True
    best = max(int((c.mask.full() & truth).sum()) / int((c.mask.full() | truth).sum()) for c in found.items)
    assert best > 0.5


def test_a_graphics_card_without_room_is_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model goes on on the processor, and says so."""
    real = torch.nn.Module.to

    def full(self: torch.nn.Module, *args: Any, **kwargs: Any) -> torch.nn.Module:
        if args and getattr(args[0], "type", "") == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, *args, **kwargs)

    monkeypatch.setattr("annotator.engine.sam2.files.pick_device", torch.device)
    monkeypatch.setattr(torch.nn.Module, "to", full)
    segmenter = load_segmenter("nano", device="cuda", dtype=torch.float32)
    assert segmenter.info.device == "cpu"
    assert "too little memory" in segmenter.info.note
    assert segmenter.device.type == "cpu"


def test_a_file_that_may_not_be_read(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("annotator.engine.weights.sha256_of", refuse)
    with pytest.raises(ModelError, match="cannot be read: Permission denied"):
        load_segmenter(str(checkpoint), device="cpu", config=TINY)


def test_files_that_are_no_weights(tmp_path: Path, checkpoint: Path) -> None:
    """Whatever the bytes are, it is one clear message."""
    whole = checkpoint.read_bytes()
    contents = {
        "zero.pt": b"",
        "text.pt": b"hello, I am no model",
        "cut.pt": whole[: len(whole) // 2],
        "zip.pt": b"PK\x03\x04" + bytes(60),
        "pickle.pt": b"\x80\x02}q\x00.",
        "short.pt": b"\x80\x02",
        "zero.safetensors": b"",
        "text.safetensors": b"hello, I am no model",
        "header.safetensors": (1 << 60).to_bytes(8, "little") + b"{}",
        "json.safetensors": (2).to_bytes(8, "little") + b"{}",
        "list.safetensors": (2).to_bytes(8, "little") + b"[]",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError) as caught:
            load_segmenter(str(tmp_path / name), device="cpu", config=TINY)
        assert name in caught.value.message
    for name, value in {"list.pt": [1], "text2.pt": "x", "wrong.pt": {"model": {"a": 1}}, "none.pt": None}.items():
        torch.save(value, tmp_path / name)
        with pytest.raises(ModelError) as caught:
            load_segmenter(str(tmp_path / name), device="cpu", config=TINY)
        assert name in caught.value.message
