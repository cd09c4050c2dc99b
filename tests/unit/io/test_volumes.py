"""NIfTI and NRRD volumes: slices as the other library's voxels say, upright, with their spacing."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import numpy.typing as npt
import pytest

from annotator.domain.errors import ImageError
from annotator.domain.media import SeriesKind
from annotator.io.images import decoding, grid
from annotator.io.images.nifti import NiftiReader
from annotator.io.images.nrrd import NrrdReader
from annotator.io.images.suffixes import suffix_of
from annotator.io.project.opened import open_project
from annotator.io.project.store import ProjectStore

SHAPE = (7, 5, 4)
_PAIRS = {"L": "LR", "P": "PA", "I": "IS"}
LPS_OF_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def affine_of(codes: str, steps: tuple[float, float, float] = (2.0, 3.0, 4.0)) -> npt.NDArray[np.float64]:
    """RAS affine whose axes go to these sides ("LPS": left, back, head)."""
    sides = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    made = np.eye(4)
    made[:3, :3] = 0
    for axis, (code, step) in enumerate(zip(codes, steps, strict=True)):
        row, sign = sides[code]
        made[row, axis] = sign * step
    made[:3, 3] = (-10, 5, 30)
    return made


def save_nifti(path: Path, values: npt.NDArray[np.generic], affine: npt.NDArray[np.float64]) -> None:
    nibabel.Nifti1Image(values, affine).to_filename(path)


def frame(path: Path, number: int) -> npt.NDArray[np.uint8]:
    return decoding.load_image(path, frame=number).rgb[:, :, 0]


def ramp(shape: tuple[int, ...] = SHAPE) -> npt.NDArray[np.int16]:
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "RSA", "ASR", "SAR", "PIR", "ALI"])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd"])
def test_slices_are_shown_upright_whatever_the_axes_of_the_file(tmp_path: Path, codes: str, ending: str) -> None:
    """To the right is the patient's left, else the back; down is the back, else the feet."""
    path, affine = tmp_path / f"v{ending}", affine_of(codes)
    values = np.zeros(SHAPE, np.int16)
    at = (5, 1, 2)
    values[at] = 100
    if ending == ".nrrd":
        lps = LPS_OF_RAS @ affine
        header = {"space": "left-posterior-superior", "space directions": lps[:3, :3].T, "space origin": lps[:3, 3]}
        nrrd.write(str(path), values, header)
    else:
        save_nifti(path, values, affine)
    shown = frame(path, at[2])
    ((y, x),) = np.argwhere(shown == 255)
    plane_axes = set(codes[:2])
    is_sideways = bool(plane_axes & set("LR"))
    right = "L" if is_sideways else "P"
    down = "I" if plane_axes & set("SI") else "P"

    def place(side: str) -> int:
        """How far the voxel is to this side, counted from the other one."""
        opposite = {"L": "R", "P": "A", "I": "S"}[side]
        axis = next(n for n, code in enumerate(codes) if code in (side, opposite))
        return at[axis] if codes[axis] == side else SHAPE[axis] - 1 - at[axis]

    assert (x, y) == (place(right), place(down))
    steps = dict(zip(codes, (2.0, 3.0, 4.0), strict=True))
    wanted = [next(steps[side] for side in sides if side in steps) for sides in (_PAIRS[right], _PAIRS[down])]
    assert decoding.load_image(path).spacing_mm == pytest.approx(tuple(wanted))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("is_big", [False, True])
def test_numbers_are_those_that_the_library_reads(tmp_path: Path, dtype: type, is_big: bool) -> None:
    values = (ramp() % 200).astype(dtype)
    stored = values.astype(np.dtype(dtype).newbyteorder(">")) if is_big else values
    image = nibabel.Nifti1Image(stored, affine_of("LPS"), nibabel.Nifti1Header(endianness=">" if is_big else "<"))
    image.header["cal_min"], image.header["cal_max"] = 0, 255
    image.to_filename(tmp_path / "v.nii")
    whole = np.asarray(nibabel.load(tmp_path / "v.nii").dataobj)
    for k in range(SHAPE[2]):
        assert np.array_equal(frame(tmp_path / "v.nii", k), whole[:, :, k].T.round().astype(np.uint8))


