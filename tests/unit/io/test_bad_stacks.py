"""Stacks that are not whole: each opens as far as it can, and says the rest in one line."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image

from annotator.domain.errors import ImageError
from annotator.io.images.reading import load_image
from annotator.io.project.store import ProjectStore
from tests.unit.io.volume_builders import write_series


def opened(folder: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    """Slices by series, and what was said."""
    with ProjectStore.open_folder(folder) as store:
        images = store.images()
        counts = {one.name: sum(image.series_id == one.id for image in images) for one in store.slices.series()}
        return counts, store.notices


def test_a_missing_slice_is_a_gap(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", missing=(2, 3))
    counts, said = opened(tmp_path)
    assert counts == {"ct": 4}
    assert said == ("ct: 2 slices missing.",)


def test_two_series_in_one_folder_are_two_and_nothing_is_said(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", series="1")
    for number, file in enumerate(sorted((tmp_path / "ct").iterdir())):
        file.rename(tmp_path / "ct" / f"a{number}.dcm")
    write_series(tmp_path / "ct", series="2", count=4, tilt_deg=0)
    with ProjectStore.open_folder(tmp_path) as store:
        images, series = store.images(), store.slices.series()
        assert sorted(sum(image.series_id == one.id for image in images) for one in series) == [4, 6]
        assert store.notices == ()


def test_slices_of_another_size_are_a_series_of_their_own(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    for number, file in enumerate(sorted((tmp_path / "ct").iterdir())):
        file.rename(tmp_path / "ct" / f"a{number}.dcm")
    write_series(tmp_path / "ct", size=(10, 12), count=3)
    with ProjectStore.open_folder(tmp_path) as store:
        sizes = {
            one.id: {(i.width, i.height) for i in store.images() if i.series_id == one.id}
            for one in store.slices.series()
        }
        assert sorted(map(len, sizes.values())) == [1, 1]


def test_pages_of_other_sizes_open_each_as_it_is(tmp_path: Path) -> None:
    pages = [Image.new("L", (20 + number, 12), 50) for number in range(3)]
    pages[0].save(tmp_path / "mixed.tif", save_all=True, append_images=pages[1:])
    counts, _ = opened(tmp_path)
    assert counts == {"mixed.tif": 3}
    assert [load_image(tmp_path / "mixed.tif", frame=frame).width for frame in range(3)] == [20, 21, 22]


def test_volumes_of_several_times_say_so(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((6, 5, 4, 3), np.int16), np.eye(4)), tmp_path / "four.nii.gz")
    counts, said = opened(tmp_path)
    assert counts == {"four.nii.gz": 12}
    assert said == ("four.nii.gz: 3 volumes of 4 slices.",)


def test_a_volume_that_is_cut_off_shows_what_is_there(tmp_path: Path) -> None:
    values = np.arange(8 * 7 * 10, dtype=np.int16).reshape(8, 7, 10)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "cut.nii")
    whole = (tmp_path / "cut.nii").read_bytes()
    (tmp_path / "cut.nii").write_bytes(whole[: -2 * 8 * 7 * 3 - 5])
    counts, said = opened(tmp_path)
    assert counts == {"cut.nii": 10}
    assert said == ("cut.nii: cut off: 4 of 10 slices missing.",)
    assert load_image(tmp_path / "cut.nii", frame=5).width == 8
    with pytest.raises(ImageError, match="slice 7 is missing"):
        load_image(tmp_path / "cut.nii", frame=6)


def test_a_stack_of_pages_that_is_cut_off_shows_what_is_there(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "cut.tif") as writer:
        for number in range(6):
            writer.write(np.full((40, 50), number * 40, np.uint8), photometric="minisblack")
    whole = (tmp_path / "cut.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) * 2 // 3])
    counts, said = opened(tmp_path)
    assert 3 <= counts["cut.tif"] < 6
    assert said == ("cut.tif: cut off: the pages that follow are missing.",)
    assert load_image(tmp_path / "cut.tif", frame=2).rgb[0, 0, 0] == 80
