"""The file of chips: what goes in comes out, and no damage passes unseen."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from embedder import MEASURES
from train.data.photos import DigestedPhoto, SkippedPhoto
from train.data.prepared import PreparedData
from train.data.shard import CutChip, Shard, decoded, encoded, packed
from train.errors import DataError
from train.evaluation.protocols.protocol import LabeledPhoto


def chip(seed: int) -> np.ndarray:
    """Noise over a slope: what compresses worst, and what compresses best."""
    generator = np.random.default_rng(seed)
    picture = np.linspace(0, 255, 150)[:, None, None] + np.zeros((150, 150, 3))
    picture[:75] = generator.integers(0, 256, (75, 150, 3))
    return picture.astype(np.uint8)


def cut(k: int) -> CutChip:
    photo = LabeledPhoto(Path(), f"p\udcff/{k}.jpg", "p\udcff")
    measures = np.arange(len(MEASURES), dtype=np.float32) + k
    return CutChip(DigestedPhoto(photo, f"sha256:{k:064x}"), encoded(chip(k)), measures)


OUTCOMES = [cut(0), SkippedPhoto("p/1.jpg", "no_face", "no face was found", None), cut(2), cut(3)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "shard").write_bytes(packed(OUTCOMES))
    return tmp_path / "shard"


def same(shard: Shard) -> bool:
    """Is all of it as it was packed?"""
    whole = [cut(0), cut(2), cut(3)]
    return (
        all(np.array_equal(shard.chip(k), decoded(each.image)) for k, each in enumerate(whole))
        and shard.facts.names == tuple(each.known.photo.name for each in whole)
        and np.array_equal(shard.facts.measures, [each.measures for each in whole])
    )


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_chips_are_kept_without_loss(seed: int) -> None:
    assert np.array_equal(decoded(encoded(chip(seed))), chip(seed))


def test_what_is_packed_is_read(path: Path) -> None:
    shard = Shard(path)
    shard.check()
    assert same(shard)
    assert shard.facts.identities == ("p\udcff",) * 3
    assert shard.facts.image_digests == tuple(f"sha256:{k:064x}" for k in (0, 2, 3))
    assert shard.facts.skipped == (OUTCOMES[1],)


def test_the_same_photos_give_the_same_bytes() -> None:
    assert packed(OUTCOMES) == packed([cut(0), OUTCOMES[1], cut(2), cut(3)])


def test_a_shard_may_hold_no_chip_at_all(tmp_path: Path) -> None:
    (tmp_path / "shard").write_bytes(packed([OUTCOMES[1]]))
    shard = Shard(tmp_path / "shard")
    shard.check()
    assert (shard.facts.names, shard.facts.measures.shape, len(shard.facts.skipped)) == ((), (0, len(MEASURES)), 1)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 1), st.sampled_from([1_200, None]), st.integers(0, 7))
def test_no_flipped_bit_passes_unseen(path: Path, place: float, before: int | None, bit: int) -> None:
    digest, original = Shard(path).facts.digest, path.read_bytes()
    data = bytearray(original)
    data[int(place * ((before or len(data)) - 1))] ^= 1 << bit
    path.write_bytes(data)
    try:
        shard = Shard(path)
        shard.check()
        is_seen = shard.facts.digest != digest
    except DataError:
        is_seen = True
    assert is_seen or same(Shard(path))
    path.write_bytes(original)


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.9999])
def test_a_file_that_ends_too_early_is_told_by_its_name(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(
        DataError, match=r"shard: is missing or damaged .*; run visavis prepare again with the same options"
    ):
        Shard(path)


def test_a_file_that_is_not_there_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent: is missing or damaged"):
        Shard(tmp_path / "absent")


def test_a_real_chip_takes_far_less_than_its_pixels(prepared: PreparedData) -> None:
    assert np.mean([len(encoded(each)) for each in prepared.chips(range(8))]) < 30_000  # of 67,500
