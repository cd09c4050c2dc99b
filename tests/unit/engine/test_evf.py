"""EVF-SAM 2 from a folder in the published layout, small and random: what is loaded, asked, cut and refused."""

from __future__ import annotations

import json
import math
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from annotator import cli
from annotator.domain.errors import ModelError
from annotator.domain.phrase import split_phrases
from annotator.domain.ports.concept import ConceptAsk, ConceptImage
from annotator.domain.prompt import PointPrompt
from annotator.engine import bundles, weights
from annotator.engine.evf import files
from annotator.engine.evf.beit3 import Beit3, Beit3Size
from annotator.engine.evf.finder import ALL_OF_A_KIND, MOST_TOKENS, EvfFinder, EvfNetwork
from annotator.engine.finders import load_named
from annotator.engine.load import load_segmenter
from annotator.engine.sam2.nano import build_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter
from tests.small_base import SMALL
from tests.unit.engine.hub.tiny_hub import picture

pytestmark = pytest.mark.skipif(find_spec("sentencepiece") is None, reason="the extra evf is not installed")

SIZE = Beit3Size(width=128, hidden=256, layers=2, side=32, patch=16, vocabulary=64010, most_words=1024)


def random_network() -> EvfNetwork:
    torch.manual_seed(0)
    network = EvfNetwork(build_nano(SMALL), Beit3(SIZE), SMALL.channels)
    with torch.no_grad():
        network.beit3.vision_embed.cls_token.normal_()
    return network.eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the hub has it; the dtypes are mixed there."""
    import sentencepiece

    place = tmp_path_factory.mktemp("hub") / "evf-sam2"
    place.mkdir()
    state = random_network().state_dict()
    state = {name: values.half() if "fc1" in name else values.contiguous() for name, values in state.items()}
    save_file(state, place / "model.safetensors")
    (place / "config.json").write_text(json.dumps({"model_type": "evf", "sam_scale": "large"}))
    lines = ["a red mushroom", "the cup on the left", "naive cafe, 3 bottles!"] * 30
    (place.parent / "t.txt").write_text("\n".join(lines))
    sentencepiece.SentencePieceTrainer.train(
        input=str(place.parent / "t.txt"),
        model_prefix=str(place / "sentencepiece.bpe"),
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return place


@pytest.fixture(autouse=True)
def small_base(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(files, "build_config", lambda _config: build_nano(SMALL))
    monkeypatch.setenv("ANNOTATOR_CHECKPOINTS", str(tmp_path / "models"))


def asked(finder: Any, text: str, clicks: tuple[PointPrompt, ...] = (), segmenter: Any = None) -> Any:
    rgb, segmenter = picture(), segmenter or load_segmenter("grabcut")
    image = ConceptImage(rgb, "k", segmenter, lambda: segmenter.encode(rgb, "k"))
    steps = list(finder.steps(image, ConceptAsk(split_phrases(text), clicks=clicks), has_to_yield=lambda: False))
    assert [step.is_last for step in steps] == [False] * (len(steps) - 1) + [True]
    return steps[-1].proposals


def test_an_imported_folder_is_found_by_its_name_and_answers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotator.engine.evf.finder.LEAST_SCORE", -1e9)
    weights.import_file(folder, name="evf-sam2")
    finder: Any = load_named("evf-sam2", "finder", device="cpu")
    assert isinstance(finder, EvfFinder)
    assert finder.info.name == "evf-sam2"
    found = asked(finder, "red mushroom, not cup")
    assert {one.phrase for one in found} <= {"red mushroom"}
    assert all((one.mask.width, one.mask.height) == (120, 80) for one in found)


def test_clicks_beside_the_words_become_tokens_before_theirs_and_mean_one_object(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotator.engine.evf.finder.LEAST_SCORE", -1e9)
    weights.import_file(folder, name="evf-sam2-multitask")
    finder: Any = load_named("evf-sam2-multitask", "finder", device="cpu")
    sparse: list[Tensor] = []
    real = finder._decoded
    monkeypatch.setattr(finder, "_decoded", lambda embedding, token: sparse.append(token) or real(embedding, token))
    clicks = (PointPrompt(30.0, 20.0), PointPrompt(90.0, 70.0, is_positive=False))
    asked(finder, "red mushroom, not cup")
    found = asked(finder, "red mushroom, not cup", clicks)
    assert len([one for one in found if one.phrase == "red mushroom"]) <= 1
    assert [one.shape[1] for one in sparse] == [1, 1, 4, 1]  # two clicks, their padding and the words; "cup" has none
    assert torch.equal(sparse[2][:, 3:], sparse[0])
    side = finder.info.image_size
    prompts = finder._network.visual_model.sam_prompt_encoder
    places = torch.tensor([[[30 * side / 120, 20 * side / 80], [90 * side / 120, 70 * side / 80]]])
    official, _ = prompts(points=(places, torch.tensor([[1, 0]])), boxes=None, masks=None)
    assert torch.equal(sparse[2][:, :3], official)


def test_the_embedding_of_the_same_encoder_is_taken_and_that_of_another_is_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotator.engine.evf.finder.LEAST_SCORE", -1e9)
    weights.import_file(folder, name="evf-sam2")
    for is_same in (True, False):
        finder: Any = load_named("evf-sam2", "finder", device="cpu")
        encoded: list[str] = []
        monkeypatch.setattr(finder._segmenter, "encode", _noting(finder._segmenter.encode, encoded))
        network = random_network().visual_model
        if is_same:
            network.load_state_dict(finder._network.visual_model.state_dict())
        else:
            next(network.image_encoder.parameters()).data.add_(1)
        in_use = Sam2Segmenter(network, finder.info)
        for text in ("red mushroom", "cup"):
            asked(finder, text, (PointPrompt(30.0, 20.0),), in_use)
        assert encoded == ([] if is_same else ["k"])


def _noting(real: Any, noted: list[str]) -> Any:
    def encode(image: Any, key: str, **options: Any) -> Any:
        noted.append(key)
        return real(image, key, **options)

    return encode


def test_the_token_is_the_only_prompt_and_follows_words_and_image(folder: Path) -> None:
    network = random_network()
    pieces = files._pieces(folder)
    finder = EvfFinder(network, pieces, load_segmenter("grabcut").info, is_for_kinds=True)
    ids = finder.ids("cup " * 200)
    assert len(ids) == MOST_TOKENS
    assert ids[:2] == [0, ALL_OF_A_KIND]
    assert ids[-1] == 2
    assert finder.ids("\u2603")[-2] == 3, "unknown"
    with torch.inference_mode():
        first, same, other = (
            network.token(image, torch.tensor([finder.ids(text)]))
            for image, text in (
                (torch.zeros(1, 3, 32, 32), "cup"),
                (torch.zeros(1, 3, 32, 32), "cup"),
                (torch.ones(1, 3, 32, 32), "cup"),
            )
        )
        words = network.token(torch.zeros(1, 3, 32, 32), torch.tensor([finder.ids("mushroom")]))
    assert first.shape == (1, 1, SMALL.channels)
    assert torch.equal(first, same)
    assert not torch.allclose(first, other)
    assert not torch.allclose(first, words)


def plain(state: dict[str, Tensor], pixels: Tensor, ids: list[int]) -> Tensor:
    """BEiT-3 said again, a token at a time: the class token's vector."""

    def linear(name: str, x: Tensor) -> Tensor:
        return state[f"{name}.weight"] @ x + state[f"{name}.bias"]

    def norm(name: str, x: Tensor) -> Tensor:
        centred = x - x.mean()
        return centred / (centred.square().mean() + 1e-5).sqrt() * state[f"{name}.weight"] + state[f"{name}.bias"]

    kernel, patch = state["vision_embed.proj.weight"], SIZE.patch
    tokens = [("A", state["vision_embed.cls_token"][0, 0])]
    for y in range(0, SIZE.side, patch):
        for x in range(0, SIZE.side, patch):
            piece = pixels[0, :, y : y + patch, x : x + patch]
            tokens.append(("A", kernel.flatten(1) @ piece.flatten() + state["vision_embed.proj.bias"]))
    tokens += [("B", state["text_embed.weight"][one]) for one in ids]
    seen = {"A": 2, "B": 2}
    rows = []
    for kind, vector in tokens:
        rows.append((kind, vector + state[f"encoder.embed_positions.{kind}.weight"][seen[kind]]))
        seen[kind] += 1
    for layer in range(SIZE.layers):
        at = f"encoder.layers.{layer}"
        normed = [(kind, norm(f"{at}.self_attn_layer_norm.{kind}", x)) for kind, x in rows]
        parts = {
            name: torch.stack([linear(f"{at}.self_attn.{name}_proj.{kind}", x) for kind, x in normed]) for name in "qkv"
        }
        mixed = []
        for one in range(len(rows)):
            heads = []
            for head in range(SIZE.heads):
                span = slice(64 * head, 64 * head + 64)
                share = (parts["k"][:, span] @ parts["q"][one, span] / math.sqrt(64)).softmax(0)
                heads.append(share @ parts["v"][:, span])
            kind = rows[one][0]
            out = norm(f"{at}.self_attn.inner_attn_ln.{kind}", torch.cat(heads))
            mixed.append(rows[one][1] + linear(f"{at}.self_attn.out_proj.{kind}", out))
        after = []
        for (kind, _), x in zip(rows, mixed, strict=True):
            inner = linear(f"{at}.ffn.{kind}.fc1", norm(f"{at}.final_layer_norm.{kind}", x))
            inner = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))
            after.append((kind, x + linear(f"{at}.ffn.{kind}.fc2", norm(f"{at}.ffn.{kind}.ffn_layernorm", inner))))
        rows = after
    return norm("encoder.layer_norm.A", rows[0][1])


