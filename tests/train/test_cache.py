"""The cache of embeddings: what is saved is loaded, damage is told, and all that decides an embedding names a file."""

import shutil
import threading
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from embedder import FaceEmbedder
from train.evaluation import cache as caching
from train.evaluation.cache import (
    N_MEASURES,
    NOT_DECIDING,
    CachedFace,
    CacheError,
    EmbeddingCache,
    Outcome,
    Outcomes,
    code_digest,
    open_cache,
    settings_key,
)

ROOT = Path(__file__).parents[2]
N_CHANNELS = 128


def image(k: int) -> str:
    return f"sha256:{k:064x}"


def face(k: int) -> CachedFace:
    return CachedFace(np.full(N_CHANNELS, k, np.float32), np.full(N_MEASURES, k / 2, np.float32))


SOME: Outcomes = {image(1): face(1), image(2): "no_face", image(3): face(3)}


def equal(found: Outcomes, expected: Outcomes) -> bool:
    return found.keys() == expected.keys() and all(alike(found[key], expected[key]) for key in expected)


def alike(found: Outcome, expected: Outcome) -> bool:
    if isinstance(found, str) or isinstance(expected, str):
        return found == expected
    return np.array_equal(found.vector, expected.vector) and np.array_equal(found.measures, expected.measures)


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path: Path, warnings: list[str]) -> EmbeddingCache:
    return EmbeddingCache(tmp_path / "cache", "key", N_CHANNELS, warnings.append)


def files_of(cache: EmbeddingCache) -> list[Path]:
    return sorted(cache._folder.iterdir())


def file_of(cache: EmbeddingCache) -> Path:
    (file,) = files_of(cache)
    return file


def test_what_is_saved_is_loaded(cache: EmbeddingCache) -> None:
    assert cache.load() == {}
    cache.save(SOME)
    assert equal(cache.load(), SOME)


def test_what_is_saved_later_is_added(cache: EmbeddingCache) -> None:
    cache.save(SOME)
    cache.save({image(4): "several_faces"})
    assert equal(cache.load(), SOME | {image(4): "several_faces"})


def test_what_is_saved_already_is_not_written_again(cache: EmbeddingCache) -> None:
    cache.save({image(k): face(k) for k in range(100)})
    (first,) = files_of(cache)
    before = first.stat()
    cache.save({image(100): face(100)})
    (second,) = set(files_of(cache)) - {first}
    assert (first.stat().st_ino, first.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert second.stat().st_size < before.st_size / 10


def test_the_order_in_which_images_came_changes_no_byte(cache: EmbeddingCache) -> None:
    cache.save(SOME)
    first = file_of(cache).read_bytes()
    file_of(cache).unlink()
    cache.save(dict(reversed(SOME.items())))
    assert file_of(cache).read_bytes() == first


def test_each_key_has_files_of_its_own(cache: EmbeddingCache, warnings: list[str]) -> None:
    cache.save(SOME)
    assert EmbeddingCache(cache._folder, "other", N_CHANNELS, warnings.append).load() == {}


def test_only_the_owner_may_read_the_file(cache: EmbeddingCache) -> None:
    cache.save(SOME)
    assert file_of(cache).stat().st_mode & 0o777 == 0o600


def told_and_removed(cache: EmbeddingCache, warnings: list[str]) -> bool:
    warnings.clear()
    found = cache.load()
    return not found and "is damaged; it is removed" in warnings[0] and not files_of(cache)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000), st.integers(0, 7))
def test_no_flipped_bit_passes_unseen(cache: EmbeddingCache, warnings: list[str], position: int, bit: int) -> None:
    warnings.clear()
    for file in files_of(cache):
        file.unlink()
    cache.save(SOME)
    data = bytearray(file_of(cache).read_bytes())
    data[position % len(data)] ^= 1 << bit
    file_of(cache).write_bytes(data)
    found = cache.load()
    assert equal(found, {} if warnings else SOME)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_file_that_ends_too_early_is_told_and_removed(
    cache: EmbeddingCache, warnings: list[str], share: float
) -> None:
    cache.save(SOME)
    data = file_of(cache).read_bytes()
    file_of(cache).write_bytes(data[: int(share * len(data))])
    assert told_and_removed(cache, warnings)
    cache.save(SOME)
    assert equal(cache.load(), SOME)


def test_a_damaged_file_costs_the_others_nothing(cache: EmbeddingCache, warnings: list[str]) -> None:
    cache.save(SOME)
    (cache._folder / "key-0.npz").write_bytes(b"spoilt")
    assert equal(cache.load(), SOME)
    assert [warning.count("key-0.npz is damaged") for warning in warnings] == [1]


