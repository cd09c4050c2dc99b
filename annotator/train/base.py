"""Training of the embedded model (``annotator train-base``): seeded, resumable, on a CPU or a GPU.

One step: encode a batch of windows once, then decode every object several times the way a person would prompt it,
each correction from the error of the answer before, fed back as the dense prompt.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from annotator.engine.sam2.nano import NanoConfig, build_nano
from annotator.train.data.pixels import PixelSource, RamPixels
from annotator.train.data.scenes import MixedSampler
from annotator.train.data.stream import AskedWeights
from annotator.train.data.windows import TrainingImage, Window, WindowRecipe
from annotator.train.settings import Stage, TrainSettings
from annotator.train.steps.decoding import decode_prompts, encode_windows
from annotator.train.steps.divergence import check_step
from annotator.train.steps.given_masks import as_logits, given_mask
from annotator.train.steps.losses import LossWeights, hard_iou, mask_loss, teacher_loss
from annotator.train.steps.precision import mixed_precision
from annotator.train.steps.prompts import NOTHING, Point, click_inside, corrective_click, noisy_box

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

FLAT_END = 0.2
"""Share of a run over which a flat learning rate goes down."""
SET_MEMORY = 0.98
"""How much of a set's running IoU a new window of it leaves."""
GRADED_ROUNDS = 4
"""The last rounds of a step have a loss; those before only lead there. So ten rounds cost hardly more than five."""


