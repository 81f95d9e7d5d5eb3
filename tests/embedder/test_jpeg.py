"""JPEG files that end early, and those with more pixels than may be decoded."""

import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedder import FaceEmbedder, ImageTooLarge, ImageUnreadable, Limits
from embedder.image import FACTORS, decode_image
from embedder.image_structure import is_decoded_by_rows


def jpeg(picture: Image.Image, **options: object) -> bytes:
    out = BytesIO()
    picture.save(out, "JPEG", **options)
    return out.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(decode_image(data, Limits()).at(1)).astype(int)


WAYS = {
    "plain": {},
    "optimized": {"optimize": True, "quality": 30},
    "fine": {"subsampling": 0, "quality": 100},
    "restarts": {"restart_marker_blocks": 7},
    "restarts of rows": {"restart_marker_rows": 1, "optimize": True},
    "progressive": {"progressive": True},
}


@pytest.fixture(params=WAYS)
def whole(request: pytest.FixtureRequest, examples: Path) -> bytes:
    return on_white(examples, request.param)


def on_white(examples: Path, way: str) -> bytes:
    """A face on a white ground, which is easily taken for one that is missing."""
    picture = Image.new("RGB", (400, 480), "white")
    picture.paste(Image.open(examples / "001-neutral.jpg").resize((240, 300)), (80, 0))
    return jpeg(picture, **WAYS[way])


@pytest.mark.parametrize("filler", [b"", b"\xff", b"\0" * 5000, b"\xff" * 5000])
def test_a_jpeg_without_its_end_marker_is_read_whole(whole: bytes, filler: bytes) -> None:
    assert whole.endswith(b"\xff\xd9")
    assert np.array_equal(pixels(whole[:-2] + filler), pixels(whole))


def test_a_plain_ground_whose_code_is_zeros_is_not_taken_for_filler(examples: Path) -> None:
    picture = Image.new("RGB", (400, 500), "white")
    picture.paste(Image.open(examples / "001-neutral.jpg").resize((200, 250)), (100, 0))
    whole = jpeg(picture, optimize=True)
    assert whole[-20:-2] == bytes(18)
    assert np.array_equal(pixels(whole[:-2]), pixels(whole))


@pytest.mark.parametrize("filler", [b"", b"\0" * 50_000, b"\xff" * 50_000])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_a_jpeg_that_is_cut_in_the_middle_is_refused_whatever_follows(
    whole: bytes, share: float, filler: bytes
) -> None:
    head = whole.rindex(b"\xff\xda")
    cut = whole[: head + int(share * (len(whole) - head))]
    with pytest.raises(ImageUnreadable, match="ends before its last pixels"):
        decode_image(cut + filler, Limits())


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("turned", [1, 3, 6])
@pytest.mark.parametrize("way", [way for way in WAYS if way != "progressive"])  # of which a part is a coarse picture
def test_a_jpeg_whose_end_marker_comes_too_early_is_refused(
    examples: Path, way: str, share: float, turned: int
) -> None:
    whole = on_white(examples, way)
    cut = whole[: int(share * len(whole))].rstrip(b"\xff") + b"\xff\xd9"
    exif = Image.Exif()
    exif[0x0112] = turned
    block = exif.tobytes()
    cut = cut[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2) + block + cut[2:]
    with pytest.raises(ImageUnreadable):
        decode_image(cut, Limits())


def test_a_grey_picture_is_read() -> None:
    assert (pixels(jpeg(Image.new("RGB", (90, 70), (128, 128, 128)))) == 128).all()


def test_of_a_jpeg_no_more_than_a_part_of_the_last_block_may_be_missing(whole: bytes) -> None:
    wanted, n_read = pixels(whole), 0
    for missing in range(3, 60):
        try:
            wrong = np.abs(pixels(whole[:-missing]) - wanted).max(axis=2) > 8
        except ImageUnreadable:
            continue
        n_read += 1
        assert wrong.sum() <= 64
    assert n_read < 50


def test_a_jpeg_that_ends_where_the_next_part_would_restart_is_refused(examples: Path) -> None:
    whole = jpeg(Image.open(examples / "001-neutral.jpg"), restart_marker_blocks=3)
    for number in range(8):
        place = whole.rindex(bytes((0xFF, 0xD0 + number)))
        for end in (place, place + 1, place + 2):
            with pytest.raises(ImageUnreadable):
                decode_image(whole[:end], Limits())


