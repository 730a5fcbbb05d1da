"""How many pictures that show no digit does the bundled model mark as such?

    python benchmarks/no_digits.py --data-dir data

It draws letters and signs with the fonts of matplotlib, scribbles, blots and textures. It takes clothes from
Fashion-MNIST, and photographs from matplotlib and, if it is installed, scikit-image. Single straight strokes are left
out, because people read them as a 1. A picture counts as marked if each thing that `cnn predict` finds in it is
unknown, or if it finds none. The test images of MNIST show how many real digits are marked. Nothing is chosen by these
figures.
"""

import argparse
import json
import random
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

import cnncli

RESULTS = Path(__file__).parent / "results" / "no_digits.json"
LETTERS = "ACEFHJKLMNPRTUVWXYadefhkmnprtuwxy"
SIGNS = "+=?#@&%*$€£§♥★☺♪→✓Ω∑π√∞{}[]<>^~"


def letters(dice: random.Random, rng: np.random.Generator) -> Iterator[tuple[str, Image.Image]]:
    """Yield 80 letters and 30 signs in many fonts, a quarter of them bright on dark."""
    folder = Path(matplotlib.get_data_path()) / "fonts/ttf"
    fonts = sorted(path for path in folder.glob("DejaVuS*.ttf") if "Display" not in path.name)
    sans = [path for path in fonts if path.name.startswith("DejaVuSans")]
    for number in range(110):
        is_letter = number < 80
        text = LETTERS[number % len(LETTERS)] if is_letter else SIGNS[number * 7 % len(SIGNS)]
        font = ImageFont.truetype(dice.choice(fonts if is_letter else sans), dice.choice([60, 120, 200]))
        paper = dice.choice([255, 240, 210])
        picture = Image.new("L", (300, 300), paper)
        ImageDraw.Draw(picture).text((150, 150), text, font=font, fill=dice.choice([0, 30, 60]), anchor="mm")
        picture = picture.rotate(dice.uniform(-8, 8), fillcolor=paper)
        yield ("letter" if is_letter else "sign"), ImageOps.invert(picture) if number % 4 == 0 else picture


