"""What a run of the embedded model's training is: kept with its state, and compared when it goes on."""

from __future__ import annotations

from dataclasses import dataclass

from annotator.train.data.windows import GREY_SHARE, PASTED_SHARE


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a run: its share of the time, the windows' side in pixels (a multiple of 32), windows per step."""

    share: float
    side_px: int
    batch: int


SCHEDULES = ("cosine", "flat")

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
        late_share, late_round_shares: other round shares for the end of a run, and how much of it that is.
        mask_share: of the steps that begin with a given mask and a click on its largest error.
        trunk_rate: of the learning rate, for the trunk; less than 1 for one that has learnt before.
        frozen_share: of the run, at its beginning, that leaves the trunk as it is.
        pasted_share, grey_share, grey_window_share, hard_sets, set_factors: see
            :class:`~annotator.train.data.windows.WindowRecipe`.
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
    late_share: float = 0.0
    late_round_shares: tuple[float, ...] = (0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1)
    deepest_share: float = 0.5
    mask_share: float = 0.0
    trunk_rate: float = 1.0
    frozen_share: float = 0.0
    pasted_share: float = PASTED_SHARE
    grey_share: float = GREY_SHARE
    grey_window_share: float = 0.0
    hard_sets: float = 1.0
    set_factors: tuple[tuple[str, float], ...] = ()
    teacher_weight: float = 1.0
    teacher_sha256: str = ""
    seed: int = 0
    state_minutes: float = 4.0
    export_minutes: float = 12.0
    validate_minutes: float = 10.0