def test_scaled_numbers_are_shown_in_the_range_that_the_file_wants(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(ramp().astype(np.int16), affine_of("LPS"))
    image.header.set_slope_inter(-0.5, 10)
    image.header["cal_min"], image.header["cal_max"] = -60, 10
    image.to_filename(tmp_path / "v.nii")
    values = -0.5 * ramp()[:, :, 1].T + 10.0
    loaded = decoding.load_image(tmp_path / "v.nii", frame=1)
    assert loaded.native is not None
    assert np.array_equal(loaded.native.values * loaded.native.slope + loaded.native.intercept, values)
    assert loaded.native.default.limits == pytest.approx((-60, 10))
    wanted = np.clip((values + 60) / 70, 0, 1) * 255
    assert np.abs(frame(tmp_path / "v.nii", 1).astype(float) - wanted).max() <= 1


def test_the_grey_range_is_that_of_the_whole_volume(tmp_path: Path) -> None:
    values = np.zeros(SHAPE, np.int16)
    for k in range(SHAPE[2]):
        values[:, :, k] = 100 * k
    save_nifti(tmp_path / "v.nii", values, affine_of("RAS"))
    assert [int(frame(tmp_path / "v.nii", k)[0, 0]) for k in range(4)] == [0, 85, 170, 255]


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_a_volume_is_a_series_with_its_step(tmp_path: Path, encoding: str) -> None:
    header = {"space": "left-posterior-superior", "space directions": np.diag([0.5, 0.6, 2.5]), "encoding": encoding}
    nrrd.write(str(tmp_path / "brain.nrrd"), ramp(), header)
    save_nifti(tmp_path / "chest.nii.gz", ramp(), affine_of("LPS"))
    opened = open_project(tmp_path)
    try:
        found = {series.name: series for series in opened.series.values()}
        assert {series.kind for series in found.values()} == {SeriesKind.VOLUME}
        assert (found["brain.nrrd"].step_mm, found["chest.nii.gz"].step_mm) == (2.5, 4.0)
        assert [image.name for image in opened.images[:2]] == ["brain.nrrd", "brain.nrrd#1"]
        assert len(opened.images) == 8
        assert {(image.width, image.height) for image in opened.images} == {(7, 5)}
        assert opened.store.image(opened.first_id).position == 2
    finally:
        opened.store.close()
    loaded = decoding.load_image(tmp_path / "brain.nrrd", frame=2)
    assert loaded.spacing_mm == (0.5, 0.6)


def test_a_file_of_several_volumes_says_so_and_shows_all(tmp_path: Path) -> None:
    values = np.stack([ramp(), ramp() + 1], axis=3)
    save_nifti(tmp_path / "v.nii", values, affine_of("LPS"))
    with ProjectStore.open_folder(tmp_path) as store:
        assert len(store.images()) == 8
        assert store.slices.series()[0].notes == ("2 volumes of 4 slices",)
        assert any("2 volumes" in notice for notice in store.notices)
    first, later = frame(tmp_path / "v.nii", 1), frame(tmp_path / "v.nii", 5)
    assert np.abs(first.astype(int) - later).max() <= 3


def test_colours_of_a_volume(tmp_path: Path) -> None:
    rgb = np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    rgb["G"][3, 2, 1] = 200
    save_nifti(tmp_path / "v.nii", rgb, affine_of("LPS"))
    shown = decoding.load_image(tmp_path / "v.nii", frame=1).rgb
    assert shown[2, 3].tolist() == [0, 200, 0]
    nrrd.write(
        str(tmp_path / "v.nrrd"), np.stack([rgb[name] for name in "RGB"]), {"kinds": ["RGB-color", *["domain"] * 3]}
    )
    assert decoding.load_image(tmp_path / "v.nrrd", frame=1).rgb[2, 3].tolist() == [0, 200, 0]


def test_a_packed_volume_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_nifti(tmp_path / "v.nii.gz", ramp(), affine_of("LPS"))
    times: list[int] = []
    real = grid.unpack
    monkeypatch.setattr(grid, "unpack", lambda *words: times.append(1) or real(*words))
    shown = [frame(tmp_path / "v.nii.gz", k) for k in range(4)]
    assert len(times) == 1
    (tmp_path / "v.nii").write_bytes(gzip.decompress((tmp_path / "v.nii.gz").read_bytes()))
    assert all(np.array_equal(a, frame(tmp_path / "v.nii", k)) for k, a in enumerate(shown))


def test_a_volume_that_is_cut_off_shows_the_slices_that_it_has(tmp_path: Path) -> None:
    save_nifti(tmp_path / "v.nii", ramp(), affine_of("LPS"))
    data = (tmp_path / "v.nii").read_bytes()
    (tmp_path / "v.nii").write_bytes(data[:-20])
    assert frame(tmp_path / "v.nii", 2).shape == (5, 7)
    with pytest.raises(ImageError, match="slice 4 is missing"):
        frame(tmp_path / "v.nii", 3)
    with pytest.raises(ImageError, match="no slice 5"):
        frame(tmp_path / "v.nii", 4)


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz", "v.nrrd"])
def test_damaged_volumes_are_one_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for data in (b"x" * 400, b"\x5c\x01\0\0" + b"\xff" * 400, b"NRRD0004\ntype: int\n\n", b"\x1f\x8b\x08" + b"\0" * 40):
        path.write_bytes(data)
        with pytest.raises(ImageError):
            decoding.load_image(path)


def test_what_cannot_be_shown_is_named(tmp_path: Path) -> None:
    nrrd.write(str(tmp_path / "v.nhdr"), ramp())
    (tmp_path / "v.nrrd").write_bytes((tmp_path / "v.nhdr").read_bytes())
    with pytest.raises(ImageError, match="another file"):
        decoding.load_image(tmp_path / "v.nrrd")
    save_nifti(tmp_path / "c.nii", ramp().astype(np.complex64), affine_of("LPS"))
    with pytest.raises(ImageError, match="complex64"):
        decoding.load_image(tmp_path / "c.nii")
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"text"))
    with pytest.raises(ImageError, match="gzip"):
        decoding.load_image(tmp_path / "a.gz")