def test_a_file_of_another_kind_is_told_and_removed(cache: EmbeddingCache, warnings: list[str]) -> None:
    with (cache._folder / "key-0.npz").open("wb") as file:
        np.savez(file, records=np.zeros(3))
    assert told_and_removed(cache, warnings)
    with (cache._folder / "key-0.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    assert told_and_removed(cache, warnings)


def test_a_pickle_in_the_file_is_not_read(cache: EmbeddingCache, warnings: list[str]) -> None:
    with (cache._folder / "key-0.npz").open("wb") as file:
        np.savez(file, records=np.array([{"a": 1}], dtype=object))
    assert told_and_removed(cache, warnings)


def test_a_save_that_fails_leaves_the_old_file_and_no_other(
    cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    cache.save(SOME)
    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.save({image(9): "no_face"})
    assert len(files_of(cache)) == 1
    assert equal(cache.load(), SOME)


def test_of_several_that_save_at_once_nothing_is_lost(cache: EmbeddingCache, warnings: list[str]) -> None:
    def save(first: int) -> None:
        for k in range(first, first + 20):
            cache.save({image(k): face(k)})

    threads = [threading.Thread(target=save, args=(1000 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert equal(cache.load(), {image(k): face(k) for n in range(4) for k in range(1000 * n, 1000 * n + 20)})
    assert not warnings


def test_a_folder_that_cannot_be_one_is_told(tmp_path: Path, warnings: list[str]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheError, match=r"file cannot be used: .*; give another folder, or none"):
        EmbeddingCache(tmp_path / "file", "key", N_CHANNELS, warnings.append)
    (tmp_path / "key-0.npz").mkdir()
    with pytest.raises(CacheError, match=r"key-0\.npz cannot be used: not a regular file"):
        EmbeddingCache(tmp_path, "key", N_CHANNELS, warnings.append).load()


def test_model_way_of_running_and_face_choice_name_the_files(tmp_path: Path, embedder: FaceEmbedder) -> None:
    ways = ("openvino f32", "openvino bf16")
    keys = {settings_key(*each) for each in product((image(1), image(2)), ways, ("center", "largest"))}
    assert len(keys) == 8
    cache = open_cache(tmp_path, embedder, "center")
    assert cache._key == settings_key(embedder.card.digest, "openvino f32", "center")


def test_a_damaged_file_is_told_on_stderr(
    tmp_path: Path, embedder: FaceEmbedder, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = open_cache(tmp_path, embedder, "center")
    (tmp_path / f"{cache._key}-0.npz").write_bytes(b"spoilt")
    assert cache.load() == {}
    told = capsys.readouterr()
    assert "is damaged" in told.err
    assert told.out == ""


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(ROOT / "embedder", tmp_path_factory.mktemp("code") / "embedder"))


def test_everything_that_is_passed_over_is_there() -> None:
    assert [name for name in NOT_DECIDING if not (ROOT / "embedder" / name).exists()] == []


@pytest.mark.parametrize(
    "name",
    [
        "alignment.py",
        "image.py",
        "detection/detector.py",
        "detection/onet.onnx",
        "detection/yunet.onnx",
        "decision.py",
        "loading.py",
        "network.py",
        "pipeline.py",
        "quality.py",
        "runtime/openvino.py",
        "runtime/torch.py",
        "types.py",
        "weights/bundle.py",
        "weights/card.py",
    ],
)
def test_changed_code_or_weights_void_the_cache(code: Path, name: str) -> None:
    before, content = code_digest(code), (code / name).read_bytes()
    (code / name).write_bytes(content + b"\n")
    assert code_digest(code) != before
    (code / name).write_bytes(content)
    assert code_digest(code) == before


@pytest.mark.parametrize(
    "name",
    [
        "bulk/run.py",
        "detection/MTCNN-LICENSE.txt",
        "explain/maps.py",
        "progress.py",
        "weights/sface-128/network.onnx",
    ],
)
def test_code_that_makes_no_embedding_does_not(code: Path, name: str) -> None:
    before = code_digest(code)
    (code / name).write_bytes((code / name).read_bytes() + b"\n")
    assert code_digest(code) == before


@pytest.mark.parametrize("name", ["another.py", "detection/another.onnx", "another/deciding.py"])
def test_a_new_file_of_such_code_voids_it(code: Path, name: str) -> None:
    before = code_digest(code)
    (code / name).parent.mkdir(exist_ok=True)
    (code / name).touch()
    assert code_digest(code) != before
    (code / name).unlink()
    assert code_digest(code) == before


def test_the_key_changes_with_the_code(monkeypatch: pytest.MonkeyPatch, code: Path) -> None:
    monkeypatch.setattr(caching, "files", lambda _: code)
    before = settings_key(image(1), "openvino f32", "center")
    (code / "another.py").touch()
    assert settings_key(image(1), "openvino f32", "center") != before
    (code / "another.py").unlink()
