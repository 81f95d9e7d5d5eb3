"""Several images, one answer each: printed as it comes, and of files of bearable size alone."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from visavis.cli.output import OutputFormat, answer_each

VIEW: OutputFormat[bytes] = OutputFormat(
    lambda path, content: f"{Path(path).name}: {content!r}", lambda content: {"content": content.decode()}
)


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    paths = [tmp_path / f"{name}.jpg" for name in "abc"]
    for path in paths:
        path.write_bytes(path.stem.encode())
    return [str(path) for path in paths]


def told(paths: list[str], capsys: pytest.CaptureFixture[str], *, as_json: bool) -> tuple[str, list[str]]:
    """Return all that was printed, and how much of it was there at each image."""
    before, so_far = "", []

    def work(image: bytes) -> bytes:
        nonlocal before
        before += capsys.readouterr().out
        so_far.append(before)
        return image

    with pytest.raises(SystemExit) as ended:
        answer_each(paths, work, VIEW, as_json=as_json)
    assert ended.value.code == 0
    return before + capsys.readouterr().out, so_far


def test_each_answer_is_printed_before_the_next_image(images: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    printed, so_far = told(images, capsys, as_json=False)
    assert printed == "a.jpg: b'a'\nb.jpg: b'b'\nc.jpg: b'c'\n"
    assert [len(each.splitlines()) for each in so_far] == [0, 1, 2]


@pytest.mark.parametrize("n", [1, 3])
def test_json_is_one_list_that_grows(images: list[str], capsys: pytest.CaptureFixture[str], n: int) -> None:
    printed, so_far = told(images[:n], capsys, as_json=True)
    records = [{"image": path, "content": Path(path).stem} for path in images[:n]]
    assert printed == json.dumps(records, indent=2) + "\n"
    assert [each.count("content") for each in so_far] == list(range(n))


def test_what_is_too_large_or_no_file_is_told_and_not_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(2**40)
    paths = [str(tmp_path), str(tmp_path / "huge.jpg"), "/dev/zero", str(tmp_path / "none.jpg")]
    with pytest.raises(SystemExit) as ended:
        answer_each(paths, pytest.fail, VIEW, as_json=True)
    assert ended.value.code == 2
    faults = [each["error"] for each in json.loads(capsys.readouterr().out)]
    codes = ["not_readable", "image_too_large", "image_too_large", "not_readable"]
    assert [each["code"] for each in faults] == codes
    assert faults[0]["detail"] == "Is a directory; give the path of an image file"
    assert faults[3]["detail"] == "No such file or directory; give the path of an image file"


def test_a_pipe_is_read_to_its_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = b"a" * 200_000  # more than a pipe holds at a time
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as writer:
        written = writer.submit((tmp_path / "pipe").write_bytes, content)
        with pytest.raises(SystemExit) as ended:
            answer_each([str(tmp_path / "pipe")], lambda image: image, VIEW, as_json=True)
        assert (ended.value.code, written.result()) == (0, len(content))
    assert json.loads(capsys.readouterr().out)[0]["content"] == content.decode()
