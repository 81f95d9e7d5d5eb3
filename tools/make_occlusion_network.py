"""Train the network that measures how much of the eyes and of the mouth is visible, and write embedder/occlusion.onnx.

Usage: python tools/make_occlusion_network.py --data DIR [--samples N] [--epochs N]. DIR contains lfw-view1 and
celebrities as described in CONTRIBUTING.md: the people of View 1's DevTrain, and every third photo of the celebrities.
Covers are drawn by `train/evaluation/covers.py` on two thirds of the samples; the target is the covered share of each
region. `benchmarks/covered_faces.py` checks it on other people, and on kinds of covers that are not drawn here. After a
change of the network, run tools/calibrate_built_in.py, because the penalties of the cards depend on it.
"""

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor, nn
from torch.export import Dim

from embedder import FaceEmbedder, SampleError, load, sha256_of, show_progress
from embedder.alignment import cut_chip, landmarks_in_chip
from embedder.detection.detector import select_face
from embedder.image import Limits, decode_image
from embedder.image_formats import jpeg
from embedder.progress import Job
from embedder.quality import OCCLUSION_GRAPH as GRAPH, OCCLUSION_SIDE_PX as SIDE_PX
from embedder.runtime.export import graph
from embedder.weights.card import Alignment
from train.evaluation.covers import draw_random
from train.evaluation.protocols.folders import people_of, read_identities
from train.evaluation.protocols.lfw import read_lfw

CHIP_PX = 2 * SIDE_PX
MARGIN_PX = 40  # around a chip, for shifts and for covers that extend beyond it
PIVOT = complex(56, 66)  # of the chip: between eyes and mouth
COVERED = 0.68  # share of the samples with a cover
TWICE = 0.12  # share of those with two
MIRROR = [1, 0, 2, 4, 3]  # in a mirror image left and right eye change places, and so the mouth's corners
BATCH, RATE = 128, 3e-3

Sample = tuple[np.ndarray, tuple[float, float]]  # (side, side, 3), and the covered shares


@dataclass(frozen=True)
class WideChip:
    """A chip with a margin, and the landmarks on it."""

    pixels: np.ndarray
    landmarks: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Task:
    """One sample to make."""

    seed: tuple[int, int]
    chip: WideChip


def photos(data: Path) -> list[Path]:
    lfw = data / "lfw-view1"
    train = people_of(read_lfw(lfw / "pairsDevTrain.txt", lfw / "lfw"))
    return [photo.path for photo in (*train.photos, *read_identities(data / "celebrities").photos[::3])]


def wide_chips(embedder: FaceEmbedder, paths: list[Path]) -> Iterator[WideChip]:
    ours = embedder.card.alignment
    points = [(x + MARGIN_PX, y + MARGIN_PX) for x, y in ours.points]
    wide = Alignment.model_validate(
        ours.model_dump() | {"chip_size_px": ours.chip_size_px + 2 * MARGIN_PX, "points": points}
    )
    detector = embedder._preprocessor.detector  # noqa: SLF001 - a chip with a margin is needed nowhere else
    with show_progress(Job("finding faces", len(paths))) as advance:
        for path in paths:
            advance(1)
            photo = decode_image(path.read_bytes(), Limits())
            middle = photo.size[0] / 2, photo.size[1] / 2
            try:
                face = select_face(detector(photo), "center", middle)
            except SampleError:
                continue
            yield WideChip(cut_chip(photo, face.landmarks, wide), landmarks_in_chip(face.landmarks, wide))


def sample(task: Task) -> Sample:
    rng = np.random.default_rng(task.seed)
    picture, landmarks = Image.fromarray(task.chip.pixels), task.chip.landmarks
    if rng.integers(2):
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        mirrored = [(picture.width - 1 - x, y) for x, y in landmarks]
        landmarks = tuple(mirrored[k] for k in MIRROR)
    hidden = (0.0, 0.0)
    if rng.random() < COVERED:
        covered = draw_random(picture, landmarks, rng)
        hidden = covered.hidden_shares(landmarks)
        if rng.random() < TWICE:
            covered = draw_random(covered.picture, landmarks, rng)
            hidden = tuple(np.maximum(hidden, covered.hidden_shares(landmarks)))
        picture = covered.picture
    return np.asarray(degraded(moved(picture, rng), rng).reduce(2)), hidden


def moved(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Cut the chip as with other landmarks: a cover moves those that are detected."""
    turn = np.exp(rng.normal(0, 0.07) + 1j * np.radians(rng.normal(0, 5)))
    corner = complex(MARGIN_PX, MARGIN_PX) + PIVOT + complex(*rng.normal(0, 4.5, 2)) - turn * PIVOT
    matrix = (turn.real, -turn.imag, corner.real, turn.imag, turn.real, corner.imag)
    return picture.transform((CHIP_PX, CHIP_PX), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def degraded(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Apply some of the degradations to a chip, each with its own probability."""
    for degrade, probability in DEGRADATIONS:
        if rng.random() < probability:
            picture = degrade(picture, rng)
    return picture


def blurred(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 3.5)))


