"""Training of the embedded model (``annotator train-base``): seeded, resumable, on a CPU or a GPU.

One step: encode a batch of windows once, then decode every object several times the way a person would prompt it,
each correction from the error of the answer before, fed back as the dense prompt.
"""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from annotator.engine.sam2.dense_prompt import draw_prompts
from annotator.engine.sam2.nano import NanoConfig, build_nano
from annotator.train.data.pixels import PixelSource, RamPixels
from annotator.train.data.scenes import MixedSampler
from annotator.train.data.stream import AskedWeights
from annotator.train.data.windows import GREY_SHARE, PASTED_SHARE, TrainingImage, Window, WindowRecipe
from annotator.train.steps.divergence import check_step
from annotator.train.steps.losses import LossWeights, hard_iou, mask_loss, teacher_loss
from annotator.train.steps.precision import mixed_precision
from annotator.train.steps.prompts import NOTHING, Point, click_inside, corrective_click, noisy_box

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a run: its share of the time, the windows' side in pixels (a multiple of 32), windows per step."""

    share: float
    side_px: int
    batch: int


FLAT_END = 0.2
"""Share of a run over which a flat learning rate goes down."""
SCHEDULES = ("cosine", "flat")

SET_MEMORY = 0.98
"""How much of a set's running IoU a new window of it leaves."""

