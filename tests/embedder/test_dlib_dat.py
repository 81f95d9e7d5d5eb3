"""The reader of dlib's file on the real file, whole, cut short and altered."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from embedder import BundleError, DlibFileError
from embedder.weights.bundle import CARD_FILE, WEIGHTS_FILE, read_bundle
from embedder.weights.dlib import (
    DLIB,
    DLIB_FILE_BYTES,
    DLIB_FILE_SHA256,
    MEAN,
    DlibStream,
    import_dlib,
    parse_dlib,
    read_dlib_file,
)

STRUCTURE_END = 400  # bytes: the loss header, the versions and the input layer lie before this
N_PARAMETERS = 5_614_592
PAYLOAD_SHA256 = "da8c7bffdc82bca7f8ab70340724a5f3182ee3e2ca3183f9d08266fa6ab7794f"


@pytest.fixture(scope="module")
def dat_file() -> Path:
    # The package is found, never imported: importing it needs a setuptools that still has pkg_resources.
    spec = find_spec("face_recognition_models")
    assert spec is not None
    (folder,) = spec.submodule_search_locations or []
    return Path(folder) / "models" / "dlib_face_recognition_resnet_model_v1.dat"


@pytest.fixture(scope="module")
def dat(dat_file: Path) -> bytes:
    return dat_file.read_bytes()


def test_the_real_file_is_the_one_the_reader_knows(dat: bytes) -> None:
    assert (len(dat), hashlib.sha256(dat).hexdigest()) == (DLIB_FILE_BYTES, DLIB_FILE_SHA256)


def test_the_tensors_are_those_of_the_file_in_its_order(dat_file: Path) -> None:
    tensors = read_dlib_file(dat_file)
    payload = hashlib.sha256()
    for name, tensor in tensors.items():
        # the last layer lies in the file as (inputs, outputs)
        payload.update((tensor[:, :, 0, 0].T if name.startswith("head") else tensor).tobytes())
    assert payload.hexdigest() == PAYLOAD_SHA256
    assert sum(tensor.size for tensor in tensors.values()) == N_PARAMETERS
    assert np.allclose(tensors["backbone.stem.affine.scale"][:2], [12.166323, 10.559221])
    assert np.allclose(
        tensors["head.projection.weight"][:4, 0, 0, 0], [-0.00674625, -0.01018923, 0.00524825, -0.00022101]
    )


def test_made_again_the_bundle_is_byte_for_byte_the_one_that_travels(dat_file: Path, tmp_path: Path) -> None:
    import_dlib(dat_file, tmp_path / "bundle")
    for name in (WEIGHTS_FILE, CARD_FILE):
        assert (tmp_path / "bundle" / name).read_bytes() == (DLIB / name).read_bytes()


def test_what_the_reader_knows_of_the_file_is_what_the_built_in_card_says() -> None:
    card = read_bundle(DLIB).card
    assert card.preprocessing.mean == MEAN
    assert card.provenance.source_sha256 == DLIB_FILE_SHA256
    assert card.provenance.stored_parameters == N_PARAMETERS


def test_a_bundle_is_never_written_over_another(dat_file: Path, tmp_path: Path) -> None:
    import_dlib(dat_file, tmp_path)
    with pytest.raises(BundleError, match="choose a new folder"):
        import_dlib(dat_file, tmp_path)


def test_every_truncation_is_refused(dat: bytes) -> None:
    random = np.random.default_rng(3).integers(0, len(dat), 60)
    for length in (*range(STRUCTURE_END), *random.tolist(), len(dat) - 1):
        with pytest.raises(DlibFileError, match=r"truncated|does not start an integer"):
            parse_dlib(dat[:length])


def test_a_changed_byte_in_the_structure_is_refused(dat: bytes, tmp_path: Path) -> None:
    altered_file = tmp_path / "altered.dat"
    for offset in np.random.default_rng(4).choice(STRUCTURE_END, 60, replace=False).tolist():
        altered = bytearray(dat)
        altered[offset] ^= 0x10
        altered_file.write_bytes(altered)
        with pytest.raises(DlibFileError):
            read_dlib_file(altered_file)


def test_a_changed_weight_is_refused_by_the_digest(dat: bytes, tmp_path: Path) -> None:
    altered = bytearray(dat)
    altered[len(dat) // 2] ^= 0x01
    (tmp_path / "altered.dat").write_bytes(altered)
    with pytest.raises(DlibFileError, match="sha256 differs"):
        read_dlib_file(tmp_path / "altered.dat")


def test_bytes_after_the_end_are_refused(dat: bytes) -> None:
    with pytest.raises(DlibFileError, match="3 bytes follow"):
        parse_dlib(dat + b"abc")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00" * 1000, b"\xff" * 1000, b"\x01\x01" * 1000])
def test_files_of_another_kind_are_refused(content: bytes) -> None:
    with pytest.raises(DlibFileError, match="not the known dlib file"):
        parse_dlib(content)


def test_a_missing_file_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(DlibFileError, match="No such file"):
        read_dlib_file(tmp_path / "none.dat")


def test_a_file_far_too_large_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "large.dat").open("wb") as file:
        file.truncate(3 * DLIB_FILE_BYTES)
    with pytest.raises(DlibFileError, match=r"more than 44,932,132 bytes"):
        read_dlib_file(tmp_path / "large.dat")


@pytest.mark.parametrize(
    ("data", "value"),
    [(b"\x01\x00", 0), (b"\x01\x96", 150), (b"\x81\x04", -4), (b"\x02\x00\x01", 256)],
)
def test_an_integer_is_a_control_byte_and_its_magnitude(data: bytes, value: int) -> None:
    assert DlibStream(data).integer() == value


def test_a_number_is_mantissa_times_two_to_the_exponent() -> None:
    assert DlibStream(b"\x01\x10\x81\x04").number() == 1.0


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (DlibStream.integer, b"\x00"),
        (DlibStream.integer, b"\x71\x00"),
        (DlibStream.boolean, b"2"),
        (DlibStream.text, b"\x01\x41" + b"a" * 0x41),
        (DlibStream.text, b"\x01\x01\xff"),
        (DlibStream.number, b"\x01\x01\x02\x00\x7d"),
        (DlibStream.number, b"\x08" + b"\xff" * 8 + b"\x01\x00"),
        (DlibStream.tensor, b"\x01\x03"),
        (DlibStream.tensor, b"\x01\x02" + b"\x02\x00\x10" * 4),
        (DlibStream.tensor, b"\x01\x02" + b"\x01\x01" * 4 + b"\x00\x00\xc0\x7f"),
        (DlibStream.shape, b"\x81\x01" * 4),
    ],
)
def test_each_malformed_primitive_is_refused(read: object, data: bytes) -> None:
    with pytest.raises(DlibFileError):
        read(DlibStream(data))  # type: ignore[operator]