def shrunk(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    side = int(rng.integers(18, 60))
    return picture.resize((side, side), Image.Resampling.BICUBIC).resize(picture.size, Image.Resampling.BICUBIC)


def compressed(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return Image.open(BytesIO(jpeg(picture, int(rng.integers(8, 50))))).convert("RGB")


def grey(picture: Image.Image, _rng: np.random.Generator) -> Image.Image:
    return picture.convert("L").convert("RGB")


def in_other_light(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    greys = 255 * (np.asarray(picture) / 255) ** np.exp(rng.normal(0, 0.35))
    greys = (greys - 128) * np.exp(rng.normal(0, 0.25)) + 128 + rng.normal(0, 18)
    return picture_of(greys * np.exp(rng.normal(0, 0.08, 3)))


def dark(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return picture_of(np.asarray(picture) * rng.uniform(0.08, 0.5))


def noisy(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return picture_of(np.asarray(picture) + rng.normal(0, rng.uniform(1, 12), (CHIP_PX, CHIP_PX, 3)))


def cut_closely(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Blacken the margin, as if the chip were that of a model whose chips show less."""
    left, top, right = (int(rng.integers(most)) for most in (12, 26, 12))
    black = Image.new("RGB", picture.size)
    black.paste(picture.crop((left, top, CHIP_PX - right, CHIP_PX)), (left, top))
    return black


def picture_of(greys: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(greys, 0, 255).astype(np.uint8))


DEGRADATIONS = (
    *((blurred, 0.25), (shrunk, 0.15), (compressed, 0.2), (grey, 0.15)),
    *((in_other_light, 0.5), (dark, 0.1), (noisy, 0.25), (cut_closely, 0.2)),
)


def samples(chips: list[WideChip], n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Pixels (n, side, side, 3) uint8 and covered shares (n, 2)."""
    order = np.random.default_rng(seed).permutation(np.arange(n) % len(chips))
    tasks = [Task((seed, k), chips[place]) for k, place in enumerate(order)]
    pixels, shares = np.empty((n, SIDE_PX, SIDE_PX, 3), np.uint8), np.empty((n, 2), np.float32)
    with ProcessPoolExecutor() as pool, show_progress(Job("drawing", n)) as advance:
        for k, (picture, hidden) in enumerate(pool.map(sample, tasks, chunksize=64)):
            pixels[k], shares[k] = picture, hidden
            advance(1)
    return torch.from_numpy(pixels), torch.from_numpy(shares)


class OcclusionNetwork(nn.Module):
    """Chips (n, side, side, 3) uint8 -> covered shares of eyes and mouth (n, 2)."""

    def __init__(self) -> None:
        super().__init__()
        widths, strides = (3, 16, 32, 64, 64), (2, 2, 2, 1)
        self.features = nn.Sequential(*map(self._layer, widths, widths[1:], strides))
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * 49, 48), nn.ReLU(), nn.Linear(48, 2))

    def forward(self, chips: Tensor) -> Tensor:
        return torch.sigmoid(self.head(self.features((chips.permute(0, 3, 1, 2).float() - 127.5) / 128)))

    @staticmethod
    def _layer(n_in: int, n_out: int, stride: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU())


def train(network: OcclusionNetwork, pixels: Tensor, shares: Tensor, epochs: int) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-3)
    steps = len(pixels) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps * epochs)
    with show_progress(Job("training", steps * epochs)) as advance:
        for _ in range(epochs):
            for chosen in torch.randperm(len(pixels))[: steps * BATCH].view(steps, BATCH):
                loss = nn.functional.binary_cross_entropy(network(pixels[chosen]), shares[chosen])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                advance(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=36_000)
    parser.add_argument("--epochs", type=int, default=10)
    given = parser.parse_args()
    torch.manual_seed(0)
    chips = list(wide_chips(load(), photos(given.data)))
    network = OcclusionNetwork()
    train(network, *samples(chips, given.samples, seed=1), given.epochs)
    network.eval()
    pixels, shares = samples(chips, given.samples // 10, seed=2)
    with torch.no_grad():
        errors = torch.cat([network(part) for part in pixels.split(BATCH)]) - shares
    print("mean absolute error of the shares, eyes and mouth:", errors.abs().mean(dim=0).tolist())
    pixels = torch.zeros(2, SIDE_PX, SIDE_PX, 3, dtype=torch.uint8)
    GRAPH.write_bytes(
        graph(network.requires_grad_(requires_grad=False), pixels, {0: Dim("n", min=1)}, ["covered"], "", {})
    )
    print("write into embedder/quality.py: OCCLUSION_SHA256 =", sha256_of(GRAPH.read_bytes()))


if __name__ == "__main__":
    main()