def test_beit_3_is_what_its_description_says_token_by_token() -> None:
    network = random_network().beit3
    torch.manual_seed(1)
    pixels, ids = torch.randn(1, 3, 32, 32), [0, 17, 300, 64002, 2]
    with torch.inference_mode():
        found = network(pixels, torch.tensor([ids]))[0, 0]
        said = plain(network.state_dict(), pixels, ids)
    assert Beit3Size.of(network.state_dict()) == SIZE
    torch.testing.assert_close(found, said, atol=2e-5, rtol=1e-4)


def test_all_of_a_kind_is_cut_into_parts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logits = np.full((32, 32), -5, np.float32)
    logits[4:12, 4:12] = logits[20:30, 18:28] = 5
    logits[0, 31] = 5  # a speck
    finder = EvfFinder(random_network(), files._pieces(folder), load_segmenter("grabcut").info, is_for_kinds=True)
    finder._info = files.ModelInfo("evf-sam2-multitask", "ab" * 32, "cpu", "float32", 128)
    finder._segmenter._info = finder._info
    answer = torch.from_numpy(np.stack([logits, -logits, -logits])), torch.tensor([0.9, 0.1, 0.2])
    monkeypatch.setattr(finder, "_decoded", lambda *_: answer)
    found = asked(finder, "cup")
    assert len(found) == 2
    assert {one.phrase for one in found} == {"cup"}


