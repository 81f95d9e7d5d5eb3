"""Embedding the photos of a protocol: as the embedder does it one by one, each image once, kept when interrupted."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from embedder import Advance, FaceEmbedder, Job
from train.evaluation import embedding
from train.evaluation.cache import EmbeddingCache, Outcome, open_cache
from train.evaluation.embedding import BATCH, EmbeddedSet, degraded, embed_photos
from train.evaluation.protocols.protocol import LabeledPhoto, Protocol, ProtocolError

ROOT = Path(__file__).parents[2]
N_MANY = 3 * BATCH + 1


class Counted:
    """Progress that is added up."""

    def __init__(self) -> None:
        self.n_photos = self.n_done = 0

    @contextmanager
    def __call__(self, job: Job) -> Iterator[Advance]:
        self.n_photos = job.n
        yield self.advance

    def advance(self, n_more: int) -> None:
        self.n_done += n_more


class Interrupted(Counted):
    """The same, until somebody presses Ctrl-C."""

    def advance(self, n_more: int) -> None:
        super().advance(n_more)
        raise KeyboardInterrupt


def protocol_of(paths: list[Path]) -> Protocol:
    photos = tuple(LabeledPhoto(path, path.name, path.stem) for path in paths)
    return Protocol("photos", photos, None, "largest")


@pytest.fixture
def eight(examples: Path) -> Protocol:
    return protocol_of(sorted(examples.glob("*.jpg")))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Protocol:
    """More different images than a batch holds."""
    folder = tmp_path_factory.mktemp("many")
    sources = [Image.open(path).resize((128, 128)) for path in sorted(examples.glob("*.jpg"))]
    for k in range(N_MANY):
        sources[k % len(sources)].save(folder / f"{k:03d}.jpg", quality=99 - k // len(sources))
    return protocol_of(sorted(folder.iterdir()))


def cache_in(folder: Path, embedder: FaceEmbedder) -> EmbeddingCache:
    return open_cache(folder / "cache", embedder, "largest")


def same(first: EmbeddedSet, second: EmbeddedSet) -> bool:
    return (
        np.array_equal(first.vectors, second.vectors, equal_nan=True)
        and np.array_equal(first.measures, second.measures, equal_nan=True)
        and first.faults == second.faults
        and first.image_digests == second.image_digests
    )


def test_photos_are_embedded_as_the_embedder_does_it_one_by_one(eight: Protocol, embedder: FaceEmbedder) -> None:
    found = embed_photos(eight, embedder, "largest")
    alone = np.stack([embedder.embed(photo.path.read_bytes(), face="largest").vector for photo in eight.photos])
    assert found.vectors.dtype == np.float32
    assert np.abs(found.vectors - alone).max() < 1e-4  # other sums in the detector may turn a pixel by 1
    assert found.faults == (None,) * 8


def test_the_digests_are_those_of_the_files(eight: Protocol, embedder: FaceEmbedder) -> None:
    files = [photo.path.read_bytes() for photo in eight.photos]
    assert embed_photos(eight, embedder, "largest").image_digests == tuple(
        "sha256:" + sha256(data).hexdigest() for data in files
    )


def test_the_company_of_a_photo_changes_no_bit_of_its_embedding(many: Protocol, embedder: FaceEmbedder) -> None:
    together = embed_photos(many, embedder, "largest").vectors
    for chosen in ([0], [N_MANY - 1, 3], list(range(0, N_MANY, 2))):
        some = replace(many, photos=tuple(many.photos[k] for k in chosen))
        assert np.array_equal(embed_photos(some, embedder, "largest").vectors, together[chosen])


def test_a_photo_without_a_usable_face_is_a_fault_and_no_error(
    tmp_path: Path, eight: Protocol, embedder: FaceEmbedder
) -> None:
    Image.new("RGB", (120, 120), "grey").save(tmp_path / "wall.png")
    (tmp_path / "text.jpg").write_text("no image")
    cut = eight.photos[0].path.read_bytes()
    (tmp_path / "cut.jpg").write_bytes(cut[: len(cut) // 2])
    Image.new("1", (8000, 8000)).save(tmp_path / "huge.png")
    names = ["wall.png", "text.jpg", "cut.jpg", "huge.png"]
    found = embed_photos(protocol_of([tmp_path / name for name in names] + [eight.photos[1].path]), embedder, "largest")
    assert found.faults == ("no_face", "not_an_image", "image_unreadable", "image_too_large", None)
    assert np.isnan(found.vectors).all(axis=1).tolist() == [True, True, True, True, False]


def test_the_face_choice_is_the_embedder_s(tmp_path: Path, eight: Protocol, embedder: FaceEmbedder) -> None:
    first, second = (Image.open(eight.photos[k].path) for k in (0, 2))
    both = Image.new("RGB", (first.width + second.width, max(first.height, second.height)))
    both.paste(first, (0, 0))
    both.paste(second, (first.width, 0))
    both.save(tmp_path / "both.png")
    protocol = protocol_of([tmp_path / "both.png"])
    assert embed_photos(protocol, embedder, "only").faults == ("several_faces",)
    assert embed_photos(protocol, embedder, "center").faults == (None,)


def test_equal_images_are_embedded_once_and_each_has_the_embedding(
    tmp_path: Path, eight: Protocol, embedder: FaceEmbedder
) -> None:
    copy = Path(shutil.copy(eight.photos[0].path, tmp_path / "copy.jpg"))
    counted = Counted()
    found = embed_photos(protocol_of([eight.photos[0].path, copy]), embedder, "largest", progress=counted)
    assert (counted.n_photos, counted.n_done) == (1, 1)
    assert np.array_equal(found.vectors[0], found.vectors[1])
    assert not np.isnan(found.vectors).any()


def test_the_measures_are_those_of_the_embedder(eight: Protocol, embedder: FaceEmbedder) -> None:
    found = embed_photos(eight, embedder, "largest").measures
    alone = [embedder.chip(photo.path.read_bytes(), face="largest").sample.quality for photo in eight.photos]
    assert np.allclose(found, [astuple(quality) for quality in alone], rtol=1e-3, atol=1e-3)


def test_no_face_has_no_measures(tmp_path: Path, embedder: FaceEmbedder) -> None:
    Image.new("RGB", (120, 120), "grey").save(tmp_path / "wall.png")
    assert np.isnan(embed_photos(protocol_of([tmp_path / "wall.png"]), embedder, "largest").measures).all()


def test_a_degraded_photo_is_embedded_as_its_file_would_be(
    tmp_path: Path, eight: Protocol, embedder: FaceEmbedder
) -> None:
    original = eight.photos[0]
    (tmp_path / "copy.jpg").write_bytes(degraded(Image.open(original.path).convert("RGB"), "jpeg10"))
    copy = replace(original, degradation="jpeg10")
    found = embed_photos(replace(eight, photos=(original, copy)), embedder, "largest", cache_in(tmp_path, embedder))
    expected = embed_photos(protocol_of([original.path, tmp_path / "copy.jpg"]), embedder, "largest")
    assert np.array_equal(found.vectors, expected.vectors)
    assert np.array_equal(found.measures, expected.measures)
    again = embed_photos(replace(eight, photos=(copy, original)), embedder, "largest", cache_in(tmp_path, embedder))
    assert np.array_equal(again.vectors, found.vectors[::-1])


def test_a_degraded_photo_lies_as_upright_as_the_original(
    tmp_path: Path, eight: Protocol, embedder: FaceEmbedder
) -> None:
    turned, exif = Image.open(eight.photos[0].path).transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned.save(tmp_path / "turned.png", exif=exif)
    protocol = protocol_of([eight.photos[0].path, tmp_path / "turned.png"])
    poor = replace(protocol, photos=tuple(replace(photo, degradation="blur2") for photo in protocol.photos))
    one, other = embed_photos(poor, embedder, "largest").vectors
    assert np.array_equal(one, other)


def test_a_file_that_cannot_be_degraded_is_the_fault_that_it_was(tmp_path: Path, embedder: FaceEmbedder) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    photo = replace(protocol_of([tmp_path / "text.jpg"]).photos[0], degradation="px32")
    assert embed_photos(Protocol("p", (photo,), None, "largest"), embedder, "largest").faults == ("not_an_image",)


def test_progress_adds_up(many: Protocol, embedder: FaceEmbedder) -> None:
    counted = Counted()
    embed_photos(many, embedder, "largest", progress=counted)
    assert (counted.n_photos, counted.n_done) == (N_MANY, N_MANY)


def test_no_photo_at_all_is_an_empty_set(embedder: FaceEmbedder) -> None:
    assert embed_photos(protocol_of([]), embedder, "largest").vectors.shape == (0, 128)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, eight: Protocol, embedder: FaceEmbedder) -> None:
    with pytest.raises(ProtocolError, match=r"absent\.jpg: cannot be read: No such file"):
        embed_photos(protocol_of([eight.photos[0].path, tmp_path / "absent.jpg"]), embedder, "largest")


def test_what_the_cache_knows_is_not_embedded_again(tmp_path: Path, eight: Protocol, embedder: FaceEmbedder) -> None:
    Image.new("RGB", (120, 120), "grey").save(tmp_path / "wall.png")
    protocol = protocol_of([tmp_path / "wall.png", *(photo.path for photo in eight.photos)])
    cold = embed_photos(protocol, embedder, "largest", cache_in(tmp_path, embedder))
    counted = Counted()
    warm = embed_photos(protocol, embedder, "largest", cache_in(tmp_path, embedder), counted)
    assert counted.n_photos == 0
    assert same(cold, warm)
    assert same(cold, embed_photos(protocol, embedder, "largest"))


def test_a_changed_image_is_embedded_again_and_alone(tmp_path: Path, eight: Protocol, embedder: FaceEmbedder) -> None:
    paths = [Path(shutil.copy(photo.path, tmp_path)) for photo in eight.photos[:3]]
    cache = cache_in(tmp_path, embedder)
    embed_photos(protocol_of(paths), embedder, "largest", cache)
    shutil.copy(eight.photos[5].path, paths[1])
    counted = Counted()
    found = embed_photos(protocol_of(paths), embedder, "largest", cache, counted)
    assert counted.n_photos == 1
    assert np.array_equal(found.vectors[1], embed_photos(eight, embedder, "largest").vectors[5])


def test_interrupted_it_keeps_what_is_done_and_leaves_no_thread(
    tmp_path: Path, many: Protocol, embedder: FaceEmbedder
) -> None:
    before = set(threading.enumerate())
    cache = cache_in(tmp_path, embedder)
    with pytest.raises(KeyboardInterrupt):
        embed_photos(many, embedder, "largest", cache, Interrupted())
    assert len(cache.load()) == BATCH
    assert set(threading.enumerate()) <= before
    counted = Counted()
    whole = embed_photos(many, embedder, "largest", cache, counted)
    assert counted.n_photos == N_MANY - BATCH
    assert same(whole, embed_photos(many, embedder, "largest"))


def test_it_saves_what_is_new_every_so_often(
    tmp_path: Path, many: Protocol, embedder: FaceEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Seen(EmbeddingCache):
        sizes: tuple[int, ...] = ()

        def save(self, outcomes: Mapping[str, Outcome]) -> None:
            super().save(outcomes)
            self.sizes += (len(outcomes),)

    monkeypatch.setattr(embedding, "SAVE_EVERY", 2 * BATCH)
    cache = Seen(tmp_path, "key", embedder.card.architecture.embedding_size, pytest.fail)
    embed_photos(many, embedder, "largest", cache)
    assert cache.sizes == (2 * BATCH, N_MANY - 2 * BATCH)


def test_an_image_that_changes_meanwhile_is_told(tmp_path: Path, eight: Protocol, embedder: FaceEmbedder) -> None:
    path = Path(shutil.copy(eight.photos[0].path, tmp_path / "photo.jpg"))

    @contextmanager
    def changing(_job: Job) -> Iterator[Advance]:
        shutil.copy(eight.photos[1].path, path)
        yield lambda _n_more: None

    with pytest.raises(ProtocolError, match=r"photo\.jpg: has changed since the start"):
        embed_photos(protocol_of([path]), embedder, "largest", progress=changing)


def test_torch_has_its_threads_back(eight: Protocol, embedder: FaceEmbedder) -> None:
    before = torch.get_num_threads()
    embed_photos(eight, embedder, "largest")
    assert torch.get_num_threads() == before


PRESSED = """
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from embedder import load
from train.evaluation.cache import open_cache
from train.evaluation.embedding import embed_photos
from train.evaluation.protocols.protocol import LabeledPhoto, Protocol

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell begins jobs in the background with it ignored

@contextmanager
def told(_job):
    def advance(n_more):
        print(n_more, flush=True)
        time.sleep(0.5)  # so that the signal comes in time, however busy the machine is

    yield advance

paths = sorted(Path(sys.argv[1]).iterdir())
photos = tuple(LabeledPhoto(path, path.name, path.stem) for path in paths)
embedder = load()
cache = open_cache(Path(sys.argv[2]), embedder, "largest")
embed_photos(Protocol("photos", photos, None, "largest"), embedder, "largest", cache, told)
"""


def test_ctrl_c_ends_it_soon_and_what_was_done_is_kept(tmp_path: Path, many: Protocol, embedder: FaceEmbedder) -> None:
    command = [sys.executable, "-c", PRESSED, str(many.photos[0].path.parent), str(tmp_path / "cache")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(30) in (-signal.SIGINT, 130)
    assert BATCH <= len(cache_in(tmp_path, embedder).load()) < N_MANY
