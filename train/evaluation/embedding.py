"""Embed the photos of a protocol on all cores with bounded memory; optionally degrade them first.

Degraded copies show how poor photos change distances, with all else equal.

Measured on two cores: threads that each process a few photos from file to embedding, with torch on one core each, need
about 19 ms per photo; cutting all chips first and then running the network on both cores needs about 23 ms.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from io import BytesIO
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from embedder import (
    Advance,
    Chip,
    FaceChoice,
    FaceEmbedder,
    Job,
    Limits,
    Progress,
    SampleError,
    decode_image,
    no_progress,
)

from .cache import N_MEASURES, CachedFace, EmbeddingCache, Outcomes
from .covers import CoverKind, draw_random
from .parallel import one_core_threads
from .protocols.protocol import LabeledPhoto, Protocol, ProtocolError

BLUR_PX = {"blur1": 1.0, "blur2": 2.0, "blur3": 3.0, "blur4": 4.0}  # sigma, for a picture of 250 px
WIDTH_PX = {"px64": 64, "px48": 48, "px32": 32}  # to which the whole picture is downsampled, before upsampling
JPEG_QUALITY = {"jpeg20": 20, "jpeg10": 10}
BLURRED_SIDE_PX = 250  # the longer side of a picture for which the sigmas are given

DEGRADATIONS = (*BLUR_PX, *WIDTH_PX, *JPEG_QUALITY)
COVERS: tuple[CoverKind, ...] = ("mask", "glasses")  # drawn on the face; they need its landmarks


def degraded(picture: Image.Image, name: str) -> bytes:
    """Degrade an RGB picture and return it as an image file; `name` is one of DEGRADATIONS, else raises ValueError."""
    if name in JPEG_QUALITY:
        return _file(picture, "JPEG", quality=JPEG_QUALITY[name])
    if name in BLUR_PX:
        sigma = BLUR_PX[name] * max(picture.size) / BLURRED_SIDE_PX
        return _file(picture.filter(ImageFilter.GaussianBlur(sigma)), "BMP")
    if name in WIDTH_PX:
        return _file(_shrunk_and_enlarged(picture, WIDTH_PX[name]), "BMP")
    raise ValueError(f"a degradation must be one of {', '.join(DEGRADATIONS)}, not {name!r}")


def _shrunk_and_enlarged(picture: Image.Image, width: int) -> Image.Image:
    small = width, max(1, round(width * picture.height / picture.width))
    return picture.resize(small, Image.Resampling.BICUBIC).resize(picture.size, Image.Resampling.BICUBIC)


def _file(picture: Image.Image, kind: str, **options: int) -> bytes:
    """Encode a picture; BMP is lossless and fast."""
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


BATCH = 16  # photos per task of a thread, and chips per forward pass: a fixed shape gives bit-identical results
SAVE_EVERY = 4096  # photos

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedSet:
    """Embeddings, errors and quality measures of the photos of a protocol, in their order."""

    vectors: NDArray[np.float32]  # (n, channels); NaN without a usable face
    faults: tuple[str | None, ...]  # (n,) the error's code if there is none, as in no_face
    image_digests: tuple[str, ...]  # (n,) of the file's bytes and the degradation: "sha256:..."
    measures: NDArray[np.float32]  # (n, measures) of the photos' quality, in the order of MEASURES; NaN as vectors


def embed_photos(
    protocol: Protocol,
    embedder: FaceEmbedder,
    face: FaceChoice,
    cache: EmbeddingCache | None = None,
    progress: Progress = no_progress,
) -> EmbeddedSet:
    """Embed the face of each photo selected by `face`; known photos come from the cache, new ones are added to it.

    If interrupted, it still saves finished photos. Raises CacheError, and ProtocolError if a file cannot be read.
    """
    known = {} if cache is None else cache.load()
    with one_core_threads() as pool:
        parts = pool.map(_digests, _batches(protocol.photos))
        digests = [digest for part in parts for digest in part]
        new = {digest: photo for digest, photo in zip(digests, protocol.photos, strict=True) if digest not in known}
        if new:
            save = cache.save if cache is not None else _keep_nothing
            with progress(Job("embedding", len(new))) as advance:
                _collect(pool.map(_Work(embedder, face), _batches(list(new.items()))), known, save, advance)
    return _embedded_set(digests, known, embedder.card.architecture.embedding_size)


def _batches(items: Sequence[T]) -> list[Sequence[T]]:
    return [items[start : start + BATCH] for start in range(0, len(items), BATCH)]


def _collect(done: Iterable[Outcomes], known: Outcomes, save: Callable[[Outcomes], None], advance: Advance) -> None:
    unsaved: Outcomes = {}
    try:
        for outcomes in done:
            known |= outcomes
            unsaved |= outcomes
            advance(len(outcomes))
            if len(unsaved) >= SAVE_EVERY:
                save(unsaved)
                unsaved = {}
    finally:
        if unsaved:
            save(unsaved)


def _keep_nothing(_outcomes: Outcomes) -> None:
    """Replace `EmbeddingCache.save` if there is no cache."""


def _embedded_set(digests: Sequence[str], known: Outcomes, n_channels: int) -> EmbeddedSet:
    vectors = np.full((len(digests), n_channels), np.nan, np.float32)
    measures = np.full((len(digests), N_MEASURES), np.nan, np.float32)
    faults: list[str | None] = [None] * len(digests)
    for k, digest in enumerate(digests):
        outcome = known[digest]
        if isinstance(outcome, str):
            faults[k] = outcome
        else:
            vectors[k], measures[k] = outcome.vector, outcome.measures
    return EmbeddedSet(vectors, tuple(faults), tuple(digests), measures)


@dataclass(frozen=True, slots=True)
class _Work:
    """The task of a thread: read some photos, find faces, cut chips, then embed all chips in one forward pass."""

    embedder: FaceEmbedder
    face: FaceChoice

    def __call__(self, images: Sequence[tuple[str, LabeledPhoto]]) -> Outcomes:
        outcomes: Outcomes = {}
        chips: dict[str, Chip] = {}
        for digest, photo in images:
            try:
                chips[digest] = self.embedder.chip(self._to_embed(photo, digest), face=self.face)
            except SampleError as error:
                outcomes[digest] = error.code
        return outcomes | self._embed(chips)

    def _to_embed(self, photo: LabeledPhoto, digest: str) -> bytes:
        """Read a photo again and apply its degradation, if any. Raises SampleError if it is to be covered."""
        data = _read(photo)
        if _digest(data, photo.degradation) != digest:
            raise ProtocolError(
                f"{photo.name}: has changed since the start; run again when the photos no longer change"
            )
        if photo.degradation is None:
            return data
        if photo.degradation in COVERS:
            return self._covered(data, photo.degradation, digest)
        return _degraded(data, photo.degradation)

    def _covered(self, data: bytes, kind: CoverKind, digest: str) -> bytes:
        """Draw a cover on the face; the same photo gets the same cover each time."""
        landmarks = self.embedder.chip(data, face=self.face).sample.face.landmarks
        generator = np.random.default_rng(int(digest.removeprefix("sha256:")[:16], 16))
        return _file(draw_random(_picture(data), landmarks, generator, kind).picture, "BMP")

    def _embed(self, chips: Mapping[str, Chip]) -> Outcomes:
        if not chips:
            return {}
        cut = np.stack([chip.pixels for chip in chips.values()])
        batch = np.zeros((BATCH, *cut.shape[1:]), np.uint8)
        batch[: len(cut)] = cut
        measures = [np.array(astuple(chip.sample.quality), np.float32) for chip in chips.values()]
        return dict(zip(chips, map(CachedFace, self.embedder.embed_faces(batch), measures), strict=False))


def _digests(photos: Sequence[LabeledPhoto]) -> list[str]:
    return [_digest(_read(photo), photo.degradation) for photo in photos]


def _degraded(data: bytes, degradation: str) -> bytes:
    try:
        return degraded(_picture(data), degradation)
    except SampleError:  # the embedder will report it
        return data


def _picture(data: bytes) -> Image.Image:
    photo = decode_image(data, Limits())
    return photo.at(photo.factor_for(1))


def _read(photo: LabeledPhoto) -> bytes:
    try:
        return photo.path.read_bytes()
    except OSError as error:
        raise ProtocolError(f"{photo.name}: cannot be read: {error.strerror}") from error


def _digest(data: bytes, degradation: str | None) -> str:
    digest = hashlib.sha256(data).hexdigest()
    if degradation is not None:
        digest = hashlib.sha256(f"{digest} {degradation}".encode()).hexdigest()
    return "sha256:" + digest
