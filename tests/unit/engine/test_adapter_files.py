"""Adapter files as they are kept: an adapter and its card come, go and change places together."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from annotator.domain.adapter import DECIDING, AdapterInfo
from annotator.domain.errors import ModelError
from annotator.engine.sam2 import adapter_files as files
from annotator.engine.sam2.adapter_network import AdapterConfig, PromptAdapter
from tests.little_room import little_room, needs_limits


def write_adapter(path: Path, seed: int = 0, *, name: str = "nuclei", date: str = "2026-11-21") -> Path:
    torch.manual_seed(seed)
    network = PromptAdapter(AdapterConfig(64))
    figures = {"objects": 60, "images": 12, DECIDING: [0.61, 0.68]}
    about = (name, "cells", "nano", "a" * 64, files.config_of(network), "3 images", figures)
    files.save_adapter(network, AdapterInfo(*about, date=date), path)
    return path


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "made" / "a.safetensors")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_card_beside_a_file_is_installed_with_it(made: Path, tmp_path: Path) -> None:
    made.with_suffix(".md").write_text("# Adapter: nuclei\n\nMy words.\n")
    target = files.install(made, "nuclei", tmp_path / "own")
    assert target.with_suffix(".md").read_text() == "# Adapter: nuclei\n\nMy words.\n"
    assert set(contents(tmp_path / "own")) == {"nuclei.safetensors", "nuclei.md"}


def test_a_file_without_a_card_gets_one_of_what_it_says_of_itself(made: Path, tmp_path: Path) -> None:
    target = files.install(made, "nuclei", tmp_path / "own")
    card = target.with_suffix(".md").read_text()
    assert card.startswith("# Adapter: nuclei\n\n- For: cells\n- Base: nano (SHA-256 aaaa")
    assert f"| {DECIDING} | 0.61 | 0.68 |" in card
    assert "images: 12, objects: 60" in card
    made.with_suffix(".md").write_text("# My shopping list\n")
    assert files.read_card(made) == card, "no adapter's card"


def test_rolling_back_takes_the_card_along_and_twice_goes_forward(made: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    files.install(made, "nuclei", own, card="# Adapter: first\n")
    files.install(write_adapter(tmp_path / "b.safetensors", 1), "nuclei", own, card="# Adapter: second\n")
    newer = contents(own)
    files.roll_back("nuclei", own)
    assert (own / "nuclei.md").read_text() == "# Adapter: first\n"
    assert (own / "nuclei.safetensors").read_bytes() == made.read_bytes()
    files.roll_back("nuclei", own)
    assert contents(own) == newer
    files.remove("nuclei", own)
    assert contents(own) == {}


def test_a_card_never_stays_beside_another_version(made: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    files.install(made, "nuclei", own).with_suffix(".md").unlink()
    files.install(write_adapter(tmp_path / "b.safetensors", 1), "nuclei", own, card="# Adapter: second\n")
    files.roll_back("nuclei", own)
    assert not (own / "nuclei.md").exists(), "the version before had none"
    files.roll_back("nuclei", own)
    assert (own / "nuclei.md").read_text() == "# Adapter: second\n"


def test_export_writes_both_files_and_overwrites_nothing_but_cards(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert files.export(made, out) == out / "a.safetensors"
    assert files.export(made, out / "b.v2") == out / "b.v2.safetensors"
    files.export(made, out / "b.v2.safetensors")
    assert set(contents(out)) == {"a.safetensors", "a.md", "b.v2.safetensors", "b.v2.md"}
    (out / "README.md").write_text("# A project\n")
    with pytest.raises(ModelError, match="not an adapter's card"):
        files.export(made, out / "README")
    assert not (out / "README.safetensors").exists()
    assert (out / "README.md").read_text() == "# A project\n"
    files.install(out / "b.v2.safetensors", "again", tmp_path / "own")
    assert (tmp_path / "own" / "again.md").read_bytes() == (out / "a.md").read_bytes()


def test_what_is_not_there_is_named(made: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    files.install(made, "nuclei", own)
    with pytest.raises(ModelError, match="no version of nuclei before"):
        files.roll_back("nuclei", own)
    with pytest.raises(ModelError, match="no adapter 'absent'"):
        files.roll_back("absent", own)
    with pytest.raises(ModelError, match="no adapter 'absent'"):
        files.remove("absent", own)
    with pytest.raises(ModelError, match="Known: nuclei"):
        files.find_adapter("absent", [own])
    assert files.find_adapter("nuclei", [own])[0] == own / "nuclei.safetensors"
    with pytest.raises(ModelError, match="not a readable"):
        files.install(tmp_path, "x", own)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="folders cannot be protected from this user")
def test_a_folder_that_cannot_be_written_is_a_clear_message(made: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir(mode=0o500)
    with pytest.raises(ModelError, match="cannot be written"):
        files.install(made, "nuclei", own)


def test_a_folder_that_is_a_file_is_a_clear_message(made: Path, tmp_path: Path) -> None:
    (tmp_path / "own").write_text("")
    with pytest.raises(ModelError, match="cannot be written"):
        files.install(made, "nuclei", tmp_path / "own")
    with pytest.raises(ModelError, match="cannot be written"):
        files.export(made, tmp_path / "none" / "x")


@needs_limits
def test_a_full_disk_leaves_no_half_copy_and_what_was_there(made: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    files.install(write_adapter(tmp_path / "b.safetensors", 1), "nuclei", own)
    files.install(made, "nuclei", own)
    before = contents(own)
    with little_room(10_000):
        for tried in (
            lambda: files.install(tmp_path / "b.safetensors", "nuclei", own),
            lambda: files.roll_back("nuclei", own),
            lambda: files.export(made, own / "copy"),
        ):
            with pytest.raises(ModelError, match="cannot be written"):
                tried()
            assert contents(own) == before
        with pytest.raises(OSError, match="large"):
            files.save_adapter(files.load_adapter(made).network, files.read_adapter_info(made), own / "new.safetensors")
    assert contents(own) == before
