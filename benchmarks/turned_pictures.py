"""Documents that lie on a page, whole photos turned, two people of whom one lies, and false EXIF: what is answered.

Usage: python benchmarks/turned_pictures.py --data DIR [--every N]. DIR contains london/ and groups/; every N-th person
(1) takes part. Each picture is compared with the person's other photo. Counted are right answers, refusals, and silent
errors: "different" for the same person, another person's face, or an answer where a rule should have refused.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from embedder import FaceChoice, FaceEmbedder, SampleError, load

TURNS = (0, 90, 180, 270)  # degrees clockwise
PAGE_MM, CARD_MM, PHOTO_MM = (210, 297), (86, 54), (25, 32)
MM_PER_INCH = 25.4
PAPERS = ("white", (226, 224, 220))
LINEAR_SIZES = (1.15, 2.0)  # of the larger person to the smaller: areas of 1.3, which are rivals, and 4
MIN_DOMINANT = 2**0.5
ORIENTATIONS = (3, 6, 8)  # of EXIF, of pixels that are upright: they are then shown turned
SAME_PLACE = 0.3  # of the larger side: two boxes of one face

RIGHT, REFUSED, SILENT = "right", "refused", "wrong and silent"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1)
    asked = parser.parse_args()
    embedder = load()
    people = sorted(path for path in (asked.data / "london").iterdir() if path.is_dir())[:: asked.every]
    print("| picture | n | right | refused | wrong and silent | refusals |\n|---|---|---|---|---|---|", flush=True)
    for part in (documents, whole_photos, two_people, false_exif):
        part(people, embedder)
    groups(sorted((asked.data / "groups").glob("*.jpg")), embedder)


def tell(name: str, outcomes: list[str]) -> None:
    refusals = Counter(each for each in outcomes if each not in (RIGHT, SILENT))
    n_refused = sum(refusals.values())
    codes = ", ".join(f"{code} {n}" for code, n in refusals.items())
    counts = f"{outcomes.count(RIGHT)} | {n_refused} | {outcomes.count(SILENT)}"
    print(f"| {name} | {len(outcomes)} | {counts} | {codes} |", flush=True)


def answer(embedder: FaceEmbedder, picture: bytes, reference: Path, face: FaceChoice = "dominant") -> str:
    """The outcome for a picture that shows the person of the reference."""
    try:
        return RIGHT if embedder.verify(picture, reference.read_bytes(), face=face).same else SILENT
    except SampleError as error:
        return error.code


def neutral(person: Path) -> Image.Image:
    return Image.open(person / "neutral_front.jpg").convert("RGB")


def smiling(person: Path) -> Path:
    return person / "smiling_front.jpg"


def turned(picture: Image.Image, degrees: int) -> Image.Image:
    return picture.rotate(-degrees, expand=True)


def jpeg(picture: Image.Image, **options: object) -> bytes:
    out = BytesIO()
    picture.save(out, "JPEG", quality=88, **options)
    return out.getvalue()


def documents(people: list[Path], embedder: FaceEmbedder) -> None:
    for dpi in (150, 300):
        for turn in TURNS:
            found = [
                answer(embedder, jpeg(page(neutral(person), dpi, turn, number)), smiling(person))
                for number, person in enumerate(people)
            ]
            tell(f"a card on an A4 page, {dpi} dpi, turned by {turn}", found)


def page(photo: Image.Image, dpi: int, turn: int, seed: int) -> Image.Image:
    """A card at a random place of a page with lines of writing, which the card may cover."""
    rng = np.random.default_rng(seed)
    whole = Image.new("RGB", px(PAGE_MM, dpi), PAPERS[seed % 2])
    write(whole, px((20, 20), dpi), px((190, 277), dpi), dpi, rng)
    placed = turned(card(photo, dpi, rng), turn)
    place = [int(rng.integers(0, room - size)) for room, size in zip(whole.size, placed.size, strict=True)]
    whole.paste(placed, (place[0], place[1]))
    return whole


def card(photo: Image.Image, dpi: int, rng: np.random.Generator) -> Image.Image:
    whole = Image.new("RGB", px(CARD_MM, dpi), (214, 226, 235))
    head = photo.crop((110, 60, 490, 546)).resize(px(PHOTO_MM, dpi), Image.Resampling.LANCZOS)
    whole.paste(head, px((4, 14), dpi))
    write(whole, px((34, 10), dpi), px((82, 50), dpi), dpi, rng)
    return whole


def write(
    picture: Image.Image, start: tuple[int, int], end: tuple[int, int], dpi: int, rng: np.random.Generator
) -> None:
    """Draw lines of words."""
    drawing, (_, height) = ImageDraw.Draw(picture), px((0, 2.5), dpi)
    for top in range(start[1], end[1] - height, 2 * height):
        left = start[0]
        while (right := left + int(rng.integers(2, 9)) * height) < end[0]:
            drawing.rectangle((left, top, right, top + height // 2), fill=(60, 60, 60))
            left = right + height


def px(millimetres: tuple[float, float], dpi: int) -> tuple[int, int]:
    width, height = (round(length * dpi / MM_PER_INCH) for length in millimetres)
    return width, height


def whole_photos(people: list[Path], embedder: FaceEmbedder) -> None:
    for turn in TURNS:
        found = [answer(embedder, jpeg(turned(neutral(person), turn)), smiling(person)) for person in people]
        tell(f"London, turned by {turn}", found)


def two_people(people: list[Path], embedder: FaceEmbedder) -> None:
    pairs = list(zip(people, people[1:] + people[:1], strict=True))
    for ratio in LINEAR_SIZES:
        for turns in [(turn, 0) for turn in TURNS] + [(0, turn) for turn in TURNS[1:]]:
            pictures = [jpeg(side_by_side(pair, turns, ratio, number % 2)) for number, pair in enumerate(pairs)]
            lying = "both upright" if turns == (0, 0) else f"the {'larger' if turns[0] else 'smaller'} by {max(turns)}"
            for face in ("largest", "only", "dominant"):
                answers = [
                    answer(embedder, picture, smiling(pair[0]), face)
                    for picture, pair in zip(pictures, pairs, strict=True)
                ]
                is_refusal = face == "only" or (face == "dominant" and ratio < MIN_DOMINANT)
                tell(
                    f"two people, areas 1:{ratio**2:.1f}, {lying}, {face}",
                    [(SILENT if each == RIGHT else each) if is_refusal else each for each in answers],
                )


def side_by_side(people: tuple[Path, Path], turns: tuple[int, int], ratio: float, is_mirrored: int) -> Image.Image:
    """The first person is larger by `ratio`."""
    larger, smaller = (turned(neutral(person), turn) for person, turn in zip(people, turns, strict=True))
    side = round(larger.width / ratio)
    whole = Image.new("RGB", (larger.width + side, larger.height), (150, 150, 155))
    whole.paste(larger, (side if is_mirrored else 0, 0))
    whole.paste(smaller.resize((side, side), Image.Resampling.LANCZOS), (0 if is_mirrored else larger.width, 30))
    return whole


def false_exif(people: list[Path], embedder: FaceEmbedder) -> None:
    for orientation in ORIENTATIONS:
        exif = Image.Exif()
        exif[0x0112] = orientation
        found = [answer(embedder, jpeg(neutral(person), exif=exif), smiling(person)) for person in people]
        tell(f"London, upright, but EXIF says {orientation}", found)


def groups(paths: list[Path], embedder: FaceEmbedder) -> None:
    """Faces of the upright groups, in the turned ones."""
    print("\n| groups turned by | faces upright | found again, right way up | another way up | missed | new |")
    print("|---|---|---|---|---|---|")
    for turn in TURNS:
        counts = sum((Counter(compared(path, turn, embedder)) for path in paths), Counter())
        n = sum(counts[each] for each in ("again", "another", "missed"))
        print(f"| {turn} | {n} | {counts['again']} | {counts['another']} | {counts['missed']} | {counts['new']} |")


def compared(path: Path, turn: int, embedder: FaceEmbedder) -> Iterator[str]:
    picture = Image.open(path).convert("RGB")
    upright, lying = embedder.detect(jpeg(picture)), embedder.detect(jpeg(turned(picture, turn)))
    middle = complex(*picture.size) / 2
    middle_of_lying = complex(*turned(picture, turn).size) / 2
    places = [(complex(*face.box.center) - middle_of_lying) * (-1j) ** (turn // 90) + middle for face in lying]
    known = set()
    for face in upright:
        near = [
            k for k, place in enumerate(places) if abs(place - complex(*face.box.center)) < SAME_PLACE * face.box.height
        ]
        known.update(near)
        yield (
            "missed" if not near else "again" if lying[near[0]].rotation == (face.rotation + turn) % 360 else "another"
        )
    yield from ["new"] * (len(lying) - len(known))


if __name__ == "__main__":
    main()
