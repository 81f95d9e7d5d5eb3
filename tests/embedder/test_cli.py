"""The `visavis` command as a process: verdicts, exit statuses, JSON."""

import json
import subprocess
import sys
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

VISAVIS = Path(sys.executable).parent / "visavis"


def visavis(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([VISAVIS, *words], capture_output=True, text=True, check=False)


def test_the_same_person_is_exit_status_0(examples: Path) -> None:
    done = visavis("verify", examples / "001-neutral.jpg", examples / "001-smiling.jpg")
    assert (done.returncode, done.stderr) == (0, "")
    assert "The same person." in done.stdout
    assert "below the threshold 0.6" in done.stdout


def test_different_persons_are_exit_status_1(examples: Path) -> None:
    done = visavis("verify", examples / "001-neutral.jpg", examples / "005-neutral.jpg")
    assert (done.returncode, done.stderr) == (1, "")
    assert "Different persons." in done.stdout


def test_trouble_is_exit_status_2_and_one_line_that_names_the_image(examples: Path, tmp_path: Path) -> None:
    good, text = examples / "001-neutral.jpg", tmp_path / "text.jpg"
    text.write_text("hello")
    for words in ((good, tmp_path / "none.jpg"), (good, text), (tmp_path, good)):
        done = visavis("verify", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("visavis: ")
        assert "Traceback" not in done.stderr
    assert "reference" in visavis("verify", good, text).stderr


@pytest.mark.parametrize("words", [["verify"], ["verify", "a"], ["nonsense"], ["verify", "--face", "best", "a", "b"]])
def test_wrong_words_are_exit_status_2(words: list[str]) -> None:
    assert visavis(*words).returncode == 2


def test_verify_json_has_the_keys_that_programs_rely_on(examples: Path) -> None:
    done = visavis("verify", examples / "001-neutral.jpg", examples / "001-smiling.jpg", "--json", "--face", "only")
    answer = json.loads(done.stdout)
    assert list(answer) == ["same", "distance", "threshold", "operating_point", "probe", "reference", "model"]
    assert answer["same"] is (answer["distance"] < answer["threshold"]) is True
    assert (answer["probe"]["choice"], answer["probe"]["n_faces"]) == ("only", 1)
    assert len(answer["reference"]["landmarks"]) == 5


def test_a_bad_model_is_trouble(examples: Path, tmp_path: Path) -> None:
    done = visavis("verify", examples / "001-neutral.jpg", examples / "001-smiling.jpg", "--model", tmp_path / "none")
    assert done.returncode == 2
    assert "no model bundle" in done.stderr


@pytest.mark.parametrize(("command", "key"), [("detect", "faces"), ("embed", "embedding")])
def test_a_bad_image_among_good_ones_costs_the_others_nothing(
    examples: Path, tmp_path: Path, command: str, key: str
) -> None:
    (tmp_path / "text.jpg").write_text("hello")
    images = (examples / "001-neutral.jpg", tmp_path / "text.jpg", tmp_path / "none.jpg", examples / "005-neutral.jpg")
    done = visavis(command, *images, "--json")
    first, text, missing, last = json.loads(done.stdout)
    assert done.returncode == 2
    assert (text["error"]["code"], missing["error"]["code"]) == ("not_an_image", "not_readable")
    assert key in first
    assert key in last
    assert "JPEG, PNG" in visavis(command, *images).stdout


def test_a_picture_far_too_large_is_told_in_one_line(tmp_path: Path) -> None:
    header = BytesIO()
    Image.new("1", (12000, 10000)).save(header, "PNG")
    (tmp_path / "huge.png").write_bytes(header.getvalue())
    done = visavis("detect", tmp_path / "huge.png")
    assert (done.returncode, done.stderr) == (2, "")
    assert "120,000,000 pixels" in done.stdout


def test_an_embedding_for_a_program_has_all_its_channels(examples: Path) -> None:
    (answer,) = json.loads(visavis("embed", examples / "001-neutral.jpg", "--json").stdout)
    assert len(answer["embedding"]) == 128
    assert answer["model"]["name"] == "dlib-resnet29-128"


def test_faces_are_counted_in_words(tmp_path: Path, examples: Path) -> None:
    wall = BytesIO()
    Image.new("RGB", (100, 100), "grey").save(wall, "PNG")
    (tmp_path / "wall.png").write_bytes(wall.getvalue())
    done = visavis("detect", examples / "001-neutral.jpg", tmp_path / "wall.png")
    assert done.returncode == 0
    assert "1 face" in done.stdout
    assert "no face" in done.stdout


def test_the_card_is_shown_with_its_warning() -> None:
    assert "does not tell a live face" in visavis("model").stdout.lower()
    assert json.loads(visavis("model", "--json").stdout)["default_point"] == "dlib-0.6"


def test_import_dlib_makes_a_bundle_that_verify_takes(examples: Path, tmp_path: Path) -> None:
    spec = find_spec("face_recognition_models")
    assert spec is not None
    (folder,) = spec.submodule_search_locations or []
    dat = Path(folder) / "models" / "dlib_face_recognition_resnet_model_v1.dat"
    bundle = tmp_path / "bundle"
    assert visavis("import-dlib", dat, "--out", bundle).returncode == 0
    words = ("verify", examples / "001-neutral.jpg", examples / "001-smiling.jpg", "--model", bundle)
    assert visavis(*words).returncode == 0
    again = visavis("import-dlib", dat, "--out", bundle)
    assert again.returncode == 2
    assert "choose a new folder" in again.stderr
