"""Photos of phones, documents and other containers are read upright, or an error says which package is missing."""

import io
import struct
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from cnncli.errors import PictureError
from cnncli.pictures import formats, read
from cnncli.pictures.formats import container_of, reads_suffix, why_unread
from cnncli.pictures.read import PictureFile, read_picture
from tests.pictures.test_read import drawing, grey, saved

needs_heif = pytest.mark.skipif(
    find_spec("pi_heif") is None, reason="pi-heif is not installed (extra photos)"
)
needs_pdf = pytest.mark.skipif(
    find_spec("pypdfium2") is None, reason="pypdfium2 is not installed (extra photos)"
)
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")

TURNED_LEFT = (Path(__file__).parent / "stored.heic").read_bytes()
"""`drawing()` rotated by 90 degrees to the left, with EXIF orientation 6, as pillow-heif 1.4.0 writes it."""


def sideways(picture):
    """The picture as a phone stores it that was held upright: turned left, and EXIF says to turn it right."""
    exif = Image.Exif()
    exif[0x112] = 6
    return picture.transpose(Image.Transpose.ROTATE_90), exif


def with_rotation(content):
    """Add the box `irot` to a HEIC of pillow-heif, which turns the picture right when it is decoded.

    Phones write both, the box and the orientation in EXIF. The box is the sixth property, and item 1 gets it.
    Source: ISO/IEC 23008-12, 6.5.10.
    """
    content = bytearray(content)

    def grow(kind, by):
        start = content.index(kind) - 4
        content[start : start + 4] = struct.pack(">I", struct.unpack_from(">I", content, start)[0] + by)
        return start

    rotation = struct.pack(">I4sB", 9, b"irot", 3)
    locations = content.index(b"iloc") + 4 + 4 + 4
    for item in range(2):
        at = locations + 18 * item + 4
        content[at : at + 4] = struct.pack(">I", struct.unpack_from(">I", content, at)[0] + 10)
    grow(b"meta", 10)
    grow(b"iprp", 10)
    grow(b"ipco", 9)
    start = grow(b"ipma", 1)
    content[start + 18] += 1
    content[start + 24 : start + 24] = b"\x86"
    content[start:start] = rotation
    return bytes(content)


def close(values, expected):
    return values.shape == expected.shape and np.abs(values.astype(int) - expected).mean() < 4


EXPECTED = np.asarray(drawing())


@needs_heif
def test_a_photo_of_a_phone_is_upright_once():
    assert close(grey(with_rotation(TURNED_LEFT)), EXPECTED)


@needs_heif
def test_orientation_in_exif_alone_does_not_turn_a_heic():
    """Its standard says that only the boxes count."""
    assert close(grey(TURNED_LEFT), np.rot90(EXPECTED))


@needs_avif
def test_an_avif_is_upright():
    picture, exif = sideways(drawing())
    assert close(grey(saved(picture, "AVIF", exif=exif, quality=90)), EXPECTED)


def test_the_first_picture_of_an_mpo_is_read_and_is_upright():
    picture, exif = sideways(drawing())
    content = saved(
        picture, "MPO", save_all=True, append_images=[Image.new("L", picture.size)], exif=exif, quality=95
    )
    assert Image.open(io.BytesIO(content)).format == "MPO"
    assert close(grey(content), EXPECTED)


@needs_pdf
def test_every_page_of_a_pdf_is_read():
    pages = [drawing(1).resize((900, 600)), drawing(3).resize((900, 600))]
    file = PictureFile(
        saved(pages[0], "PDF", save_all=True, append_images=pages[1:], resolution=150), "scan.pdf"
    )
    assert [file.page_name(page) for page in range(len(file))] == ["scan.pdf[1]", "scan.pdf[2]"]
    for number in (1, 0):
        drawn = file.read(number).picture
        assert drawn.size == (1200, 800)  # 6 x 4 inches
        assert close(
            np.asarray(drawn.convert("L").resize((90, 60))), np.asarray(pages[number].resize((90, 60)))
        )


@needs_pdf
@pytest.mark.parametrize("resolution, side", [(1, 6000), (3000, 1000)])
def test_a_page_of_an_unusual_size_has_a_useful_number_of_pixels(resolution, side):
    content = saved(drawing().resize((900, 600)), "PDF", resolution=resolution)
    assert max(read_picture(content).size) == pytest.approx(side, abs=2)


@needs_pdf
def test_a_damaged_pdf_is_an_error():
    with pytest.raises(PictureError, match=r"a\.pdf is damaged"):
        PictureFile(b"%PDF-1.7\n" + bytes(100), "a.pdf")


def heif(brand, *compatible):
    brands = brand.encode() + b"\0\0\0\0" + "".join(compatible).encode()
    return struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + bytes(100)


@pytest.mark.parametrize("brand", "heic heix heim heis hevc hevx hevm hevs heif mif1 mif2 msf1".split())
def test_all_kinds_of_heif_are_known(brand):
    assert container_of(heif(brand)) == "HEIF"


def test_the_compatible_brands_of_a_file_count():
    assert container_of(heif("mif1", "avif")) == "AVIF"
    assert container_of(heif("abcd", "heix")) == "HEIF"
    with pytest.raises(PictureError) as caught:
        read_picture(heif("isom"))
    assert "film" in caught.value.hint


@pytest.mark.parametrize(
    "content, suffix, package",
    [
        (heif("heic"), ".heic", "pi-heif"),
        (b"%PDF-1.4", ".pdf", "pypdfium2"),
        (heif("avif"), ".avif", "pillow"),
    ],
)
def test_without_its_package_a_format_is_refused_by_name(monkeypatch, content, suffix, package):
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    with pytest.raises(PictureError, match=f"x{suffix} is a.* which needs the package {package}") as caught:
        PictureFile(content, f"x{suffix}")
    assert f"pip install '{package}" in caught.value.hint
    assert not reads_suffix(suffix) and package in why_unread(suffix)


def test_a_large_jpeg_is_decoded_at_half_its_size(monkeypatch):
    content = saved(drawing().resize((900, 600)), "JPEG", quality=95)
    monkeypatch.setattr(read, "HALVED_PIXELS", 300_000)
    halved = read_picture(content)
    assert halved.size == (450, 300)
    assert close(np.asarray(halved.resize((90, 60))), EXPECTED)
