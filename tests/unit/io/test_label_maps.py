"""Label maps out and in: NIfTI and .seg.nrrd on the grid of their images, whose geometry is known, and back."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pytest
import tifffile
from PIL import Image

from annotator import cli
from annotator.domain.errors import ExportError, ImportFormatError
from annotator.domain.project import accept_edit
from annotator.io.formats.medical import nifti_file, nrrd_file
from annotator.io.formats.medical.import_ import import_label_map
from annotator.io.formats.medical.label_maps import export_nifti, export_nrrd
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import annotation, disc
from tests.unit.io.dicom_builders import write_slice
from tests.unit.io.volume_builders import (
    COLUMNS,
    OBLIQUE,
    ORIGIN,
    ROWS,
    SPACING,
    STEP_MM,
    axes_of,
    block,
    label,
    stored,
    with_hole,
    work,
    write_series,
)

GEOMETRIES: dict[str, dict[str, Any]] = {
    "oblique, with a gap": {"orientation": OBLIQUE, "missing": (4,)},
    "tilted, feet first": {"orientation": (-1, 0, 0, 0, 1, 0), "tilt_deg": 15},
    "coronal": {"orientation": (1, 0, 0, 0, 0, -1)},
}
RAS = np.array([-1.0, -1.0, 1.0])


def place_of(geometry: dict[str, Any], slot: float, x: float, y: float) -> np.ndarray:
    """Where the centre of a pixel lies, in LPS, by the numbers that the series was made of."""
    row, column = axes_of(geometry.get("orientation", (1, 0, 0, 0, 1, 0)))
    way = np.cross(row, column) + np.tan(np.radians(geometry.get("tilt_deg", 0))) * column
    return ORIGIN + slot * STEP_MM * way + x * SPACING[1] * row + y * SPACING[0] * column


def nifti_places(file: Path) -> Callable[[int], np.ndarray]:
    """The LPS place of a label's centre, by nibabel."""
    image = nibabel.load(file)
    values = np.asarray(image.dataobj)
    return lambda number: RAS * (image.affine @ [*np.argwhere(values == number).mean(axis=0), 1])[:3]


def nrrd_places(file: Path) -> Callable[[int], np.ndarray]:
    """The same by pynrrd; all layers count."""
    values, head = nrrd.read(str(file))
    values = values if values.ndim == 4 else values[None]
    directions = np.asarray(head["space directions"], float)[-3:]
    return lambda number: head["space origin"] + np.argwhere(values == number).mean(axis=0)[1:] @ directions


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_series_goes_out_where_it_lies_and_comes_back(tmp_path: Path, name: str) -> None:
    geometry = GEOMETRIES[name]
    for folder in ("set", "again"):
        write_series(tmp_path / folder / "ct", **geometry)
    with ProjectStore.open_folder(tmp_path / "set") as store:
        work(store)
        plain = export_nifti(store, tmp_path / "nifti")
        layered = export_nrrd(store, tmp_path / "nrrd")
        names, wanted = [one.name for one in store.categories()], stored(store)
    assert plain.objects == layered.objects == 5
    assert max(plain.off_mm, layered.off_mm) < 1e-4
    nodule, at = place_of(geometry, 3, 2.5, 15.5), {name: number for number, name in enumerate(names, start=1)}
    assert nifti_places(tmp_path / "nifti/ct_dseg.nii.gz")(at["nodule"]) == pytest.approx(nodule, abs=1e-3)
    assert nrrd_places(tmp_path / "nrrd/ct.seg.nrrd")(3) == pytest.approx(nodule, abs=1e-3)
    lesion = (9 * place_of(geometry, 2, 21, 3) + 12 * place_of(geometry, 3, 20.5, 4)) / 21
    assert nrrd_places(tmp_path / "nrrd/ct.seg.nrrd")(2) == pytest.approx(lesion, abs=1e-3)
    with ProjectStore.open_folder(tmp_path / "again") as store:
        import_label_map(store, tmp_path / "nifti/ct_dseg.nii.gz")
        assert len(stored(store)) == len(wanted)
        assert sorted(runs for group in stored(store).values() for runs in group) == sorted(
            runs for group in wanted.values() for runs in group
        )
        assert {one.name for one in store.categories()} == {"liver", "lesion", "nodule"}
        by_track = {one.track_id for one in store.all_annotations()}
        assert len(by_track - {0}) == 2
        again = import_label_map(store, tmp_path / "nrrd/ct.seg.nrrd")
        assert (again.objects, again.already_there) == (0, 5)
        store.undo()
        import_label_map(store, tmp_path / "nrrd/ct.seg.nrrd")
        assert {one.name for one in store.categories()} == {"object", "liver", "lesion", "nodule"}