def test_suffixes_and_signs() -> None:
    assert [suffix_of(name) for name in ("a.NII.gz", "b.tar.gz", "c", "d.Tif", ".nii.gz")] == [
        *(".nii.gz", ".gz", "", ".tif", ".nii.gz"),
    ]
    assert NrrdReader().sniff(b"NRRD0005\n")
    assert not NiftiReader().sniff(b"\0" * 256)


def test_steps_of_oblique_volumes_are_along_the_normal(tmp_path: Path) -> None:
    turned = affine_of("RAS")
    turned[0, 2] = 3.0  # sheared: as with a gantry tilt
    save_nifti(tmp_path / "v.nii", ramp(), turned)
    with ProjectStore.open_folder(tmp_path) as store:
        assert store.slices.series()[0].step_mm == pytest.approx(4.0)


PACKAGED = Path(nibabel.__file__).parent / "tests" / "data"


@pytest.mark.skipif(not PACKAGED.is_dir(), reason="nibabel came without its test files")
@pytest.mark.parametrize("name", ["anatomical.nii", "example4d.nii.gz", "example_nifti2.nii.gz", "functional.nii"])
def test_real_volumes_are_read_as_nibabel_reads_them(name: str) -> None:
    path = PACKAGED / name
    whole = np.asarray(nibabel.load(path).dataobj, np.float64)
    stack = whole.reshape(*whole.shape[:2], -1, order="F")
    survey = decoding.survey(path)
    assert survey.frames == stack.shape[2]
    for number in {0, survey.frames // 2, survey.frames - 1}:
        loaded = decoding.load_image(path, frame=number)
        native = loaded.native
        assert native is not None
        found = np.sort((native.values * native.slope + native.intercept).ravel())
        assert found == pytest.approx(np.sort(stack[:, :, number].ravel()), rel=1e-5)
        zooms = nibabel.load(path).header.get_zooms()
        assert sorted(loaded.spacing_mm or ()) == pytest.approx(sorted(float(zoom) for zoom in zooms[:2]), rel=1e-3)
