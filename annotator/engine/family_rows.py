"""Our own families of models, a row each. Weights of some stand in ``checkpoints/registry.toml``, the others here."""

from __future__ import annotations

from annotator.engine.specs import Ability, FamilySpec, ModelEntry, ModelPart

_PROMPTS = frozenset({Ability.CLICKS, Ability.BOX, Ability.MASK, Ability.CANDIDATES, Ability.CONTINUES})

HUB_PARTS = (ModelPart("config.json"), ModelPart("model.safetensors"))
"""What a folder of a promptable model needs."""
WORDS_PARTS = (*HUB_PARTS, ModelPart("tokenizer_config.json"), ModelPart("tokenizer.json"))
"""What a folder of a model needs that reads words."""

QWEN_PARTS = tuple(
    ModelPart(name)
    for name in (
        "config.json",
        "model.safetensors.index.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "tokenizer_config.json",
        "tokenizer.json",
        "preprocessor_config.json",
        "chat_template.json",
    )
)
"""The same of a larger one, whose weights lie in two files."""

EVF_PARTS = (*HUB_PARTS, ModelPart("sentencepiece.bpe.model"))

CHAT_PARTS = (
    *WORDS_PARTS,
    *(ModelPart(name) for name in ("preprocessor_config.json", "processor_config.json", "chat_template.json")),
)
"""What a folder of a model needs that looks and talks."""

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
    FamilySpec(
        "sam_hq",
        "HQ-SAM",
        "annotator.engine.hf.sam_hq:load",
        (".pth",),
        models=tuple(
            ModelEntry(
                f"sam-hq-{size}",
                "sam_hq",
                f"sam_hq_vit_{letter}.pth",
                "Apache-2.0",
                rank=-1,
                url=f"https://huggingface.co/lkeab/hq-sam/resolve/main/sam_hq_vit_{letter}.pth",
                bytes=count,
                page="https://huggingface.co/lkeab/hq-sam",
            )
            for size, letter, count in (
                ("base", "b", 379_000_000),
                ("large", "l", 1_250_000_000),
                ("huge", "h", 2_570_000_000),
            )
        ),
        can=_PROMPTS | {Ability.EVERYTHING},
        mark="mask_decoder.hf_token",
        model_types=("sam_hq",),
        needs=("transformers",),
        extra="hf",
    ),
    FamilySpec(
        "sam",
        "Segment Anything 1",
        "annotator.engine.hf.sam:load",
        (".pth",),
        models=tuple(
            ModelEntry(
                f"sam1-{size}",
                "sam",
                file,
                "Apache-2.0 (Meta)",
                rank=rank,
                url=f"https://dl.fbaipublicfiles.com/segment_anything/{file}",
                sha256=sha256,
                bytes=count,
                page="https://github.com/facebookresearch/segment-anything",
            )
            for size, file, rank, count, sha256 in (
                (
                    *("base", "sam_vit_b_01ec64.pth", 4, 375_042_383),
                    "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
                ),
                (
                    *("large", "sam_vit_l_0b3195.pth", 6, 1_249_524_607),
                    "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
                ),
                (
                    *("huge", "sam_vit_h_4b8939.pth", 8, 2_564_550_879),
                    "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
                ),
            )
        ),
        can=_PROMPTS | {Ability.EVERYTHING},
        mark="image_encoder.patch_embed.proj.",
        model_types=("sam",),
        needs=("transformers",),
        extra="hf",
    ),
    FamilySpec(
        "sam2_folder",
        "SAM 2.1 as a folder",
        "annotator.engine.hf.sam2_folder:load",
        models=tuple(
            ModelEntry(
                f"sam2.1-{size}-hub",
                "sam2_folder",
                f"sam2.1-{size}-hub",
                "Apache-2.0 (Meta)",
                rank=-1,
                url=f"https://huggingface.co/facebook/sam2.1-hiera-{size}/resolve/main",
                parts=HUB_PARTS,
                page=f"https://huggingface.co/facebook/sam2.1-hiera-{size}",
            )
            for size in ("tiny", "small", "base-plus", "large")
        ),
        can=_PROMPTS | {Ability.EVERYTHING},
        model_types=("sam2", "sam2_video"),
        needs=("transformers",),
        extra="hf",
    ),
    FamilySpec(
        "edgetam",
        "EdgeTAM",
        "annotator.engine.hf.edgetam:load",
        models=(
            ModelEntry(
                "edgetam",
                "edgetam",
                "edgetam",
                "Apache-2.0 (see its page)",
                rank=-1,
                url="https://huggingface.co/yonigozlan/EdgeTAM-hf/resolve/main",
                bytes=55_000_000,
                parts=HUB_PARTS,
                page="https://huggingface.co/yonigozlan/EdgeTAM-hf",
            ),
        ),
        can=_PROMPTS | {Ability.EVERYTHING},
        model_types=("edgetam", "edgetam_video"),
        needs=("transformers", "timm"),
        extra="hf",
    ),
    FamilySpec(
        "sam3_tracker",
        "SAM 3 for clicks",
        "annotator.engine.hf.sam3_tracker:load",
        models=(
            ModelEntry(
                "sam3-clicks",
                "sam3_tracker",
                "sam3",
                "SAM License (Meta)",
                rank=-1,
                bytes=3_400_000_000,
                parts=HUB_PARTS,
                page="https://huggingface.co/facebook/sam3",
                has_terms=True,
                is_gated=True,
            ),
        ),
        can=_PROMPTS | {Ability.EVERYTHING},
        model_types=("sam3_tracker", "sam3_video"),
        needs=("transformers",),
        extra="hf",
    ),
    FamilySpec(
        "sam3",
        "SAM 3 for words",
        "",
        models=(
            ModelEntry(
                "sam3",
                "sam3",
                "sam3",
                "SAM License (Meta)",
                rank=40,
                bytes=3_400_000_000,
                parts=HUB_PARTS,
                page="https://huggingface.co/facebook/sam3",
                has_terms=True,
                is_gated=True,
            ),
        ),
        can=frozenset({Ability.WORDS, Ability.EXAMPLES}),
        model_types=("sam3", "sam3_video"),
        needs=("transformers",),
        extra="hf",
        finder="annotator.engine.hf.sam3:load",
    ),
    FamilySpec(
        "grounding_dino",
        "Grounding DINO",
        "",
        models=(
            ModelEntry(
                "grounding-dino-tiny",
                "grounding_dino",
                "grounding-dino-tiny",
                "Apache-2.0",
                rank=30,
                url="https://huggingface.co/IDEA-Research/grounding-dino-tiny/resolve/main",
                bytes=689_000_000,
                parts=WORDS_PARTS,
                page="https://huggingface.co/IDEA-Research/grounding-dino-tiny",
            ),
            ModelEntry(
                "mm-grounding-dino-tiny",
                "grounding_dino",
                "mm-grounding-dino-tiny",
                "see its page",
                rank=28,
                url="https://huggingface.co/openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_v3det/resolve/main",
                bytes=700_000_000,
                parts=WORDS_PARTS,
                page="https://huggingface.co/openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_v3det",
            ),
        ),
        can=frozenset({Ability.WORDS}),
        model_types=("grounding-dino", "mm-grounding-dino"),
        needs=("transformers",),
        extra="hf",
        finder="annotator.engine.hf.grounding_dino:load",
    ),
    FamilySpec(
        "owl",
        "OWLv2",
        "",
        models=(
            ModelEntry(
                "owlv2-base",
                "owl",
                "owlv2-base",
                "Apache-2.0",
                rank=20,
                url="https://huggingface.co/google/owlv2-base-patch16-ensemble/resolve/main",
                bytes=620_000_000,
                parts=WORDS_PARTS,
                page="https://huggingface.co/google/owlv2-base-patch16-ensemble",
            ),
        ),
        can=frozenset({Ability.WORDS}),
        model_types=("owlv2",),
        needs=("transformers",),
        extra="hf",
        finder="annotator.engine.hf.owl:load",
    ),
    FamilySpec(
        "evf",
        "EVF-SAM 2",
        "",
        models=tuple(
            ModelEntry(
                name,
                "evf",
                name,
                "Apache-2.0",
                rank=rank,
                url=f"https://huggingface.co/YxZhang/{name}/resolve/main",
                bytes=3_150_000_000,
                parts=EVF_PARTS,
                page=f"https://huggingface.co/YxZhang/{name}",
            )
            for name, rank in (("evf-sam2", 24), ("evf-sam2-multitask", 26))
        ),
        can=frozenset({Ability.WORDS, Ability.WITH_CLICKS}),
        model_types=("evf",),
        needs=("sentencepiece",),
        extra="evf",
        finder="annotator.engine.evf.files:load",
    ),
    FamilySpec(
        "evf_clicks",
        "EVF-SAM 2 for clicks",
        "annotator.engine.evf.files:load_clicks",
        models=tuple(
            ModelEntry(
                f"{name}-clicks",
                "evf_clicks",
                name,
                "Apache-2.0",
                rank=-1,
                url=f"https://huggingface.co/YxZhang/{name}/resolve/main",
                bytes=3_150_000_000,
                parts=EVF_PARTS,
                page=f"https://huggingface.co/YxZhang/{name}",
            )
            for name in ("evf-sam2", "evf-sam2-multitask")
        ),
        can=_PROMPTS | {Ability.EVERYTHING},
        model_types=("evf",),
    ),
    FamilySpec(
        "clip",
        "CLIP and SigLIP",
        "",
        models=(
            ModelEntry(
                "tinyclip",
                "clip",
                "tinyclip",
                "MIT",
                rank=5,
                url="https://huggingface.co/wkcn/TinyCLIP-ViT-8M-16-Text-3M-YFCC15M/resolve/main",
                bytes=94_000_000,
                parts=WORDS_PARTS,
                page="https://huggingface.co/wkcn/TinyCLIP-ViT-8M-16-Text-3M-YFCC15M",
            ),
            ModelEntry(
                "siglip-base",
                "clip",
                "siglip-base",
                "Apache-2.0",
                rank=10,
                url="https://huggingface.co/google/siglip-base-patch16-224/resolve/main",
                bytes=813_000_000,
                parts=WORDS_PARTS,
                page="https://huggingface.co/google/siglip-base-patch16-224",
            ),
        ),
        can=frozenset({Ability.WORDS, Ability.NAMES}),
        model_types=("clip", "siglip"),
        needs=("transformers",),
        extra="hf",
        finder="annotator.engine.hf.clip:load",
        namer="annotator.engine.hf.clip:load",
    ),
    FamilySpec(
        "vlm",
        "Vision-language models",
        "",
        models=tuple(
            ModelEntry(
                name,
                "vlm",
                name,
                "Apache-2.0",
                rank=rank,
                url=f"https://huggingface.co/{page}/resolve/main",
                bytes=size,
                parts=parts,
                page=f"https://huggingface.co/{page}",
            )
            for name, rank, size, parts, page in (
                ("smolvlm-256m", 2, 517_000_000, CHAT_PARTS, "HuggingFaceTB/SmolVLM-256M-Instruct"),
                ("smolvlm-500m", 3, 1_020_000_000, CHAT_PARTS, "HuggingFaceTB/SmolVLM-500M-Instruct"),
                ("qwen2-vl-2b", 4, 4_420_000_000, QWEN_PARTS, "Qwen/Qwen2-VL-2B-Instruct"),
            )
        ),
        can=frozenset({Ability.NAMES, Ability.DESCRIBES}),
        model_types=("idefics3", "qwen2_vl"),
        needs=("transformers",),
        extra="vlm",
        namer="annotator.engine.hf.vlm:load",
        describer="annotator.engine.hf.vlm:load",
    ),
)
