"""A toy vision-language model of the library's real class, random, in the layout that SmolVLM has on its hub."""

from __future__ import annotations

import json
from pathlib import Path

import torch

WORDS = (
    *("[PAD]", "[UNK]", "<end_of_utterance>", "<image>", "<fake_token_around_image>", "<global-img>", "User", ":"),
    *("Assistant", "What", "is", "the", "outlined", "object", "?", "Describe", "it", "in", "one", "short", "sentence"),
    *(".", "a", "red", "mushroom", "cup", "square", "bar"),
)
_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | capitalize }}:{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>' }}{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def saved_vlm(folder: Path) -> Path:
    """The folder of one whose answers are always the same words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessor,
        Idefics3Processor,
        PreTrainedTokenizerFast,
    )

    place = folder / "idefics3"
    place.mkdir()
    words = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="[PAD]",
        unk_token="[UNK]",
        eos_token="<end_of_utterance>",
        additional_special_tokens=["<image>", "<fake_token_around_image>", "<global-img>"],
    )
    side = {"longest_edge": 64}
    pictures = Idefics3ImageProcessor(do_image_splitting=False, size=side, max_image_size=side)
    Idefics3Processor(pictures, tokenizer, image_seq_len=4).save_pretrained(place)
    pictures.save_pretrained(place)
    (place / "chat_template.json").write_text(json.dumps({"chat_template": _TEMPLATE}), "utf-8")
    torch.manual_seed(0)
    config = Idefics3Config(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 64,
            "patch_size": 16,
        },
        text_config={
            "model_type": "llama",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "vocab_size": len(WORDS),
            "pad_token_id": 0,
            "bos_token_id": 2,
            "eos_token_id": 2,
            "max_position_embeddings": 256,
        },
        scale_factor=2,
        image_token_id=WORDS.index("<image>"),
        pad_token_id=0,
    )
    Idefics3ForConditionalGeneration(config).eval().save_pretrained(place)
    return place


_QWEN_SIGNS = ("<|vision_start|>", "<|image_pad|>", "<|vision_end|>", "<|video_pad|>", "<|im_end|>")
_QWEN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | capitalize }}:{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def saved_qwen(folder: Path) -> Path:
    """The folder of a toy of another class, Qwen2-VL's, whose weights lie in two files as on its hub."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        PreTrainedTokenizerFast,
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    place = folder / "qwen2_vl"
    place.mkdir()
    signs = dict(zip(_QWEN_SIGNS, range(len(WORDS), len(WORDS) + len(_QWEN_SIGNS)), strict=True))
    vocabulary = {word: at for at, word in enumerate(WORDS)} | signs
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="[PAD]",
        unk_token="[UNK]",
        eos_token="<|im_end|>",
        additional_special_tokens=list(_QWEN_SIGNS[:4]),
    )
    sizes = {"patch_size": 4, "temporal_patch_size": 2, "merge_size": 2, "min_pixels": 64, "max_pixels": 1024}
    pictures, videos = Qwen2VLImageProcessor(**sizes), Qwen2VLVideoProcessor(**sizes)
    Qwen2VLProcessor(pictures, tokenizer, videos, chat_template=_QWEN_TEMPLATE).save_pretrained(place)
    pictures.save_pretrained(place)
    (place / "chat_template.json").write_text(json.dumps({"chat_template": _QWEN_TEMPLATE}), "utf-8")
    torch.manual_seed(0)
    config = Qwen2VLConfig(
        vision_config={
            "depth": 1,
            "embed_dim": 32,
            "hidden_size": 32,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": 4,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
        text_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "vocab_size": len(vocabulary),
            "max_position_embeddings": 512,
            "bos_token_id": 2,
            "eos_token_id": signs["<|im_end|>"],
            "pad_token_id": 0,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
        },
        image_token_id=signs["<|image_pad|>"],
        video_token_id=signs["<|video_pad|>"],
        vision_start_token_id=signs["<|vision_start|>"],
        vision_end_token_id=signs["<|vision_end|>"],
    )
    Qwen2VLForConditionalGeneration(config).eval().save_pretrained(place, max_shard_size="120KB")
    return place