def test_what_is_broken_besides_the_end_stays_broken(examples: Path) -> None:
    whole = (examples / "001-neutral.jpg").read_bytes()
    with pytest.raises(ImageUnreadable):
        decode_image(whole[: whole.index(b"\xff\xda") + 4], Limits())


FEW = Limits(max_pixels=400_000)


@pytest.mark.parametrize(("size", "least"), [((800, 500), 1), ((800, 501), 2), ((1600, 1000), 2)])
def test_a_large_jpeg_is_decoded_as_large_as_the_limit_allows(size: tuple[int, int], least: int) -> None:
    photo = decode_image(jpeg(Image.new("RGB", size, "grey")), FEW)
    assert photo.size == size
    assert [photo.factor_for(shrinking) for shrinking in (0.5, 1, 2, 4, 9)] == [least, least, 2, 4, 8]
    assert photo.at(least).size == tuple(-(-side // least) for side in size)
    assert photo.at(least).width * photo.at(least).height <= FEW.max_pixels


def test_a_jpeg_of_more_than_four_times_the_limit_is_refused() -> None:
    with pytest.raises(ImageTooLarge, match="1,601,600 pixels, the limit is 1,600,000"):
        decode_image(jpeg(Image.new("RGB", (1600, 1001), "grey")), FEW)


def test_a_progressive_jpeg_counts_in_full() -> None:
    picture = Image.new("RGB", (800, 501), "grey")
    with pytest.raises(ImageTooLarge, match="400,800 pixels, the limit is 400,000"):
        decode_image(jpeg(picture, progressive=True), FEW)


def test_a_jpeg_of_several_scans_is_not_decoded_by_rows() -> None:
    data = jpeg(Image.new("RGB", (64, 64), "grey"))
    assert is_decoded_by_rows(data)
    scan = data.index(b"\xff\xda") + 4
    assert data[scan] == 3
    assert not is_decoded_by_rows(data[:scan] + b"\1" + data[scan + 1 :])
    assert not is_decoded_by_rows(jpeg(Image.new("RGB", (64, 64), "grey"), progressive=True))


@pytest.mark.parametrize(
    "damage", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\0\0" * 3, b"\xff\xd8" + b"\xff\xe0\0\2" * 5000]
)
def test_an_unusual_structure_is_not_taken_for_rows(damage: bytes) -> None:
    assert not is_decoded_by_rows(damage)


@pytest.mark.parametrize("times", [4, 7])
def test_a_face_in_a_jpeg_above_the_limit_is_the_same_face(embedder: FaceEmbedder, examples: Path, times: int) -> None:
    small = Image.open(examples / "001-neutral.jpg")
    large = jpeg(small.resize((small.width * times, small.height * times), Image.Resampling.BICUBIC), quality=92)
    photo = decode_image(large, Limits(max_pixels=small.width * small.height * times**2 // 4))
    assert photo.factor_for(1) == 2
    (face, *_) = embedder._preprocessor.detector(photo).faces
    known = embedder.embed((examples / "001-neutral.jpg").read_bytes()).sample.face
    assert np.allclose(np.array(face.landmarks) / times, known.landmarks, atol=12)


MEMORY_OF_A_PROCESS = """
import sys
from pathlib import Path
from embedder import Limits
from embedder.image import decode_image
photo = decode_image(Path(sys.argv[1]).read_bytes(), Limits())
print(*photo.at(photo.factor_for(1)).size, Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


def test_a_photo_of_192_megapixels_takes_the_memory_of_one_of_48(tmp_path: Path) -> None:
    (tmp_path / "large.jpg").write_bytes(jpeg(Image.new("L", (16_000, 12_000), "grey"), quality=50))
    done = subprocess.run(
        [sys.executable, "-c", MEMORY_OF_A_PROCESS, str(tmp_path / "large.jpg")],
        capture_output=True,
        text=True,
        check=True,
    )
    width, height, kilobytes = map(int, done.stdout.split())
    assert (width, height) == (8000, 6000)
    assert kilobytes < 450_000  # of which 192,000 for the pixels; with all coefficients, 384,000 more


def test_all_factors_of_a_large_jpeg_are_those_of_any_photo() -> None:
    photo = decode_image(jpeg(Image.new("RGB", (1600, 1000), "grey")), FEW)
    assert {photo.factor_for(factor) for factor in FACTORS} == {8, 4, 2}
