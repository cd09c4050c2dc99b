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
