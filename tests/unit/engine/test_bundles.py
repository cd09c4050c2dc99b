"""Models that are folders: taken in, noted, looked at again, fetched file by file, removed."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from annotator.domain import budget
from annotator.domain.errors import ModelError
from annotator.engine import bundles, terms, weights
from annotator.engine.load import load_segmenter
from annotator.engine.registry import FAMILIES, ModelEntry, ModelPart, ModelSource, family_of

PARTS = {"config.json": b'{"model_type": "edgetam"}', "model.safetensors": b"\x02\0\0\0\0\0\0\0{}" + b"w" * 300_000}
ENTRY = ModelEntry(
    "toy", "edgetam", "toy", "none", -1, url="x", parts=(ModelPart("config.json"), ModelPart("model.safetensors"))
)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANNOTATOR_CHECKPOINTS", str(tmp_path / "models"))
    known = weights.registry()
    monkeypatch.setattr(weights, "registry", lambda: known | {"toy": ENTRY})
    return tmp_path / "models"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    place = tmp_path / "toy"
    place.mkdir()
    for name, data in {**PARTS, "README.md": b"# toy", "run.py": b"raise SystemExit"}.items():
        (place / name).write_bytes(data)
    return place


def zipped(source: Path, target: Path, prefix: str = "", **more: bytes) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(source.iterdir()):
            archive.write(path, prefix + path.name)
        for name, data in more.items():
            archive.writestr(name.replace("_", "/"), data)
    return target


def test_a_folder_is_taken_in_without_code_and_noticed_when_it_changes(source: Path, own_folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    status = weights.import_file(source, progress=lambda done, total: seen.append((done, total)))
    assert (status.is_usable, status.is_verified) == (True, False)
    assert {path.name for path in (own_folder / "toy").iterdir()} == {*PARTS, "origin.json"}
    assert seen[-1][0] == seen[-1][1] == sum(map(len, PARTS.values()))
    digest = bundles.digest_of(own_folder / "toy")
    path = own_folder / "toy" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    status = weights.status_of(ENTRY)
    assert not status.is_usable
    assert "not as it was when it came" in status.note
    with pytest.raises(ModelError, match="not as it was"):
        load_segmenter("toy")
    weights.import_file(source)
    assert bundles.digest_of(own_folder / "toy") == digest


def test_a_zip_is_taken_in_and_a_hostile_one_is_not(source: Path, tmp_path: Path, own_folder: Path) -> None:
    assert weights.import_file(zipped(source, tmp_path / "a.zip", "toy-main/"), name="toy").is_usable
    bad = zipped(source, tmp_path / "b.zip", **{".._evil.json": b"x"})
    with pytest.raises(ModelError, match="would land elsewhere"):
        weights.import_file(bad, name="toy")
    bomb = tmp_path / "c.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (8 << 20))
    with pytest.raises(ModelError, match="claims more"):
        weights.import_file(bomb, name="toy")
    (tmp_path / "d.zip").write_bytes(b"PK nothing")
    with pytest.raises(ModelError, match="cannot be imported"):
        weights.import_file(tmp_path / "d.zip", name="toy")
    assert weights.status_of(ENTRY).is_usable, "what was there stays"
    assert {path.name for path in own_folder.iterdir()} == {"toy"}


def test_what_lacks_files_or_a_name_is_refused(source: Path, tmp_path: Path) -> None:
    (source / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"lacks model\.safetensors"):
        weights.import_file(source)
    other = source.rename(tmp_path / "something")
    with pytest.raises(ModelError, match="does not say which model"):
        weights.import_file(other)
    with pytest.raises(ModelError, match="no model 'nothing' to import"):
        weights.import_file(other, name="nothing")


class Hub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HubFiles)
        self.asked: list[tuple[str, str | None]] = []
        self.breaks = True


class HubFiles(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_args: object) -> None:
        return

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        name = self.path.rsplit("/", 1)[-1]
        self.server.asked.append((name, asked))
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        rest = PARTS[name][start:]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        is_broken = self.server.breaks and name == "model.safetensors" and not asked
        self.wfile.write(rest[:200_000] if is_broken else rest)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_download_goes_on_with_the_file_that_it_stopped_in(hub: Hub, own_folder: Path) -> None:
    entry = replace(ENTRY, url=f"http://127.0.0.1:{hub.server_address[1]}/resolve/main")
    with pytest.raises(ModelError, match="could not be downloaded"):
        weights.fetch(entry, own_folder)
    assert weights.find_file(entry) is None
    hub.breaks = False
    status = weights.fetch(entry, own_folder)
    assert status.is_usable
    assert [name for name, _ in hub.asked] == ["config.json", "model.safetensors", "model.safetensors"]
    assert (hub.asked[-1][1] or "").startswith("bytes=1"), "it goes on, and does not begin anew"
    assert (own_folder / "toy" / "model.safetensors").read_bytes() == PARTS["model.safetensors"]
    assert {path.name for path in own_folder.iterdir()} == {"toy"}
    wrong = replace(entry, parts=(ModelPart("config.json", "0" * 64), entry.parts[1]))
    with pytest.raises(ModelError, match="not the official one"):
        weights.fetch(wrong, own_folder)
    assert weights.status_of(entry).is_usable


def test_removing_frees_the_disk_and_names_what_is_there(source: Path, own_folder: Path) -> None:
    weights.import_file(source)
    assert weights.remove("toy") > 3000
    assert list(own_folder.iterdir()) == []
    for name in ("toy", "nano", "nothing"):
        with pytest.raises(ModelError, match="not among the models that were brought here"):
            weights.remove(name)


def test_a_model_that_does_not_fit_into_memory_is_refused_with_both_figures(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = json.dumps({"a": {"dtype": "F16", "shape": [1000, 1000], "data_offsets": [0, 2_000_000]}}).encode()
    path = source / "model.safetensors"
    path.write_bytes(len(head).to_bytes(8, "little") + head)
    assert bundles.weights_bytes(source) == 4_000_000, "as much as in single precision"
    monkeypatch.setattr(budget, "free_bytes", lambda: 3_000_000)
    with pytest.raises(ModelError, match=r"toy needs 4 MB of memory for its weights alone, 3 MB are free\."):
        bundles.check_room("toy", source)
    monkeypatch.undo()
    assert 0 < budget.free_bytes() <= budget.machine_bytes()


def test_a_licence_of_its_own_is_accepted_once(source: Path) -> None:
    own = replace(ENTRY, has_terms=True, page="https://example.org")
    with pytest.raises(ModelError, match=r"licence of its own.*example\.org.*models accept toy"):
        terms.check_accepted(own)
    terms.accept(own)
    terms.check_accepted(own)
    with pytest.raises(ModelError):
        terms.check_accepted(replace(own, licence="another text"))


@pytest.mark.parametrize("kept", ["{", "[1]", "[" * 90_000, '{"its own": 5}', "\udcff"])
def test_a_note_of_accepted_licences_that_is_damaged_counts_as_none_and_is_written_anew(
    source: Path, kept: str
) -> None:
    own = replace(ENTRY, has_terms=True, licence="its own")
    note = weights.checkpoints_dir() / "accepted-licences.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_bytes(kept.encode("utf-8", "surrogateescape"))
    assert not terms.is_accepted(own)
    terms.accept(own)
    assert terms.is_accepted(own)
    assert json.loads(note.read_bytes())["its own"]["of"] == "toy"


def test_an_acceptance_that_cannot_be_noted_is_said(source: Path) -> None:
    (weights.checkpoints_dir() / "accepted-licences.json").mkdir(parents=True)
    with pytest.raises(ModelError, match=r"accepted-licences\.json cannot be written: .*Free some space"):
        terms.accept(replace(ENTRY, has_terms=True))


def test_a_folder_is_of_the_family_that_its_description_names(source: Path) -> None:
    def family(place: Path) -> str:
        return family_of(ModelSource(place, None, False, "", "", None, None, print)).kind

    assert family(source) == "edgetam"
    for text, said in (('{"model_type": "bert"}', "type bert"), ("[]", "no model"), ("{", "no model")):
        (source / "config.json").write_text(text)
        with pytest.raises(ModelError, match=said):
            family(source)


def test_what_is_not_installed_is_said_with_what_installs_it(monkeypatch: pytest.MonkeyPatch, source: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r'EdgeTAM needs transformers and timm.*pip install "annotator\[hf\]"'):
        load_segmenter(str(source))


def test_what_families_can_is_what_their_modules_do() -> None:
    from annotator.engine.registry import Ability

    for family in FAMILIES:
        assert bool(family.loader) == (Ability.CLICKS in family.can), family.kind
        assert bool(family.finder) == (Ability.WORDS in family.can), family.kind
        assert bool(family.namer) == (Ability.NAMES in family.can), family.kind
        assert bool(family.needs) == bool(family.extra), family.kind


def test_of_several_models_in_an_archive_the_first_is_taken(source: Path, tmp_path: Path) -> None:
    """Whatever the seed of Python's hashes is."""
    others = {f"{letter}_config.json": PARTS["config.json"] for letter in "qwertzui"}
    archive = zipped(source, tmp_path / "many.zip", "a/", **others)
    with zipfile.ZipFile(archive) as opened:
        names = [name for name, _ in bundles._members(opened, archive)]
    assert "model.safetensors" in names, "of the folder that came first"
