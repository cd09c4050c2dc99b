"""Photographs as PNG are decoded straight to where the program maps them; whatever is special about one is Pillow's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from annotator.domain.errors import ImageError
from annotator.io.images import decoding, plain_png, reading
from annotator.io.images.display import orient
from annotator.io.images.sink import Sink

PIXELS = np.random.default_rng(0).integers(0, 256, (700, 900, 3), np.uint8)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An entry for each picture that Pillow decodes."""
    found, load = list[int](), ImageFile.ImageFile.load

    def counted(image: ImageFile.ImageFile) -> object:
        found.append(1)
        return load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", counted)
    return found


def written(path: Path, image: Image.Image | np.ndarray = PIXELS, **options: object) -> Path:
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)  # type: ignore[arg-type]
    return path


def test_a_photograph_is_decoded_once_and_where_it_is_wanted(tmp_path: Path, loads: list[int]) -> None:
    path = written(tmp_path / "a.png", icc_profile=b"odd", dpi=(72, 72))
    with Sink() as sink:
        image = decoding.load_image(path)
        assert sink.file is not None
        before = sink.file
        assert sink.file_of(image.rgb) == before, "nothing is written a second time"
    np.testing.assert_array_equal(image.rgb, PIXELS)
    assert loads == []
    np.testing.assert_array_equal(reading.load_image(path).rgb, PIXELS)


def test_an_orientation_counts(tmp_path: Path, loads: list[int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    found = decoding.load_image(written(tmp_path / "a.png", exif=exif)).rgb
    np.testing.assert_array_equal(found, orient(PIXELS, 6))
    assert loads == []


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "1", "LA"])
def test_other_kinds_are_as_they_were(tmp_path: Path, mode: str, loads: list[int]) -> None:
    image = Image.fromarray(PIXELS).convert(mode)
    found = decoding.load_image(written(tmp_path / "a.png", image)).rgb
    np.testing.assert_array_equal(found, np.asarray(image.convert("RGB")))
    assert loads


def test_a_colour_that_is_transparent_is_shown_on_grey(tmp_path: Path) -> None:
    pixels = PIXELS.copy()
    pixels[:] = (9, 9, 9)
    image = decoding.load_image(written(tmp_path / "a.png", pixels, transparency=(9, 9, 9)))
    assert image.note == "transparency shown on grey"
    assert (image.rgb != 9).all()


def test_of_a_damaged_one_pillow_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.png")
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:2000] + bytes(200) + whole[2200:]):
        path.write_bytes(damaged)
        said = []
        for read in (plain_png.read_plain_png, lambda *_: None):
            monkeypatch.setattr("annotator.io.images.raster.read_plain_png", read)
            with pytest.raises(ImageError) as caught:
                decoding.load_image(path)
            said.append(str(caught.value))
        assert said[0] == said[1]


def test_an_animation_is_read_frame_by_frame(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((40, 60, 3), value, np.uint8)) for value in (10, 200)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    assert [int(decoding.load_image(tmp_path / "a.png", frame=n).rgb[0, 0, 0]) for n in (0, 1)] == [10, 200]
