"""Our own families of models, a row each. Weights of some stand in ``checkpoints/registry.toml``, the others here."""

from __future__ import annotations

from annotator.engine.specs import Ability, FamilySpec, ModelEntry

_PROMPTS = frozenset({Ability.CLICKS, Ability.BOX, Ability.MASK, Ability.CANDIDATES, Ability.CONTINUES})

FAMILIES: tuple[FamilySpec, ...] = (
    FamilySpec(
        "nano",
        "Embedded model",
        "annotator.engine.sam2.files:load_embedded",
        (".safetensors",),
        can=_PROMPTS | {Ability.EVERYTHING, Ability.ADAPTERS},
    ),
    FamilySpec(
        "sam2",
        "Segment Anything 2",
        "annotator.engine.sam2.files:load_official",
        (".pt", ".pth"),
        can=_PROMPTS | {Ability.EVERYTHING, Ability.ADAPTERS},
        mark="image_encoder.trunk.",
    ),
    FamilySpec(
        "grabcut",
        "GrabCut, without weights",
        "annotator.engine.grabcut:load",
        models=(ModelEntry("grabcut", "grabcut", "", "Apache-2.0 (OpenCV)", rank=-10),),
        can=frozenset({Ability.CLICKS, Ability.BOX, Ability.MASK, Ability.CONTINUES}),
    ),
)