@pytest.mark.parametrize("damage", ["cut", "lacks", "nan", "no pieces", "other", "scale"])
def test_damage_is_said_in_a_sentence(folder: Path, tmp_path: Path, damage: str) -> None:
    place = tmp_path / "evf"
    shutil.copytree(folder, place)
    path = place / "model.safetensors"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "no pieces":
        (place / files.PIECES_NAME).unlink()
    elif damage == "scale":
        (place / "config.json").write_text('{"model_type": "evf", "sam_scale": "gigantic"}')
    else:
        state = load_file(path)
        name = "text_hidden_fcs.0.0.weight"
        if damage == "nan":
            state[name] = torch.full_like(state[name], math.nan)
        else:
            state = {
                key: value for key, value in state.items() if key != name and (damage == "lacks" or "beit3" in key)
            }
        save_file(state, path)
    with pytest.raises(ModelError, match=r"Copy|Known"):
        files.load(files.ModelSource(place, None, False, "", "cpu", None, None, print))


def test_clicks_and_words_share_one_embedding_of_the_imported_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the command line: clicks beside the words, answered by the same weights, and the image is encoded once."""
    monkeypatch.setattr("annotator.engine.evf.finder.LEAST_SCORE", -1e9)
    weights.import_file(folder, name="evf-sam2")
    segmenter: Any = load_segmenter("evf-sam2-clicks", device="cpu")
    assert isinstance(segmenter, Sam2Segmenter)
    assert (segmenter.info.name, segmenter.info.sha256) == ("evf-sam2-clicks", bundles.digest_of(weights_place()))
    encoded: list[str] = []
    real = Sam2Segmenter.encode

    def encode(self: Any, image: Any, key: str, **options: Any) -> Any:
        encoded.append(key)
        return real(self, image, key, **options)

    monkeypatch.setattr(Sam2Segmenter, "encode", encode)
    Image.fromarray(picture()).save(tmp_path / "a.png")
    out = tmp_path / "found.json"
    asked = ["text", str(tmp_path / "a.png"), "--text", "cup", "--model", "evf-sam2-clicks", "--finder", "evf-sam2"]
    asked += ["--min-score", "0", "--out", str(out)]
    for points in ([], ["--point", "30,20", "--point", "90,70,0"]):
        encoded.clear()
        assert cli.main([*asked, *points]) == 0
        assert len(encoded) == 1
        coco = json.loads(out.read_text())
        assert coco["info"]["words"]["finder"] == "evf-sam2"
    assert coco["info"]["words"]["clicks"] == [[30.0, 20.0, 1], [90.0, 70.0, 0]]


def weights_place() -> Path:
    place = weights.find_file(weights.registry()["evf-sam2"])
    assert place is not None
    return place


def test_clicks_beside_words_that_cannot_be_used_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights.import_file(folder, name="evf-sam2")
    for name in ("a", "b"):
        Image.fromarray(picture()).save(tmp_path / f"{name}.png")
    out = ["--out", str(tmp_path / "found.json"), "--model", "grabcut", "--finder"]
    words = ["text", str(tmp_path / "a.png"), "--text", "cup"]
    for more, said in (
        ([*out, "evf-sam2", "--point", "500,20"], "outside the image"),
        ([*out, "grounding-dino-tiny", "--point", "5,20"], "Those that do: evf-sam2"),
    ):
        assert cli.main([*words, *more]) in (1, 2)
        assert said in capsys.readouterr().err
    assert cli.main(["text", str(tmp_path), "--text", "cup", *out, "evf-sam2", "--point", "5,5"]) == 2
    assert "Name one image" in capsys.readouterr().err


def test_damage_is_said_by_the_half_for_clicks_too(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "evf"
    shutil.copytree(folder, place)
    state = {k: v for k, v in load_file(place / "model.safetensors").items() if not k.startswith("visual_model.")}
    save_file(state, place / "model.safetensors")
    with pytest.raises(ModelError, match="Copy"):
        files.load_clicks(files.ModelSource(place, None, False, "", "cpu", None, None, print))