STAGES = (Stage(0.4, 160, 16), Stage(0.35, 256, 12), Stage(0.25, 320, 10))
"""Small windows first: most of what there is to learn shows at 160 pixels, at a quarter of the cost."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """What a run is; stored with its state.

    Attributes:
        minutes: wall-clock length; the learning rate follows a cosine over it.
        stages: in order; their shares are of the sum. The last one should have the model's own input side.
        state_minutes: how often the state is saved; export_minutes: how often the weights file is written.
        synthetic_share: of the windows that are scenes from code (all of them when there are no images).
        schedule: of the learning rate after the warm-up: "cosine" over the whole run, or "flat" with a straight line
            down over its last fifth.
        cross_entropy_weight, focal_weight, dice_weight, edge_weight: see
            :class:`~annotator.train.steps.losses.LossWeights`.
        round_shares: of the steps that prompt once, twice, three times, ...; sum 1.
        deepest_share: of the simulated clicks that go to the deepest part of an error; the others go anywhere in it.
        pasted_share, grey_share, hard_sets: see :class:`~annotator.train.data.windows.WindowRecipe`.
        teacher_weight: of the teacher's answers, where there is a teacher.
        teacher_sha256: of the teacher's file, empty without one: a run goes on with the same.
        validate_minutes: how often the averaged weights are validated, where there are sets for it.
    """

    minutes: float = 90.0
    stages: tuple[Stage, ...] = STAGES
    objects_per_window: int = 2
    box_share: float = 0.35
    synthetic_share: float = 0.0
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    warmup_steps: int = 150
    schedule: str = "cosine"
    ema_decay: float = 0.998
    cross_entropy_weight: float = 2.0
    focal_weight: float = 5.0
    dice_weight: float = 1.0
    edge_weight: float = 0.0
    round_shares: tuple[float, ...] = (0.25, 0.3, 0.25, 0.2)
    deepest_share: float = 0.5
    pasted_share: float = PASTED_SHARE
    grey_share: float = GREY_SHARE
    hard_sets: float = 1.0
    teacher_weight: float = 1.0
    teacher_sha256: str = ""
    seed: int = 0
    state_minutes: float = 4.0
    export_minutes: float = 12.0
    validate_minutes: float = 10.0


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
            self.model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.step, self.seconds = 0, 0.0
        self.iou_by_set: dict[str, float] = {}
        self.best_score = -1.0
        self.asked = AskedWeights(self.sampler(settings.stages[0]).set_weights({}))
        self.rng = np.random.default_rng(settings.seed)
        self._mean = torch.tensor(MEAN, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(STD, device=device).view(1, 3, 1, 1)

    def sampler(self, stage: Stage) -> MixedSampler:
        """What draws the windows of a stage."""
        settings = self.settings
        return MixedSampler(
            self.images,
            window_px=stage.side_px,
            objects=settings.objects_per_window,
            share=settings.synthetic_share,
            pixels=self._pixels,
            recipe=WindowRecipe(settings.pasted_share, settings.grey_share, settings.hard_sets),
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
            group["lr"] = self.learning_rate()
        image = torch.from_numpy(np.stack([w.image for w in windows])).permute(0, 3, 1, 2).to(self.device)
        owner = torch.tensor([i for i, w in enumerate(windows) for _ in w.targets], device=self.device)
        targets = np.concatenate([w.targets for w in windows])
        hidden = torch.from_numpy(np.concatenate([w.hidden_px for w in windows]) / 16.0).to(self.device)
        thumbnail = F.avg_pool2d(image, 4)[owner]
        with mixed_precision(self.device):
            normal = ((image - self._mean) / self._std).contiguous(memory_format=torch.channels_last)
            features = self._encode(normal)
            taught = self._teach(normal, owner)
            loss, first, last = self._rounds([f[owner] for f in features], targets, hidden, thumbnail, taught)
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
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The prompting rounds of all objects of a batch; ``hidden`` is what lies beyond each window, in cells.

        ``taught`` are the teacher's features, where there is one.

        Returns:
            The loss, and every object's IoU after the first and the last round, on the CPU.
        """
        count, side = targets.shape[0], targets.shape[-1]
        target = F.avg_pool2d(torch.from_numpy(targets)[:, None].float(), 4).to(self.device)
        half = np.ascontiguousarray(targets[:, 1::2, 1::2]).astype(bool)
        uses_box = self.rng.random() < self.settings.box_share
        prompts = [self._first_prompt(half[i], uses_box) for i in range(count)]
        shares = self.settings.round_shares
        rounds = int(self.rng.choice(range(1, len(shares) + 1), p=shares))
        previous: Tensor | None = None
        total: Tensor = torch.zeros((), device=self.device)
        ious = []
        for index in range(rounds):
            all_masks, all_iou, score = self._decode(features, prompts, thumbnail, previous)
            is_ambiguous = index == 0 and not uses_box
            chosen, loss = self._round_loss(all_masks, all_iou, score, target, hidden, is_ambiguous)
            total = total + loss
            if taught is not None:
                answer_of_teacher = self._taught(taught, prompts, thumbnail, previous)
                total = total + self.settings.teacher_weight * teacher_loss(all_masks, answer_of_teacher)
            ious.append(hard_iou(chosen, target)[:, 0].cpu())
            if index + 1 < rounds:
                previous = chosen.detach().clamp(-32, 32)
                answer = F.interpolate(previous, (side // 2, side // 2), mode="bilinear", align_corners=False)[:, 0] > 0
                predicted = answer.cpu().numpy()
                for i in range(count):
                    prompts[i].append(self._correction(predicted[i], half[i]))
        return total / rounds, ious[0], ious[-1]

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
            "rng": self.rng.bit_generator.state,
            "torch_rng": torch.get_rng_state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        self.iou_by_set = dict(state.get("iou_by_set", {}))
        self.asked.load_state(state.get("asked", []))
        self.best_score = float(state.get("best_score", -1.0))
        self.rng.bit_generator.state = state["rng"]
        torch.set_rng_state(state["torch_rng"].cpu())  # a CPU tensor, wherever the rest was loaded to


def decode_prompts(
    model: Any,
    config: NanoConfig,
    features: list[Tensor],
    prompts: list[list[Point]],
    thumbnail: Tensor,
    previous: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Decode one set of prompts per sample, as in use.

    Args:
        features: per sample, fine to low; prompts: B lists of equally many points in window pixels.
        thumbnail: B x 3 x q x q RGB in 0..1; previous: B x 1 x q x q logits or None.

    Returns:
        All four masks B x 4 x q x q, predicted IoU B x 4, object score B x 1, in float32.
    """
    device = thumbnail.device
    flat = torch.tensor(prompts, dtype=torch.float32, device=device)
    xy, labels = flat[..., :2], flat[..., 2].int()
    with torch.autocast(device.type, enabled=False):
        dense_map = draw_prompts(config.dense_prompt, xy, labels, thumbnail.float(), previous)
    # Positions are shares of the window. SAM 2 adds half a pixel to points itself, ours have it already.
    cells = features[2].shape[-1]
    tokens_xy = xy * (config.image_size / (16.0 * cells)) - 0.5
    encoder = model.sam_prompt_encoder
    sparse, dense = encoder(points=(tokens_xy, labels), boxes=None, masks=dense_map)
    pe = encoder.pe_layer((cells, cells))[None].expand(len(prompts), -1, -1, -1)
    masks, iou, score = decode_with_pe(model.sam_mask_decoder, features, sparse, dense, pe)
    return masks.float(), iou.float(), score.float()


def encode_windows(model: Any, normal: Tensor) -> list[Tensor]:
    """The three levels of features of normalised windows B x 3 x w x w, fine to low."""
    fine, coarse, low = model.forward_image(normal)["backbone_fpn"]
    return [fine, coarse, low + model.no_mem_embed.view(1, -1, 1, 1)]


def decode_with_pe(
    decoder: Any, features: list[Tensor], sparse: Tensor, dense: Tensor, pe: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """SAM 2's ``predict_masks`` with a positional encoding per sample (the official one takes one for all).

    Args:
        features: B x C/8 x 4h x 4w, B x C/4 x 2h x 2w, B x C x h x w; sparse: B x n x C; dense, pe: B x C x h x w.

    Returns:
        Masks B x 4 x 4h x 4w, predicted IoU B x 4, object score B x 1.
    """
    fine, coarse, low = features
    output = torch.cat([decoder.obj_score_token.weight, decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([output[None].expand(sparse.shape[0], -1, -1), sparse], 1)
    source = low + dense
    states, image = decoder.transformer(source, pe, tokens)
    image = image.transpose(1, 2).reshape(source.shape)
    first, norm, act1, second, act2 = decoder.output_upscaling
    upscaled = act2(second(act1(norm(first(image) + coarse))) + fine)
    filters = torch.stack([mlp(states[:, 2 + i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)], 1)
    masks = torch.einsum("bkc,bchw->bkhw", filters, upscaled)
    return masks, decoder.iou_prediction_head(states[:, 1]), decoder.pred_obj_score_head(states[:, 0])