def test_a_gap_is_an_empty_slice_and_tilt_has_no_qform(tmp_path: Path) -> None:
    write_series(tmp_path / "gap" / "ct", missing=(4,))
    write_series(tmp_path / "tilt" / "ct", tilt_deg=15)
    for name, codes, slices in (("gap", (2, 2), 6), ("tilt", (0, 2), 6)):
        with ProjectStore.open_folder(tmp_path / name) as store:
            label(store, 2, with_hole())
            report = export_nifti(store, tmp_path / f"{name}-out")
        image = nibabel.load(tmp_path / f"{name}-out/ct_dseg.nii.gz")
        assert image.shape == (COLUMNS, ROWS, slices)
        assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == codes
        assert any(name[:3] in line or "missing" in line for line in report.said)
    assert not np.asarray(nibabel.load(tmp_path / "gap-out/ct_dseg.nii.gz").dataobj)[:, :, 4].any()


def test_one_slice_is_a_label_map_too(tmp_path: Path) -> None:
    write_series(tmp_path / "set", count=1, orientation=OBLIQUE)
    with ProjectStore.open_folder(tmp_path / "set") as store:
        label(store, 0, with_hole())
        report = export_nrrd(store, tmp_path / "out")
    assert "1 mm is written" in "".join(report.said)
    (file,) = (tmp_path / "out").glob("*.seg.nrrd")
    y, x = np.nonzero(with_hole().full())
    assert nrrd_places(file)(1) == pytest.approx(place_of({"orientation": OBLIQUE}, 0, x.mean(), y.mean()), abs=1e-3)


def test_overlapping_objects_are_layers_in_nrrd_and_said_in_nifti(tmp_path: Path) -> None:
    for folder in ("set", "again"):
        write_series(tmp_path / folder / "ct")
    with ProjectStore.open_folder(tmp_path / "set") as store:
        work(store, overlapping=True)
        wanted = sorted(one.rle for one in store.all_annotations())
        export_nrrd(store, tmp_path / "out")
        said = export_nifti(store, tmp_path / "out", labels="object").said
    assert any("liver 1 loses 12 pixels of 242" in line for line in said)
    values, head = nrrd.read(str(tmp_path / "out/ct.seg.nrrd"))
    assert values.shape == (2, COLUMNS, ROWS, 6)
    assert head["Segment0_Name"] == "liver 1"
    with ProjectStore.open_folder(tmp_path / "again") as store:
        import_label_map(store, tmp_path / "out/ct.seg.nrrd")
        assert sorted(one.rle for one in store.all_annotations()) == wanted


def write_nifti(path: Path, shape: tuple[int, ...], affine: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    nibabel.save(nibabel.Nifti1Image(values, affine), path)


@pytest.mark.parametrize("shape", [(9, 7, 5), (9, 7, 5, 2)], ids=["volume", "times"])
def test_a_volume_file_keeps_its_own_grid(tmp_path: Path, shape: tuple[int, ...]) -> None:
    affine = np.array([[0, 0, 2.0, 3], [-0.8, 0.1, 0, 4], [0, 0.9, 0, 5], [0, 0, 0, 1]])  # sagittal, turned and flipped
    for folder in ("set", "again"):
        write_nifti(tmp_path / folder / "brain.nii.gz", shape, affine)
    with ProjectStore.open_folder(tmp_path / "set") as store:
        last = max(image.position for image in store.images())
        width, height = next(image.width for image in store.images()), next(image.height for image in store.images())
        for position in (1, last):
            label(store, position, block(1, 2, 3, 2, (height, width)))
        report = export_nifti(store, tmp_path / "out")
        wanted = stored(store)
    image = nibabel.load(tmp_path / "out/brain_dseg.nii.gz")
    assert image.shape == shape
    assert image.affine == pytest.approx(affine, abs=1e-5)
    assert np.count_nonzero(image.dataobj) == 12
    assert report.files == 1
    with ProjectStore.open_folder(tmp_path / "again") as store:
        import_label_map(store, tmp_path / "out/brain_dseg.nii.gz")
        assert stored(store) == wanted


def test_a_map_of_other_directions_is_looked_up_by_place(tmp_path: Path) -> None:
    write_series(tmp_path / "set" / "ct")
    with ProjectStore.open_folder(tmp_path / "set") as store:
        label(store, 2, with_hole(), name="liver")
        export_nifti(store, tmp_path / "out")
        wanted = stored(store)
        store.undo()
        image = nibabel.load(tmp_path / "out/ct_dseg.nii.gz")
        turned = nibabel.as_closest_canonical(image).as_reoriented(np.array([[1, 1], [2, -1], [0, 1]]))
        nibabel.save(nibabel.Nifti1Image(np.asarray(turned.dataobj, np.float32), turned.affine), tmp_path / "other.nii")
        import_label_map(store, tmp_path / "other.nii")
        assert [*stored(store).values()] == [*wanted.values()]
        assert "label 2" in [one.name for one in store.categories()]


def test_pages_without_a_place_go_out_without_one_and_come_back_in_order(tmp_path: Path) -> None:
    for folder in ("set", "again"):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(
            tmp_path / folder / "cells.tif", np.zeros((4, ROWS, COLUMNS), np.uint8), photometric="minisblack"
        )
        Image.new("L", (COLUMNS, ROWS)).save(tmp_path / folder / "photo.png")
    with ProjectStore.open_folder(tmp_path / "set") as store:
        by_name = {image.name: image for image in store.images()}
        for name in ("cells.tif#2", "photo.png"):
            image = by_name[name]
            store.record_image_facts(image.id, sha256="", width=COLUMNS, height=ROWS)
            made = annotation(store, image.id, with_hole())
            store.apply(accept_edit(made, store.image(image.id)))
        report = export_nifti(store, tmp_path / "out")
        wanted = stored(store)
    assert report.files == 2
    image = nibabel.load(tmp_path / "out/cells_dseg.nii.gz")
    assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (0, 0)
    with ProjectStore.open_folder(tmp_path / "again") as store:
        for file in sorted((tmp_path / "out").glob("*.nii.gz")):
            assert any("slice by slice" in note for note in import_label_map(store, file).notes)
        assert stored(store) == wanted


def test_uneven_steps_are_no_volume(tmp_path: Path) -> None:
    for number, place in enumerate((0, 1, 2, 3.4, 4.4)):
        write_slice(tmp_path / "set" / f"{number}.dcm", np.zeros((48, 64)), number=number, position=(0, 0, place))
    with ProjectStore.open_folder(tmp_path / "set") as store:
        store.apply(accept_edit(annotation(store, 1, disc(20, 20, 5)), store.image(1)))
        with pytest.raises(ExportError, match="steps of different lengths"):
            export_nifti(store, tmp_path / "out")


def test_it_is_not_written_among_the_images(tmp_path: Path) -> None:
    write_series(tmp_path / "set")
    with ProjectStore.open_folder(tmp_path / "set") as store:
        label(store, 0, with_hole())
        with pytest.raises(ExportError, match="taken for images"):
            export_nifti(store, tmp_path / "set" / "labels")


@pytest.mark.parametrize(("name", "real"), [("nifti", nifti_file.write_nifti), ("nrrd", nrrd_file.write_nrrd)])
def test_a_wrong_place_or_voxel_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, real: Callable[..., Any]
) -> None:
    write_series(tmp_path / "set")
    export = export_nifti if name == "nifti" else export_nrrd
    target = f"annotator.io.formats.medical.label_maps.write_{name}"
    with ProjectStore.open_folder(tmp_path / "set") as store:
        label(store, 1, with_hole())
        for spoil in (moved, emptied):
            monkeypatch.setattr(target, lambda *args, spoil=spoil, **options: real(*spoil(args), **options))
            with pytest.raises(ExportError, match="reading it back"):
                export(store, tmp_path / "out")
            assert not (tmp_path / "out").exists()