def scribbles(dice: random.Random, rng: np.random.Generator) -> Iterator[tuple[str, Image.Image]]:
    """Yield 60 scribbles: smooth walks, loops, heaps of lines, and simple drawings."""
    drawn = 0
    while drawn < 60:
        picture = Image.new("L", (280, 280), 255)
        pen, width = ImageDraw.Draw(picture), dice.choice([4, 8, 14, 20])
        if drawn % 4 == 0:
            path = np.cumsum(0.15 * np.cumsum(rng.normal(size=(150, 2)), 0) + rng.normal(0, 2, (150, 2)), 0)
            sides = np.ptp(path, axis=0)
            if sides.min() < 0.45 * sides.max():
                # a single stroke, which people read as a 1
                continue
            path = (path - path.min(axis=0)) / sides.max() * 200 + 40
            pen.line([tuple(point) for point in path], fill=0, width=width, joint="curve")
        elif drawn % 4 == 1:
            t = np.linspace(0, dice.uniform(12, 40), 500)
            x = 140 + dice.uniform(40, 90) * np.cos(dice.uniform(0.8, 1.3) * t) + dice.uniform(-3, 3) * t
            y = 140 + dice.uniform(40, 90) * np.sin(dice.uniform(1.2, 2.7) * t + 1)
            pen.line(list(zip(x, y, strict=True)), fill=0, width=width)
        elif drawn % 4 == 2:
            for _ in range(dice.randint(4, 9)):
                corners = [(dice.uniform(50, 230), dice.uniform(50, 230)) for _ in range(dice.randint(2, 4))]
                pen.line(corners, fill=0, width=width)
        else:
            drawing(pen, width, drawn // 4 % 4)
        yield "scribble", picture
        drawn += 1


def drawing(pen: ImageDraw.ImageDraw, width: int, which: int) -> None:
    """Draw a flower, a man, a house or a sun."""
    if which == 0:
        for angle in np.arange(0, 6.2, 6.28 / 6):
            x, y = 140 + 55 * np.cos(angle), 140 + 55 * np.sin(angle)
            pen.ellipse((x - 30, y - 30, x + 30, y + 30), outline=0, width=width)
    elif which == 1:
        pen.ellipse((115, 40, 165, 90), outline=0, width=width)
        for line in ([(140, 90), (140, 170)], [(90, 120), (190, 120)], [(100, 240), (140, 170), (180, 240)]):
            pen.line(line, fill=0, width=width)
    elif which == 2:
        pen.rectangle((80, 130, 200, 240), outline=0, width=width)
        pen.line([(70, 130), (140, 60), (210, 130)], fill=0, width=width)
    else:
        pen.ellipse((100, 100, 180, 180), outline=0, width=width)
        for angle in np.arange(0, 6.2, 0.7):
            c, s = np.cos(angle), np.sin(angle)
            pen.line([(140 + 40 * c, 140 + 40 * s), (140 + 90 * c, 140 + 90 * s)], fill=0, width=width)


def blots(dice: random.Random, rng: np.random.Generator) -> Iterator[tuple[str, Image.Image]]:
    """Yield 25 blots of several ellipses, sharp or blurred, and 20 textures."""
    for number in range(25):
        picture = Image.new("L", (280, 280), 255)
        pen = ImageDraw.Draw(picture)
        for _ in range(dice.randint(3, 12)):
            x, y, r = 140 + dice.gauss(0, 30), 140 + dice.gauss(0, 30), dice.uniform(10, 50)
            high = r * dice.uniform(0.5, 1.5)
            pen.ellipse((x - r, y - high, x + r, y + high), fill=0)
        yield "blot", picture.filter(ImageFilter.GaussianBlur(dice.uniform(2, 8) if number % 2 else 0))
    for number in range(20):
        cells = dice.choice([6, 12, 30])
        noise = Image.fromarray((255 * rng.random((cells, cells))).astype(np.uint8))
        picture = noise.resize((280, 280), dice.choice([Image.Resampling.NEAREST, Image.Resampling.BILINEAR]))
        if number % 2:
            sheet = Image.new("L", (400, 400), 255)
            sheet.paste(picture, (60, 60))
            picture = sheet
        yield "texture", picture


def clothes(dice: random.Random, rng: np.random.Generator, data: str) -> Iterator[tuple[str, Image.Image]]:
    """Yield 45 training images of Fashion-MNIST: as they are, enlarged, enlarged and inverted."""
    images = cnncli.load_dataset("fashion-mnist", data, splits=["train"]).train.images
    for number in range(45):
        picture = Image.fromarray(images[rng.integers(len(images))])
        if number % 3:
            picture = picture.resize((280, 280), Image.Resampling.BICUBIC)
        yield "clothes", ImageOps.invert(picture) if number % 3 == 1 else picture


def photographs(dice: random.Random, rng: np.random.Generator) -> Iterator[tuple[str, Image.Image]]:
    """Yield 45 photographs and parts of photographs."""
    paths = [Path(matplotlib.get_data_path()) / "sample_data/grace_hopper.jpg"]
    if spec := find_spec("skimage"):
        folder = Path(str(spec.origin)).parent / "data"
        names = ("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png")
        names += ("grass.png", "gravel.png", "moon.png", "motorcycle_left.png", "retina.jpg", "rocket.jpg")
        paths += [folder / name for name in names if (folder / name).exists()]
    for number in range(45):
        with Image.open(paths[number % len(paths)]) as opened:
            picture = opened.convert("RGB")
        if number >= len(paths):
            side = int(min(picture.size) * dice.uniform(0.3, 0.8))
            left, top = dice.randint(0, picture.width - side), dice.randint(0, picture.height - side)
            picture = picture.crop((left, top, left + side, top + side))
        yield "photograph", picture


def main() -> None:
    """Draw, measure, print and save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", default="data", help="the folder with the data sets")
    parser.add_argument("--run", default="bundled", help="the run that reads them")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--save", type=Path, help="a folder for the pictures")
    options = parser.parse_args()
    model, dice, rng = (
        cnncli.load_model(options.run),
        random.Random(options.seed),
        np.random.default_rng(options.seed),
    )
    sources = [letters(dice, rng), scribbles(dice, rng), blots(dice, rng), photographs(dice, rng)]
    try:
        sources.append(clothes(dice, rng, options.data_dir))
    except cnncli.CnnError as error:
        print(f"without clothes: {error.message}")
    marked: dict[str, list[bool]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as place:
        folder = options.save or Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        for source in sources:
            for kind, picture in source:
                path = folder / f"{kind}-{len(marked[kind]):02}.png"
                picture.save(path)
                (found,) = cnncli.predict_pictures([path], model)
                marked[kind].append(all(digit.unknown for digit in found.digits))
    table = {kind: {"pictures": len(each), "marked": sum(each)} for kind, each in marked.items()}
    count, hits = (sum(row[key] for row in table.values()) for key in ("pictures", "marked"))
    test = cnncli.load_dataset("mnist", options.data_dir, splits=["test"]).test
    with cnncli.compile(model.network) as executor:
        digits = cnncli.evaluate(
            executor, test.images, test.labels, normalize=model.normalize, calibration=model.calibration
        )
    for kind, row in table.items():
        print(f"{kind:12}{row['marked']:4} of {row['pictures']:3}")
    print(f"{'all':12}{hits:4} of {count:3}, {100 * hits / count:.1f} %")
    print(f"of MNIST's test digits {100 * digits.unknown:.2f} %")
    result = {"kinds": table, "marked": hits / count, "digits_marked": digits.unknown, "run": model.name}
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
