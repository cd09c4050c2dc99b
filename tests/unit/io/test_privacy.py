"""Nothing about a patient gets out of an image; and if it does, the check finds it and does not repeat it."""

from __future__ import annotations

import zlib
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator import cli
from annotator.domain.privacy import Identifiers, Identity, identifiers_of
from annotator.io.project.privacy import check_privacy
from annotator.io.project.store import ProjectStore
from tests.unit.io.test_readers_dicom import write

NAME, PATIENT, BORN, ACCESSION = "Müllerova^Xaviera^Quintessa", "MRN-00815-Z", "19610807", "ACC993177"
WORDS = ("müllerova", "xaviera", "00815", "19610807", "993177")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two slices of a named patient; the program's own folders are empty."""
    monkeypatch.setenv("ANNOTATOR_HOME", str(tmp_path / "home"))
    for place in ("cache_dir", "log_dir", "state_dir"):
        monkeypatch.setattr(f"annotator.io.project.privacy.{place}", lambda place=place: tmp_path / "own" / place)
    folder = tmp_path / "scans"
    folder.mkdir()
    tags = {
        "PatientName": NAME,
        "PatientID": PATIENT,
        "PatientBirthDate": BORN,
        "AccessionNumber": ACCESSION,
        "StudyDate": "20190305",
        "SpecificCharacterSet": "ISO_IR 192",
    }
    values = np.random.default_rng(0).integers(0, 3000, (20, 30)).astype(np.int16)
    for number in range(2):
        write(folder / f"{number}.dcm", values, **tags)
    with ProjectStore.open_folder(folder):
        pass
    return folder


def found(folder: Path, *others: Path) -> dict[str, frozenset[Identity]]:
    with ProjectStore.open(folder / "scans.annot", read_only=True) as store:
        report = check_privacy(store, others=others)
    assert report.dicom_images == 2
    text = "\n".join(report.lines()).lower()
    assert not any(word in text for word in WORDS)
    return {finding.place: finding.kinds for finding in report.findings}


def uid_of(folder: Path) -> str:
    from pydicom import dcmread

    return str(dcmread(folder / "0.dcm").SeriesInstanceUID)


def test_a_clean_project_is_clean(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert found(folder) == {}
    assert cli.main(["check", str(folder), "--privacy"]) == 0
    assert "nothing about a patient was found" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (NAME, Identity.NAME),
        ("seen by Xaviera Quintessa Müllerova today", Identity.NAME),
        ("/data/MÜLLEROVA_xaviera_quintessa/ct", Identity.NAME),
        ("file müllerova.dcm", Identity.NAME),
        ("id mrn-00815-z.", Identity.PATIENT_ID),
        ("born 1961-08-07", Identity.BIRTH_DATE),
        ("19610807", Identity.BIRTH_DATE),
        ("order acc993177", Identity.ACCESSION),
        ("study_20190305_1", Identity.STUDY_DATE),
    ],
)
def test_what_stands_in_a_row_of_the_project_is_found(folder: Path, text: str, kind: Identity) -> None:
    with ProjectStore.open(folder / "scans.annot") as store:
        store.meta_set("note", text)
    assert found(folder) == {"project file: meta.v": frozenset({kind})}


def test_what_is_packed_in_an_edit_is_found(folder: Path) -> None:
    with ProjectStore.open(folder / "scans.annot") as store, store._transaction():
        packed = zlib.compress(f'["{PATIENT}"]'.encode() * 50)
        store._connection.execute(
            "INSERT INTO edit(at, author, name, changes) VALUES ('', '', 'x', ?)",
            (packed,),
        )
    assert found(folder) == {"project file: edit.changes": frozenset({Identity.PATIENT_ID})}


def test_names_of_files_are_told_without_being_named(folder: Path) -> None:
    (folder / "0.dcm").rename(folder / f"{PATIENT}.dcm")
    (folder / "scans.annot").unlink()
    with ProjectStore.open_folder(folder):
        pass
    places = found(folder)
    assert places["names of image files"] == {Identity.PATIENT_ID}


def test_exports_caches_and_logs_are_searched(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export = tmp_path / "out"
    export.mkdir()
    (export / "a.json").write_text('{"name": "x"}' + " " * 5_000_000 + ACCESSION)
    own = tmp_path / "own" / "log_dir"
    own.mkdir(parents=True)
    (own / "crash.txt").write_text(f"Traceback: {uid_of(folder)}")
    places = found(folder, export)
    assert {kind for kinds in places.values() for kind in kinds} == {Identity.ACCESSION, Identity.UID}
    assert len(places) == 2
    assert cli.main(["check", str(folder), "--privacy", "--exports", str(export)]) == 1
    assert uid_of(folder) not in capsys.readouterr().out


def test_uids_are_no_finding_in_a_project_that_keeps_them(folder: Path) -> None:
    from annotator.io.project.identifiers import KEPT, UIDS_KEY

    with ProjectStore.open(folder / "scans.annot") as store:
        store.meta_set("note", uid_of(folder))
    assert found(folder) == {"project file: meta.v": frozenset({Identity.UID})}
    with ProjectStore.open(folder / "scans.annot") as store:
        store.meta_set(UIDS_KEY, KEPT)
    assert found(folder) == {}


@pytest.mark.parametrize(
    ("tags", "is_likely"),
    [
        ({}, False),
        ({"BurnedInAnnotation": "YES"}, True),
        ({"Modality": "US"}, True),
        ({"Modality": "US", "BurnedInAnnotation": "NO"}, False),
        ({"ConversionType": "DV"}, True),
    ],
)
def test_text_in_the_pixels_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tags: dict[str, str], is_likely: bool
) -> None:
    for place in ("cache_dir", "log_dir", "state_dir"):
        monkeypatch.setattr(f"annotator.io.project.privacy.{place}", lambda: tmp_path / "own")
    folder = tmp_path / "scans"
    folder.mkdir()
    write(folder / "a.dcm", **tags)
    with ProjectStore.open_folder(folder) as store:
        assert check_privacy(store).burned_in == int(is_likely)


