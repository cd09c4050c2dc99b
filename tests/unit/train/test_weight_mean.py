"""The mean of models' weights: what it is made of, what it refuses, and a file that answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from annotator.engine.sam2.nano import NanoConfig, build_nano, load_nano, read_nano_metadata, save_nano
from annotator.studies.weight_mean import main, mean_of

SMALL = NanoConfig(
    image_size=64, channels=32, stage_channels=(16, 16, 24, 32), stage_blocks=(1, 1, 1, 1), mlp_channels=32
)


def write_model(path: Path, *, seed: int, config: NanoConfig = SMALL, **metadata: str) -> Path:
    torch.manual_seed(seed)
    save_nano(build_nano(config), path, config=config, metadata={"licence": "Apache-2.0", **metadata})
    return path


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=4), st.integers(0, 2**31))
def test_a_mean_is_weighted_and_lies_between(shares: list[float], seed: int) -> None:
    torch.manual_seed(seed)
    states = [{"w": torch.randn(3, 2), "count": torch.tensor(i)} for i in range(len(shares))]
    mean = mean_of(states, shares)
    expected = sum(s["w"].double() * share for s, share in zip(states, shares, strict=True)) / sum(shares)
    assert torch.allclose(mean["w"].double(), torch.as_tensor(expected), atol=1e-6)
    stacked = torch.stack([s["w"] for s in states])
    assert (mean["w"] <= stacked.amax(0) + 1e-5).all()
    assert (mean["w"] >= stacked.amin(0) - 1e-5).all()
    assert mean["w"].dtype == torch.float32
    assert int(mean["count"]) == 0


def test_states_that_have_no_mean() -> None:
    one, other = {"w": torch.zeros(2)}, {"w": torch.zeros(3)}
    for states, shares in (([], []), ([one], [1, 1]), ([one, one], [1, 0]), ([one, other], [1, 1])):
        with pytest.raises(ValueError, match=r"shares|shape"):
            mean_of(states, shares)


def test_a_file_of_a_mean_answers_and_names_its_parts(tmp_path: Path) -> None:
    first = write_model(
        tmp_path / "a.safetensors", seed=0, sets="a,b", steps="10", minutes="1.0", calibration="{}", rating_columns="x"
    )
    second = write_model(tmp_path / "b.safetensors", seed=1, sets="b,c", steps="20")
    out = tmp_path / "mean.safetensors"
    assert main([str(first), str(second), "--shares", "1,3", "--out", str(out)]) == 0
    said = read_nano_metadata(out)
    assert said["sets"] == "a,b,c"
    assert said["licence"] == "Apache-2.0"
    assert "calibration" not in said
    assert "rating_columns" not in said
    parts = said["mean_of"].split("; ")
    assert len(parts) == 2
    assert "share=3 steps=20" in parts[1]
    states = [load_nano(path)[0].state_dict() for path in (first, second)]
    mean = load_nano(out)[0].state_dict()
    name = "sam_mask_decoder.iou_token.weight"
    assert torch.allclose(mean[name], states[0][name] * 0.25 + states[1][name] * 0.75, atol=1e-3)


def test_models_without_a_mean_are_the_persons_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = write_model(tmp_path / "a.safetensors", seed=0)
    other = write_model(tmp_path / "b.safetensors", seed=1, config=replace(SMALL, image_size=96))
    out = tmp_path / "mean.safetensors"
    for words, said in (
        ([first, other], "another shape"),
        ([first, tmp_path / "none.safetensors"], "none.safetensors"),
        ([first, first, "--shares", "1"], "--shares"),
        ([first, first, "--shares", "1,nan"], "--shares"),
        ([first, first, "--shares", "1,-2"], "--shares"),
        ([first, first, "--size", "100"], "--size"),
        ([first, first, "--zoom-margin", "0.5"], "--zoom-margin"),
    ):
        assert main([*map(str, words), "--out", str(out)]) == 2
        assert said in capsys.readouterr().err
    assert main([str(first), str(first), "--out", str(first)]) == 2
    assert "destroyed" in capsys.readouterr().err
    assert not out.exists()


def test_an_input_side_and_a_margin_of_its_own(tmp_path: Path) -> None:
    first = write_model(tmp_path / "a.safetensors", seed=0)
    second = write_model(tmp_path / "b.safetensors", seed=1, config=replace(SMALL, image_size=96))
    out = tmp_path / "mean.safetensors"
    assert main([str(first), str(second), "--size", "128", "--zoom-margin", "1.4", "--out", str(out)]) == 0
    assert load_nano(out)[1] == replace(SMALL, image_size=128, zoom_margin=1.4)
