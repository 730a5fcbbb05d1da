"""Every form in which a picture file stores a drawing becomes the same picture, or an error that names the form."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from cnncli.errors import PictureError
from cnncli.pictures.read import MAX_PAGES, PictureFile, read_picture
from tests.pictures.tiff import tiff


def drawing(strokes=3, paper=255, ink=0, mode="L", size=(90, 60)):
    """Strokes with soft edges, one after the other from the left."""
    picture = Image.new("L", size, 0)
    brush = ImageDraw.Draw(picture)
    for number in range(strokes):
        brush.line([(15 + 25 * number, 12), (22 + 25 * number, 46)], fill=255, width=8)
    strength = picture.filter(ImageFilter.GaussianBlur(1))
    return Image.composite(Image.new(mode, size, ink), Image.new(mode, size, paper), strength)


PLAIN = np.asarray(drawing())


def saved(picture, suffix, **options):
    stream = io.BytesIO()
    picture.save(stream, suffix, **options)
    return stream.getvalue()


def grey(content):
    return np.asarray(read_picture(content).convert("L"))


# Pages


def test_every_page_of_a_tiff_is_read():
    pages = [np.full((60, 90), 255, np.uint8), PLAIN, np.asarray(drawing(1))]
    file = PictureFile(tiff(pages), "scan.tif")
    assert [file.page_name(page) for page in range(len(file))] == [
        "scan.tif[1]",
        "scan.tif[2]",
        "scan.tif[3]",
    ]
    for number in (2, 0, 1):  # in any order
        assert np.array_equal(np.asarray(file.read(number).picture), pages[number])


def test_one_page_has_the_name_of_its_file():
    file = PictureFile(tiff([PLAIN]), "scan.tif")
    assert (len(file), file.page_name(0)) == (1, "scan.tif")


@pytest.mark.parametrize("subfile", [1, 4])
def test_reduced_copies_and_masks_are_no_pages(subfile):
    assert len(PictureFile(tiff([PLAIN, PLAIN[::2, ::2]], subfile=subfile))) == 1
    assert len(PictureFile(tiff([PLAIN, PLAIN], subfile=2))) == 2, "2 is a page of a document"


def test_a_damaged_page_is_named_and_the_others_are_read():
    content = tiff([PLAIN, PLAIN])
    file = PictureFile(content[:-100], "scan.tif")
    assert np.array_equal(np.asarray(file.read(0).picture), PLAIN)
    with pytest.raises(PictureError, match=r"scan\.tif\[2\] is damaged"):
        file.read(1)


def test_too_many_pages_are_refused():
    with pytest.raises(PictureError, match="more than 1,000 pages"):
        PictureFile(tiff([np.zeros((1, 1), np.uint8)] * (MAX_PAGES + 1)))


# Animations


def animation(frames, suffix="GIF"):
    return saved(frames[0], suffix, save_all=True, append_images=frames[1:], duration=50, loop=0)


@pytest.mark.parametrize("suffix", ["GIF", "PNG", "WEBP"])
@pytest.mark.parametrize("colours", [(255, 0), (0, 255)])
def test_of_a_drawing_that_grows_the_last_frame_is_read(suffix, colours):
    frames = [drawing(strokes, *colours) for strokes in (0, 1, 2, 3)]
    page = PictureFile(animation(frames, suffix)).read()
    assert np.abs(np.asarray(page.picture.convert("L"), int) - np.asarray(frames[-1], int)).max() < 60
    assert page.warnings == ()


@pytest.mark.parametrize("order", [(3, 2, 1), (0, 3, 0), (2, 3, 1, 3)])
def test_of_any_other_animation_the_first_frame_is_read_and_the_number_of_frames_is_said(order):
    page = PictureFile(animation([drawing(strokes) for strokes in order])).read()
    assert np.abs(np.asarray(page.picture.convert("L"), int) - np.asarray(drawing(order[0]), int)).max() < 60
    assert page.warnings == (f"an animation of {len(order)} frames: only the first one is read",)


def test_frames_that_show_the_same_need_no_warning():
    page = PictureFile(animation([drawing(2), drawing(2)])).read()
    assert page.warnings == ()
    assert page.picture.convert("L").getextrema()[0] < 20


# More than 8 bits


@pytest.mark.parametrize("paper", [255, 0], ids=["dark-on-bright", "bright-on-dark"])
@pytest.mark.parametrize("bits", range(9, 17))
def test_a_16_bit_picture_is_scaled_by_the_bits_that_it_uses(bits, paper):
    eight = np.asarray(drawing(3, paper, 255 - paper))
    wide = (eight.astype(np.uint16) << (bits - 8)) | (2 ** (bits - 8) - 1)
    for content in (saved(Image.fromarray(wide), "PNG"), tiff([wide])):
        page = PictureFile(content).read()
        assert np.array_equal(np.asarray(page.picture), eight)
        assert page.bits == bits


def test_a_16_bit_picture_with_8_bit_values_is_taken_as_it_is():
    page = PictureFile(saved(Image.fromarray(PLAIN.astype(np.uint16)), "PNG")).read()
    assert np.array_equal(np.asarray(page.picture), PLAIN)
    assert page.bits == 8


def test_the_bits_that_a_png_announces_count():
    dim = PLAIN.astype(np.uint16) * 3  # 765 at most: 10 bits of 12
    content = saved(Image.fromarray(dim), "PNG")
    chunk = b"sBIT\x0c"
    announced = (
        content[:33] + struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:]
    )
    assert PictureFile(content).read().bits == 10
    page = PictureFile(announced).read()
    assert page.bits == 12
    assert np.array_equal(np.asarray(page.picture), dim >> 4)


def test_a_tiff_of_12_bits_is_read():
    values = PLAIN.astype(np.uint16) << 4
    pairs = values.reshape(60, 45, 2)
    packed = np.stack(
        [pairs[..., 0] >> 4, (pairs[..., 0] & 15) << 4 | pairs[..., 1] >> 8, pairs[..., 1] & 255], axis=-1
    )
    content = tiff([packed.astype(np.uint8).reshape(60, -1)], bits=12, width=90)
    page = PictureFile(content).read()
    assert page.bits == 12
    assert np.array_equal(np.asarray(page.picture), PLAIN)


@pytest.mark.parametrize("tags", [{}, {"sample_format": 1}])
@pytest.mark.parametrize("bits", [17, 24, 32])
def test_unsigned_32_bit_numbers_are_not_taken_for_signed_ones(bits, tags):
    wide = PLAIN.astype(np.uint32) << (bits - 8)
    page = PictureFile(tiff([wide], **tags)).read()
    assert np.array_equal(np.asarray(page.picture), PLAIN)
    assert page.bits == bits


def test_signed_numbers_are_stretched():
    signed = PLAIN.astype(np.int32) - 100
    assert np.array_equal(grey(tiff([signed], sample_format=2)), PLAIN)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_whose_zero_is_white_is_inverted(dtype):
    inverted = (255 - PLAIN).astype(dtype) << (8 * np.dtype(dtype).itemsize - 8)
    assert np.array_equal(grey(tiff([inverted], photometric=0)), PLAIN)


@pytest.mark.parametrize(
    ("values", "tags", "what"),
    [
        (np.uint32, {"photometric": 0}, "32-bit unsigned values, zero for white"),
        (np.uint64, {}, "64-bit unsigned values"),
        (np.int64, {"sample_format": 2}, "64-bit signed values"),
    ],
)
def test_a_tiff_that_is_not_decoded_is_refused_by_the_form_of_its_values(values, tags, what):
    with pytest.raises(PictureError, match="not a picture of a known format") as caught:
        read_picture(tiff([PLAIN.astype(values)], **tags))
    assert what in caught.value.hint


def wide_png(values: np.ndarray) -> bytes:
    """Return a PNG of 16 bits per value, (H, W, 3), or (H, W, 2 or 4) with transparency; Pillow writes none."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0),
        b"IDAT": zlib.compress(rows),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks.items()
    )