def test_a_project_of_photographs_has_nothing_to_look_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (9, 9)).save(folder / "a.png")
    (folder / "gone.png").write_bytes(b"no image")
    with ProjectStore.open_folder(folder) as store:
        report = check_privacy(store)
    assert (report.dicom_images, report.is_clean) == (0, True)


def test_the_search_of_a_large_cache_says_how_far_it_is_and_can_be_stopped(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "own" / "cache_dir"
    cache.mkdir(parents=True)
    for number in range(5):
        (cache / f"{number}.jpg").write_bytes(bytes(3 << 20))
    (cache / "note.txt").write_bytes(bytes(9 << 20))
    told: list[tuple[int, int]] = []
    with ProjectStore.open(folder / "scans.annot", read_only=True) as store:
        check_privacy(store, progress=lambda done, total: told.append((done, total)))
        totals = {total for _, total in told}
        assert len(totals) == 1
        assert totals.pop() >= 24 << 20
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert len([done for done, _ in told if done > 1 << 20]) >= 7, "not the images alone"

        def stop(done: int, _total: int) -> None:
            if done > 10 << 20:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            check_privacy(store, progress=stop)


# --- what counts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "text", "there"),
    [
        (Identity.NAME, "Anonymous", "anonymous patient"),
        (Identity.NAME, "Li^Wu", "li"),
        (Identity.PATIENT_ID, "1", "1 2 3"),
        (Identity.NAME, "Smith^Jo", "blacksmith"),
        (Identity.STUDY_DATE, "20240102", "2024-01-02T10:00"),
        (Identity.BIRTH_DATE, "unknown", "unknown"),
    ],
)
def test_what_means_nobody_is_no_finding(kind: Identity, text: str, there: str) -> None:
    assert identifiers_of([(kind, text)]).found_in(there.encode()) == frozenset()


words = st.text(st.characters(categories=("Lu", "Ll")), min_size=4, max_size=12)


@given(words, words, st.text(max_size=30), st.text(max_size=30), st.sampled_from(["^", " ", ", ", "_", "/"]))
def test_a_name_is_found_between_anything(family: str, given: str, before: str, after: str, between: str) -> None:
    wanted = identifiers_of([(Identity.NAME, f"{family}^{given}")])
    if wanted.is_empty:
        return
    for text in (f"{family}{between}{given}", f"{given}{between}{family}"):
        assert Identity.NAME in wanted.found_in(f"{before} {text} {after}".encode())


@given(st.lists(st.integers(0, 10**6), min_size=6, max_size=12), st.binary(max_size=50))
def test_a_uid_is_found_as_a_whole_only(parts: list[int], around: bytes) -> None:
    uid = "1." + ".".join(map(str, parts))
    wanted = identifiers_of([(Identity.UID, uid)])
    assert wanted.found_in(around + b'"' + uid.encode() + b'"') == {Identity.UID}
    assert wanted.found_in(f"{uid}.7".encode()) == frozenset()


@given(
    st.lists(
        st.sampled_from(
            ["Doe", "Jané", "doe", "\u212aing", "JANE", "x", "ÖZ", "ИваНОВ", "İnci", "ΟΔΟΣ", "STRAẞE", "李小龙"]
        ),
        min_size=1,
        max_size=3,
    ),
    st.binary(max_size=40),
    st.sampled_from([" ", "^", "\0", "é"]),
    st.sampled_from([0, 40]),
)
def test_the_quick_look_misses_nothing_that_words_would_find(
    words: list[str], noise: bytes, between: str, others: int
) -> None:
    more = [(Identity.NAME, f"Somebody{number}^Else") for number in range(others)]
    for name in ("Doe^Jane", "King^Jané", "Öz^X", "Иванов^Doe", "İnci", "οδος", "Straße", "李小龙"):
        wanted = identifiers_of([(Identity.NAME, name), *more])
        data = noise + between.join(words).encode() + noise
        with patch.object(Identifiers, "_may_be_in", lambda _self, _data: True):
            whole = wanted.found_in(data)
        assert wanted.found_in(data) == whole
