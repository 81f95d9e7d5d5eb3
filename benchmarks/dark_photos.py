"""Dark photos: how many faces are found, and the error rates at a point, of the darkest and lightest skin too.

Usage: python benchmarks/dark_photos.py --data DIR [--every N]. DIR contains london/ and lfw-view1/; every N-th person
(1) takes part. Photos are darkened to a mean grey in two ways, by a factor and with crushed shadows, with sensor noise,
and compressed. Dark photos are compared with each other, all against all, and with the other photo as it is. Skin is
lightest and darkest by the cheeks of London's neutral photo as it is. With `--original`, no
photo is stretched.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from embedder import Face, FaceEmbedder, NoFace, load
from embedder.types import Tone

MEANS = (13, 20, 30)
CRUSHED = 1.8  # exponent
NOISE = 1.0  # grey levels
SIDE_PX = 300
POINT = "fmr-1e-3"
N_PEOPLE = 100  # of View 1


@dataclass(frozen=True)
class Photos:
    name: str
    people: list[str]
    pictures: list[Image.Image]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--original", action="store_true", help="do not stretch dark pictures")
    asked = parser.parse_args()
    if asked.original:
        Tone.is_stretchable = property(lambda _: False)  # type: ignore[assignment, method-assign] - for this comparison
    embedder = load()
    sets = (london(asked.data / "london", asked.every), view_1(asked.data / "lfw-view1", asked.every))
    print("| photos | n | found | FMR, both dark | FNMR, both dark | FNMR, one dark |\n|---|---|---|---|---|---|")
    for photos in sets:
        usual = embedded(embedder, photos, lambda picture, _: picture)
        tell(embedder, f"{photos.name} as it is", photos, usual, usual)
        for mean in MEANS:
            for way, exponent in (("by a factor", 1.0), ("crushed", CRUSHED)):
                dark = embedded(embedder, photos, partial(darkened, mean=mean, exponent=exponent))
                tell(embedder, f"{photos.name}, mean grey {mean}, {way}", photos, dark, usual)
                if photos.name == "London":
                    tell_by_skin(photos, skin(embedder, photos), dark)


def london(folder: Path, every: int) -> Photos:
    people = sorted(path for path in folder.iterdir() if path.is_dir())[::every]
    paths = [person / f"{look}_front.jpg" for person in people for look in ("neutral", "smiling")]
    return Photos("London", [path.parent.name for path in paths], [opened(path) for path in paths])


def view_1(folder: Path, every: int) -> Photos:
    people = [path for path in sorted((folder / "lfw").iterdir()) if len(list(path.glob("*.jpg"))) > 1][:N_PEOPLE]
    paths = [path for person in people[::every] for path in sorted(person.glob("*.jpg"))[:3]]
    return Photos("View 1", [path.parent.name for path in paths], [opened(path) for path in paths])


def opened(path: Path) -> Image.Image:
    picture = Image.open(path).convert("RGB")
    return picture.resize((SIDE_PX, SIDE_PX)) if max(picture.size) > SIDE_PX else picture


def darkened(picture: Image.Image, seed: int, *, mean: float, exponent: float) -> Image.Image:
    values = (np.asarray(picture, np.float32) / 255) ** exponent
    noise = np.random.default_rng(seed).normal(0, NOISE, values.shape)
    dark = Image.fromarray(np.rint((values * (mean / values.mean()) + noise).clip(0, 255)).astype(np.uint8))
    return Image.open(BytesIO(jpeg(dark))).convert("RGB")


def jpeg(picture: Image.Image) -> bytes:
    out = BytesIO()
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()


def embedded(embedder: FaceEmbedder, photos: Photos, change: Callable[[Image.Image, int], Image.Image]) -> np.ndarray:
    """Embeddings (n, 128); NaN where no face is found."""
    found = []
    for number, picture in enumerate(photos.pictures):
        try:
            found.append(embedder.embed(jpeg(change(picture, number)), face="center").vector)
        except NoFace:
            found.append(np.full(128, np.nan, np.float32))
    return np.stack(found)


def tell(embedder: FaceEmbedder, name: str, photos: Photos, dark: np.ndarray, usual: np.ndarray) -> None:
    (threshold,) = (point.threshold for point in embedder.card.operating_points if point.name == POINT)
    people = np.array(photos.people)
    same, other = people[:, None] == people, ~np.eye(len(people), dtype=np.bool_)
    rates = []
    for one, wanted in ((dark, False), (dark, True), (usual, True)):
        distances = np.linalg.norm(dark[:, None] - one[None], axis=2)[(same == wanted) & other]
        distances = distances[~np.isnan(distances)]
        rates.append(((distances < threshold) != wanted).mean())
    found = f"{(~np.isnan(dark[:, 0])).mean():.1%}"
    print(f"| {name} | {len(people)} | {found} | {rates[0]:.3%} | {rates[1]:.1%} | {rates[2]:.1%} |", flush=True)


def skin(embedder: FaceEmbedder, photos: Photos) -> dict[str, float]:
    """The mean grey level of each person's cheeks."""
    return {
        person: cheeks(picture, embedder.detect(jpeg(picture))[0])
        for person, picture in zip(photos.people[::2], photos.pictures[::2], strict=True)
    }


def cheeks(picture: Image.Image, face: Face) -> float:
    grey, eyes_apart = np.asarray(picture.convert("L")), face.landmarks[1][0] - face.landmarks[0][0]
    pieces = []
    for x, _ in face.landmarks[:2]:
        half, y = round(eyes_apart * 0.1), round(face.landmarks[2][1])
        pieces.append(grey[y - half : y + half, round(x) - half : round(x) + half])
    return float(np.mean(pieces))


def tell_by_skin(photos: Photos, greys: dict[str, float], dark: np.ndarray) -> None:
    order = sorted(greys, key=greys.__getitem__)
    quarter = len(order) // 4
    is_missed = np.isnan(dark[:, 0])
    for name, people in (("darkest", order[:quarter]), ("lightest", order[-quarter:])):
        chosen = np.isin(photos.people, people)
        print(
            f"|   {name} quarter of skins | {chosen.sum()} | not found: {is_missed[chosen].sum()} | | | |", flush=True
        )


if __name__ == "__main__":
    main()
