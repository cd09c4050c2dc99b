"""The rows of formats: each is usable, its options are typed, and the commands are made from them."""

from __future__ import annotations

import argparse
import inspect
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from annotator.commands import export, import_
from annotator.domain.errors import ExportError
from annotator.domain.ports.formats import Choice, FormatOption, FormatSpec, Holds
from annotator.io.formats import registry
from annotator.io.formats.coco.export import SEGMENTATIONS
from annotator.io.formats.registry import OWN, exporter, importer
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept, disc, image_folder

COMMON = {"include_unfinished", "all_images", "progress"}
COCO = OWN[0]
NUMBER = FormatOption("decimals", "Decimals", 6, "digits", minimum=1, maximum=9)
OPTIONS = (
    NUMBER,
    FormatOption("tolerance_px", "Tolerance", 0.5, minimum=0),
    FormatOption("is_sorted", "Sorted", True),
    FormatOption("prefix", "Prefix", "a"),
    FormatOption("kind", "Kind", "x", choices=(Choice("x", "X"), Choice("y", "Y"))),
)
ROW = FormatSpec(
    id="note",
    title="Note",
    summary="one text file",
    is_folder=False,
    suffix=".txt",
    holds=frozenset((Holds.BOXES,)),
    options=OPTIONS,
    export="tests.unit.io.test_formats:write_note",
)


class NoteReport:
    def lines(self) -> list[str]:
        return ["noted"]


def write_note(store: Any, out_path: Path, **options: Any) -> NoteReport:
    del options["progress"]
    Path(out_path).write_text(repr(sorted(options.items())), "utf-8")
    return NoteReport()


@pytest.mark.parametrize("spec", OWN, ids=lambda spec: spec.id)
def test_a_row_is_what_its_functions_take(spec: FormatSpec) -> None:
    assert spec.export or spec.import_
    if spec.export:
        parameters = inspect.signature(exporter(spec)).parameters
        assert COMMON | {option.name for option in spec.options} <= set(parameters)
        for option in spec.options:
            assert parameters[option.name].default == option.default
            assert option.checked(option.default) == option.default
    if spec.import_:
        assert "progress" in inspect.signature(importer(spec)).parameters
        assert spec.import_name
    assert spec.is_folder == (not spec.suffix)
    assert spec.holds


def test_rows_have_ids_of_their_own_and_import_nothing() -> None:
    assert len({spec.id for spec in OWN}) == len(OWN)
    assert tuple(choice.value for choice in COCO.options[0].choices) == SEGMENTATIONS


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("decimals", "4", 4),
        ("decimals", 9, 9),
        ("tolerance_px", "0.25", 0.25),
        ("tolerance_px", 2, 2.0),
        ("is_sorted", "no", False),
        ("is_sorted", True, True),
        ("prefix", "", ""),
        ("kind", "y", "y"),
    ],
)
def test_options_take_their_type_or_text(name: str, value: object, wanted: object) -> None:
    found = ROW.checked_options({name: value})
    assert found[name] == wanted
    assert type(found[name]) is type(wanted)
    assert set(found) == {option.name for option in OPTIONS}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("decimals", "0"),
        ("decimals", "10"),
        ("decimals", "4.5"),
        ("decimals", "many"),
        ("decimals", True),
        ("tolerance_px", "-1"),
        ("tolerance_px", "nan"),
        ("tolerance_px", None),
        ("is_sorted", "maybe"),
        ("is_sorted", 1),
        ("prefix", 3),
        ("kind", "z"),
        ("nonsense", 1),
    ],
)
def test_other_values_are_told(name: str, value: object) -> None:
    with pytest.raises(ExportError, match=name.split("_")[0]):
        ROW.checked_options({name: value})


def test_names_of_files() -> None:
    assert [spec.suggested_name("set") for spec in OWN[:2]] == ["set-coco.json", "set-polygons"]
    yaml = replace(ROW, import_="x:y", import_name="data.yaml")
    assert yaml.fits_import(Path("a/Data.YAML"))
    assert not yaml.fits_import(Path("a/other-data.yaml"))
    assert COCO.fits_import(Path("b.JSON"))
    assert not ROW.fits_import(Path("a.txt"))


def parsed(module: ModuleType, *words: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


def test_the_commands_list_the_formats(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "OWN", (*OWN, ROW))
    registry._formats.cache_clear()
    try:
        for module, wanted in ((export, {"coco", "polygons", "note"}), (import_, {"coco"})):
            with pytest.raises(SystemExit) as ended:
                parsed(module, "--list-formats")
            assert not ended.value.code
            lines = capsys.readouterr().out.splitlines()
            assert wanted <= {line.split()[0] for line in lines}
        with pytest.raises(SystemExit):
            parsed(export, "--list-formats")
        told = capsys.readouterr().out
        assert "--decimals a whole number from 1 to 9 (default: 6)" in told
        assert "--is-sorted yes | no (default: yes)" in told
    finally:
        registry._formats.cache_clear()


def test_an_option_of_a_row_is_an_option_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out = image_folder(tmp_path), tmp_path / "note.txt"
    with ProjectStore.open_folder(folder) as store:
        accept(store, 1, disc(20, 20, 9))
    monkeypatch.setattr(registry, "OWN", (*OWN, ROW))
    registry._formats.cache_clear()
    try:
        words = (folder, "--format", "note", "--decimals", "3", "--is-sorted", "no", "--finished-only", "--out", out)
        assert export.run(parsed(export, *words)) == 0
        wanted = {"decimals": 3, "is_sorted": False, "kind": "x", "prefix": "a", "tolerance_px": 0.5}
        assert out.read_text() == repr(sorted((wanted | {"all_images": False, "include_unfinished": False}).items()))
        with pytest.raises(ExportError, match="--decimals is for Note only"):
            export.run(parsed(export, folder, "--decimals", "3", "--out", tmp_path / "a.json"))
        with pytest.raises(ExportError, match="cannot be '30'"):
            export.run(parsed(export, folder, "--format", "note", "--decimals", "30", "--out", out))
    finally:
        registry._formats.cache_clear()


def test_a_format_whose_function_is_gone_is_an_error_of_the_persons_world() -> None:
    with pytest.raises(ExportError, match="Note cannot be loaded"):
        exporter(replace(ROW, export="no_such_module_anywhere:f"))