@pytest.mark.parametrize("bits", [8, 10, 12, 15, 16])
@pytest.mark.parametrize("channels", [3, 4])
def test_colours_in_16_bits_are_scaled_by_the_bits_that_they_use(bits, channels):
    colours = np.stack([PLAIN, PLAIN[::-1], PLAIN[:, ::-1]], axis=2)
    values = colours.astype(np.uint16) << (bits - 8)
    if channels == 4:
        values = np.dstack([values, np.full(PLAIN.shape, 65535, np.uint16)])
    page = PictureFile(wide_png(values)).read()
    assert (page.bits, page.warnings) == (bits, ())
    assert np.array_equal(np.asarray(page.picture), colours)


def test_values_of_16_bits_that_are_nearly_black_are_said():
    def beside_transparency(values):
        return wide_png(np.dstack([values, np.full(PLAIN.shape, 65535, np.uint16)]))

    assert PictureFile(beside_transparency(PLAIN.astype(np.uint16) * 257)).read().warnings == ()
    (warning,) = PictureFile(beside_transparency(PLAIN.astype(np.uint16) << 2)).read().warnings
    assert "16 bits per color" in warning


# Transparency


def with_alpha(strokes, colour):
    alpha = Image.fromarray(255 - np.asarray(strokes))
    picture = Image.new("RGB", strokes.size, colour)
    picture.putalpha(alpha)
    return saved(picture, "PNG")


def test_white_ink_whose_black_background_became_transparent_keeps_its_strokes():
    black = drawing(paper=0, ink=255)
    assert np.array_equal(grey(saved(black, "PNG", transparency=0)), np.asarray(black))


def test_black_ink_whose_white_background_became_transparent_keeps_its_strokes():
    assert np.array_equal(grey(saved(drawing(), "PNG", transparency=255)), PLAIN)


@pytest.mark.parametrize(("ink", "ground"), [("white", 0), ("yellow", 0), ("black", 255), ("blue", 255)])
def test_ink_on_nothing_is_laid_on_the_ground_that_shows_it(ink, ground):
    values = grey(with_alpha(drawing(), ink))
    assert values[0, 0] == ground
    assert abs(int(values[30, 18]) - ground) > 100


def test_a_sheet_with_writing_is_laid_on_white():
    sheet = drawing().convert("RGBA")
    canvas = Image.new("RGBA", (200, 200), (0, 0, 0, 0))
    canvas.paste(sheet, (50, 60))
    values = grey(saved(canvas, "PNG"))
    assert values[0, 0] == 255
    assert np.array_equal(values[60:120, 50:140], PLAIN)