class BaseTrainer:
    """The state of one run and its steps.

    Args:
        pixels: decodes and keeps the images through all stages; None keeps them in memory up to 3 GiB.
        teacher: a trained model and its configuration; the student also learns to answer as it does to the same
            windows and prompts (distillation: Hinton et al. 2015). It must have the same input side.
    """

    def __init__(
        self,
        *,
        config: NanoConfig,
        settings: TrainSettings,
        images: list[TrainingImage],
        device: torch.device,
        pixels: PixelSource | None = None,
        teacher: tuple[nn.Module, NanoConfig] | None = None,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.config, self.settings, self.device = config, settings, device
        self.images = images
        self._teacher = None if teacher is None else (teacher[0].eval().requires_grad_(False).to(device), teacher[1])
        self._weights = LossWeights(
            settings.cross_entropy_weight, settings.focal_weight, settings.dice_weight, settings.edge_weight
        )
        self._pixels = RamPixels() if pixels is None else pixels
        model = build_nano(config).to(device)
        self.model: nn.Module = model.to(memory_format=torch.channels_last)
        self.ema: nn.Module = copy.deepcopy(self.model).eval()
        self.optimizer = torch.optim.AdamW(
            self._groups(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.step, self.seconds = 0, 0.0
        self.iou_by_set: dict[str, float] = {}
        self.best_score, self.judged_by = -1.0, list[str]()
        """Of the best weights so far, and the names of the figures that it is the mean of."""
        self.origin = ""
        self.asked = AskedWeights(self.sampler(settings.stages[0]).set_weights({}))
        self.rng = np.random.default_rng(settings.seed)
        self._mean = torch.tensor(MEAN, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(STD, device=device).view(1, 3, 1, 1)

    def _groups(self) -> list[dict[str, Any]]:
        """What the optimiser trains, each with its share of the learning rate."""
        trunk: nn.Module = self._sam.image_encoder.trunk
        if self.settings.trunk_rate == 1.0:
            return [{"params": list(self.model.parameters()), "rate": 1.0}]
        of_trunk = {id(parameter) for parameter in trunk.parameters()}
        others = [parameter for parameter in self.model.parameters() if id(parameter) not in of_trunk]
        return [
            {"params": others, "rate": 1.0},
            {"params": list(trunk.parameters()), "rate": self.settings.trunk_rate},
        ]

    @property
    def _sam(self) -> Any:
        return self.model

    def begin_with(self, model: nn.Module, *, origin: str) -> None:
        """Take over the weights that a new run starts from, for the average as well; ``origin`` says what they are."""
        self.origin = origin
        self.model.load_state_dict(model.state_dict())
        self.ema.load_state_dict(model.state_dict())

    def sampler(self, stage: Stage) -> MixedSampler:
        """What draws the windows of a stage."""
        settings = self.settings
        return MixedSampler(
            self.images,
            window_px=stage.side_px,
            objects=settings.objects_per_window,
            share=settings.synthetic_share,
            pixels=self._pixels,
            recipe=WindowRecipe(
                settings.pasted_share,
                settings.grey_share,
                settings.hard_sets,
                grey_window_share=settings.grey_window_share,
                set_factors=settings.set_factors,
            ),
        )

    @property
    def share_done(self) -> float:
        return min(1.0, self.seconds / (self.settings.minutes * 60))

    @property
    def stage(self) -> Stage:
        whole, end = sum(stage.share for stage in self.settings.stages), 0.0
        for stage in self.settings.stages:
            end += stage.share / whole
            if self.share_done < end:
                return stage
        return self.settings.stages[-1]

    def learning_rate(self) -> float:
        warmup = min(1.0, (self.step + 1) / self.settings.warmup_steps)
        if self.settings.schedule == "flat":
            return self.settings.learning_rate * warmup * min(1.0, (1 - self.share_done) / FLAT_END + 0.005)
        return self.settings.learning_rate * warmup * (0.5 * (1 + math.cos(math.pi * self.share_done)) + 0.005)

    def train_step(self, windows: list[Window]) -> tuple[float, float, float]:
        """One optimiser step; returns loss, IoU after the first prompt, IoU after the last. Raises: DivergedError."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate() * group.get("rate", 1.0)
        self._sam.image_encoder.trunk.requires_grad_(self.share_done >= self.settings.frozen_share)
        image = torch.from_numpy(np.stack([w.image for w in windows])).permute(0, 3, 1, 2).to(self.device)
        owner = torch.tensor([i for i, w in enumerate(windows) for _ in w.targets], device=self.device)
        targets = np.concatenate([w.targets for w in windows])
        hidden = torch.from_numpy(np.concatenate([w.hidden_px for w in windows]) / 16.0).to(self.device)
        thumbnail = F.avg_pool2d(image, 4)[owner]
        with mixed_precision(self.device):
            normal = ((image - self._mean) / self._std).contiguous(memory_format=torch.channels_last)
            features = self._encode(normal)
            taught = self._teach(normal, owner)
            of_objects = [f[owner] for f in features]
            loss, first, last = self._rounds(of_objects, targets, hidden, thumbnail, taught, owner=owner.tolist())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        check_step([loss, norm], step=self.step, learning_rate=self.settings.learning_rate)
        self.optimizer.step()
        self.step += 1
        self._update_ema()
        for i, window in enumerate(windows):
            mean = float(last[owner.cpu() == i].mean())
            kept = self.iou_by_set.setdefault(window.set_name, mean)
            self.iou_by_set[window.set_name] = kept + (1 - SET_MEMORY) * (mean - kept)
        return float(loss.detach()), float(first.mean()), float(last.mean())

    def _encode(self, normal: Tensor) -> list[Tensor]:
        return encode_windows(self.model, normal)

    @torch.no_grad()
    def _teach(self, normal: Tensor, owner: Tensor) -> list[Tensor] | None:
        """The teacher's features of every object's window."""
        if self._teacher is None:
            return None
        return [f[owner] for f in encode_windows(self._teacher[0], normal)]

    def _rounds(
        self,
        features: list[Tensor],
        targets: np.ndarray[Any, Any],
        hidden: Tensor,
        thumbnail: Tensor,
        taught: list[Tensor] | None = None,
        *,
        owner: Sequence[int],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The prompting rounds of all objects of a batch; ``hidden`` is what lies beyond each window, in cells.

        Args:
            taught: the teacher's features, where there is one.
            owner: of every object, the number of its window.

        Returns:
            The loss, and every object's IoU after the first and the last round, on the CPU.
        """
        count, side = targets.shape[0], targets.shape[-1]
        target = F.avg_pool2d(torch.from_numpy(targets)[:, None].float(), 4).to(self.device)
        half = np.ascontiguousarray(targets[:, 1::2, 1::2]).astype(bool)
        prompts, previous, is_click = self._begun(half, owner)
        rounds = self._round_count()
        total: Tensor = torch.zeros((), device=self.device)
        ious = []
        for index in range(rounds):
            is_graded = index >= rounds - GRADED_ROUNDS
            with torch.set_grad_enabled(is_graded):
                all_masks, all_iou, score = self._decode(features, prompts, thumbnail, previous)
                chosen, loss = self._round_loss(all_masks, all_iou, score, target, hidden, index == 0 and is_click)
            if is_graded:
                total = total + loss
            if is_graded and taught is not None:
                answer_of_teacher = self._taught(taught, prompts, thumbnail, previous)
                total = total + self.settings.teacher_weight * teacher_loss(all_masks, answer_of_teacher)
            ious.append(hard_iou(chosen, target)[:, 0].cpu())
            if index + 1 < rounds:
                previous = chosen.detach().clamp(-32, 32)
                answer = F.interpolate(previous, (side // 2, side // 2), mode="bilinear", align_corners=False)[:, 0] > 0
                predicted = answer.cpu().numpy()
                for i in range(count):
                    prompts[i].append(self._correction(predicted[i], half[i]))
        return total / min(rounds, GRADED_ROUNDS), ious[0], ious[-1]

    def _round_count(self) -> int:
        settings = self.settings
        is_late = self.share_done >= 1 - settings.late_share and settings.late_share > 0
        shares = settings.late_round_shares if is_late else settings.round_shares
        return int(self.rng.choice(range(1, len(shares) + 1), p=shares))

    def _begun(self, half: np.ndarray[Any, Any], owner: Sequence[int]) -> tuple[list[list[Point]], Tensor | None, bool]:
        """Every object's first prompts, the logits of given masks, and whether all is one click.

        All objects of a step begin alike: with a box, a click, or a given mask and a click on its largest error.
        """
        drawn, count = self.rng.random(), len(half)
        uses_box = drawn < self.settings.box_share
        if uses_box or drawn < 1 - self.settings.mask_share:
            return [self._first_prompt(target, uses_box) for target in half], None, not uses_box
        masks = [
            given_mask(half[i], [half[j] for j in range(count) if owner[j] == owner[i] and j != i], self.rng)
            for i in range(count)
        ]
        prompts = [[self._correction(mask, target)] for mask, target in zip(masks, half, strict=True)]
        logits = torch.from_numpy(as_logits(masks, half.shape[-1] // 2)).to(self.device)
        return prompts, logits, False

    def _first_prompt(self, target: np.ndarray[Any, Any], uses_box: bool) -> list[Point]:
        if not target.any():
            return [NOTHING, NOTHING] if uses_box else [NOTHING]
        if uses_box:
            return list(noisy_box(target, self.rng, cell_px=2.0))
        return [click_inside(target, 1, self.rng, cell_px=2.0, deepest_share=self.settings.deepest_share)]

    def _correction(self, predicted: np.ndarray[Any, Any], target: np.ndarray[Any, Any]) -> Point:
        share = self.settings.deepest_share
        return corrective_click(predicted, target, self.rng, cell_px=2.0, deepest_share=share)

    @torch.no_grad()
    def _taught(
        self, features: list[Tensor], prompts: list[list[Point]], thumbnail: Tensor, previous: Tensor | None
    ) -> Tensor:
        assert self._teacher is not None
        model, config = self._teacher
        return decode_prompts(model, config, features, prompts, thumbnail, previous)[0]

    def _decode(
        self,
        features: list[Tensor],
        prompts: list[list[Point]],
        thumbnail: Tensor,
        previous: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        return decode_prompts(self.model, self.config, features, prompts, thumbnail, previous)

    def _round_loss(
        self, masks: Tensor, iou: Tensor, score: Tensor, target: Tensor, hidden: Tensor, is_ambiguous: bool
    ) -> tuple[Tensor, Tensor]:
        """The chosen mask B x 1 x q x q and the loss of one round."""
        losses = mask_loss(masks, target, self._weights)
        true_iou = hard_iou(masks, target, hidden)
        if is_ambiguous:
            best = losses[:, 1:].argmin(1) + 1
            picked = losses.gather(1, best[:, None]).mean()
            loss = picked + 0.1 * losses[:, 1:].mean() + 0.3 * losses[:, 0].mean()
            iou_loss = F.mse_loss(iou, true_iou)
            # Go on from the candidate the model itself would show.
            shown = iou[:, 1:].argmax(1) + 1
        else:
            loss = losses[:, 0].mean()
            iou_loss = F.mse_loss(iou[:, :1], true_iou[:, :1])
            shown = torch.zeros(masks.shape[0], dtype=torch.long, device=masks.device)
        loss = loss + iou_loss + 0.02 * F.softplus(-score).mean()
        chosen = masks[torch.arange(masks.shape[0], device=masks.device), shown][:, None]
        return chosen, loss

    @torch.no_grad()
    def _update_ema(self) -> None:
        decay = min(self.settings.ema_decay, (1 + self.step) / (10 + self.step))
        for kept, new in zip(self.ema.state_dict().values(), self.model.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)

    def state(self) -> dict[str, Any]:
        return {
            "config": asdict(self.config),
            "settings": asdict(self.settings),
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "iou_by_set": dict(self.iou_by_set),
            "asked": self.asked.state(),
            "best_score": self.best_score,
            "judged_by": self.judged_by,
            "origin": self.origin,
            "rng": self.rng.bit_generator.state,
            "torch_rng": torch.get_rng_state(),
        }

    def load_state(self, state: dict[str, Any], *, with_generators: bool = True) -> None:
        """Go on from a state; without its random generators the run's own seed has begun them anew."""
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        self.iou_by_set = dict(state.get("iou_by_set", {}))
        self.asked.load_state(state.get("asked", []))
        self.best_score = float(state.get("best_score", -1.0))
        self.judged_by = list(state.get("judged_by", []))
        self.origin = str(state.get("origin", ""))
        if not with_generators:
            return
        self.rng.bit_generator.state = state["rng"]
        torch.set_rng_state(state["torch_rng"].cpu())  # a CPU tensor, wherever the rest was loaded to