def moved(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Half a millimetre to the left."""
    path, volume, *rest = args
    affine = volume.affine.copy()
    affine[0, 3] += 0.5
    return (path, replace(volume, affine=affine), *rest)


def emptied(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """A voxel is missing."""
    path, volume, frames, *rest = args
    planes = [frame.copy() for frame in frames]
    for plane in planes:
        plane.flat[np.flatnonzero(plane)[:1]] = 0
    return (path, volume, planes, *rest)


def test_files_that_are_no_label_maps_are_told(tmp_path: Path) -> None:
    write_series(tmp_path / "set" / "ct")
    files = {
        "grey.nii": np.linspace(0, 1, 60).reshape(3, 4, 5),
        "below.nii": np.full((3, 4, 5), -3.0),
        "elsewhere.nii": np.ones((3, 4, 5)),
    }
    for name, values in files.items():
        affine = np.diag([-0.7, -0.9, 2.5, 1.0])
        affine[:3, 3] = (30, 40, 100) if name != "elsewhere.nii" else (5e5, 0, 0)
        nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / name)
    (tmp_path / "cut.nii.gz").write_bytes(gzip.compress((tmp_path / "grey.nii").read_bytes()[:400]))
    (tmp_path / "text.nrrd").write_bytes(b"NRRD0004\nnonsense\n\n")
    with ProjectStore.open_folder(tmp_path / "set") as store:
        for name, words in {
            "grey.nii": "no labels",
            "below.nii": "no labels",
            "elsewhere.nii": "on an image",
            "cut.nii.gz": "cut off",
            "text.nrrd": "text.nrrd",
            "missing.nii": "missing",
        }.items():
            with pytest.raises(ImportFormatError, match=words):
                import_label_map(store, tmp_path / name)
        assert not [*store.all_annotations()]
        assert store.undo_name is None


def test_the_commands_write_and_read_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_series(tmp_path / "set" / "ct", orientation=OBLIQUE)
    with ProjectStore.open_folder(tmp_path / "set") as store:
        work(store)
        project = store.path
    out = tmp_path / "out"
    assert cli.main(["export", str(project), "--format", "nrrd", "--labels", "class", "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "every voxel compared" in told
    assert "centres of segments lie within" in told
    assert cli.main(["import", str(project), str(out / "ct.seg.nrrd")]) == 0
    assert "there already: 5 objects" in capsys.readouterr().out
