"""The `visavis` command as a process: verdicts, exit statuses, JSON."""

import json
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import pytest
from odd_images import plain, two_faces
from PIL import Image, ImageFilter

from embedder import BUILT_IN_MODELS, FaceEmbedder, load
from embedder.weights.bundle import BUILT_IN, CARD_FILE
from embedder.weights.card_parts import percent, rate_in_words

VISAVIS = Path(sys.executable).parent / "visavis"


def visavis(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([VISAVIS, *words], capture_output=True, text=True, check=False)


def test_the_same_person_is_exit_status_0(examples: Path) -> None:
    done = visavis("verify", examples / "001-neutral.jpg", examples / "001-smiling.jpg")
    assert (done.returncode, done.stderr) == (0, "")
    assert "The same person." in done.stdout
    assert "below the threshold" in done.stdout
    assert re.search(r"why +fmr-1e-3: 1\.\d+ for all pairs with at least one good photo\.\n", done.stdout)


def test_what_two_blurred_photos_cost_is_told(examples: Path, tmp_path: Path) -> None:
    pair = [blurred(examples, tmp_path, f"001-{mood}", 8) for mood in ("neutral", "smiling")]
    told = visavis("verify", *pair).stdout
    assert re.search(r"why +fmr-1e-3: 1\.\d+, less 0\.\d+ because both photos are blurred \(sharpness 0\.\d+ and", told)


@pytest.mark.parametrize("name", BUILT_IN_MODELS)
def test_a_built_in_model_is_chosen_by_its_name(name: str, examples: Path) -> None:
    pair = [(examples / f"001-{mood}.jpg") for mood in ("neutral", "smiling")]
    answer = json.loads(visavis("verify", *pair, "--json", "--model", name).stdout)
    model = load(name)
    assert answer["model"]["digest"] == model.card.digest
    assert answer["distance"] == pytest.approx(model.verify(*(file.read_bytes() for file in pair)).distance, abs=1e-4)
    assert json.loads(visavis("model", "--json", "--model", name).stdout)["name"] == name


def test_an_unknown_model_is_told_with_the_names_of_the_built_in_ones() -> None:
    done = visavis("model", "--model", "vgg")
    assert (done.returncode, done.stdout) == (2, "")
    assert "the built-in ones are sface-128 and dlib-resnet29-128" in done.stderr


def test_a_verdict_is_told_with_its_point_its_rates_and_its_probability(examples: Path, embedder: FaceEmbedder) -> None:
    point = embedder.card.operating_points[2]
    words = ("--operating-point", "fmr=1e-4", "--prior", "0.25")
    told = visavis("verify", examples / "001-neutral.jpg", examples / "001-smiling.jpg", *words).stdout
    assert re.search(rf"point +{point.name}\n", told)
    assert f"FMR          {rate_in_words(point.fmr, point.fmr_interval)}: two people taken for one" in told
    assert re.search(r"FNMR +[\d.]+% \(95% interval [\d.]+% to [\d.]+%\): one person taken for two", told)
    assert re.search(r"probability +[\d.]+% that it is one person \(prior 0.25, log-likelihood ratio \+[\d.]+\)", told)


def test_a_point_that_is_not_there_is_trouble_told_in_one_line(examples: Path) -> None:
    pair = (examples / "001-neutral.jpg", examples / "001-smiling.jpg")
    done = visavis("verify", *pair, "--operating-point", "fmr=1e-9")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "it has fmr-1e-2" in done.stderr


@pytest.mark.parametrize("prior", ["0", "1", "nan", "half"])
def test_a_prior_that_is_no_probability_is_wrong_words(examples: Path, prior: str) -> None:
    done = visavis("verify", examples / "001-neutral.jpg", examples / "001-smiling.jpg", "--prior", prior)
    assert done.returncode == 2
    assert "Invalid value for '--prior'" in done.stderr


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
    assert set(answer) == {"same", "distance", "threshold", "operating_point", "probe", "reference", "model"} | {
        "threshold_reason",
        "normalized_distance",
        "probability",
        "log_likelihood_ratio",
        "prior",
        "notes",
    }
    assert answer["normalized_distance"] == answer["distance"]
    assert len(answer["operating_point"]["fmr_interval"]) == 2
    assert 0.5 == answer["prior"] < answer["probability"]
    assert answer["same"] is (answer["distance"] < answer["threshold"]) is True
    assert (answer["probe"]["choice"], answer["probe"]["n_faces"]) == ("only", 1)
    assert len(answer["reference"]["landmarks"]) == 5
    assert answer["probe"]["quality"]["sharpness"] > 0.5
    assert answer["probe"]["quality"]["is_too_poor"] is False
    assert answer["probe"]["quality"]["embedding_length"] is None


def test_a_bad_model_is_trouble(examples: Path, tmp_path: Path) -> None:
    done = visavis("verify", examples / "001-neutral.jpg", examples / "001-smiling.jpg", "--model", tmp_path / "none")
    assert done.returncode == 2
    assert "no model bundle" in done.stderr


def test_what_runs_the_networks_may_be_chosen(examples: Path) -> None:
    photos = (examples / "001-neutral.jpg", examples / "001-smiling.jpg")
    told = [visavis("verify", *photos, "--json", "--runtime", name).stdout for name in ("openvino", "torch")]
    one, other = (json.loads(each)["distance"] for each in told)
    assert one == pytest.approx(other, abs=1e-4)
    refused = visavis("detect", photos[0], "--device", "cuda", "--runtime", "openvino")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "visavis: the runtime openvino runs on the CPU only, not on cuda; use torch\n"


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


def test_every_face_is_embedded_with_its_index_and_place(tmp_path: Path, embedder: FaceEmbedder) -> None:
    (tmp_path / "both.png").write_bytes(two_faces())
    (tmp_path / "nobody.png").write_bytes(plain())
    told = visavis("embed", tmp_path / "both.png", tmp_path / "nobody.png", "--face", "all")
    first, *faces, last = told.stdout.splitlines()
    assert (told.returncode, first) == (0, f"{tmp_path / 'both.png'}: 2 faces")
    assert last == f"{tmp_path / 'nobody.png'}: no face"
    found = visavis("detect", tmp_path / "both.png").stdout.splitlines()[1:]
    assert [line.partition("  [")[0] for line in faces] == [line.partition("  score")[0] for line in found]
    both, nobody = json.loads(
        visavis("embed", tmp_path / "both.png", tmp_path / "nobody.png", "--face", "all", "--json").stdout
    )
    assert nobody["faces"] == []
    for record, direct in zip(both["faces"], embedder.embed_all(two_faces()), strict=True):
        assert record.keys() == {"embedding", "sample", "model"}
        assert record["embedding"] == pytest.approx(direct.vector.tolist(), abs=1e-5)
        assert (record["sample"]["choice"], record["sample"]["n_faces"]) == ("all", 2)


def test_all_is_refused_where_one_face_is_needed(examples: Path) -> None:
    photo = examples / "001-neutral.jpg"
    for words in (("verify", photo, photo), ("maps", photo)):
        told = visavis(*words, "--face", "all")
        assert told.returncode == 2
        assert "a face is selected by" in told.stderr


def test_an_embedding_for_a_program_has_all_its_channels(examples: Path) -> None:
    (answer,) = json.loads(visavis("embed", examples / "001-neutral.jpg", "--json").stdout)
    assert len(answer["embedding"]) == 128
    assert answer["model"]["name"] == "sface-128"


def test_faces_are_counted_in_words(tmp_path: Path, examples: Path) -> None:
    wall = BytesIO()
    Image.new("RGB", (100, 100), "grey").save(wall, "PNG")
    (tmp_path / "wall.png").write_bytes(wall.getvalue())
    done = visavis("detect", examples / "001-neutral.jpg", tmp_path / "wall.png")
    assert done.returncode == 0
    assert "1 face" in done.stdout
    assert "no face" in done.stdout


def test_faces_are_listed_with_the_index_that_selects_them_and_how_they_lie(tmp_path: Path, examples: Path) -> None:
    both = Image.new("RGB", (1200, 600), "grey")
    both.paste(Image.open(examples / "001-neutral.jpg"), (0, 0))
    both.paste(Image.open(examples / "005-neutral.jpg").rotate(-90).resize((400, 400)), (700, 100))
    both.save(tmp_path / "both.png")
    _, first, second = visavis("detect", tmp_path / "both.png").stdout.splitlines()
    assert re.fullmatch(r"  0 .* at \d+, \d+  score 0\.\d+", first)
    assert re.fullmatch(r"  1 .* at \d+, \d+  score 0\.\d+, rotated by 90 degrees", second)
    words = (tmp_path / "both.png", examples / "001-smiling.jpg", "--probe-face", "0", "--reference-face", "at:300,300")
    done = visavis("verify", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"probe +2 faces, index 0 used, \d+x\d+ px", done.stdout)
    (answer,) = json.loads(visavis("embed", tmp_path / "both.png", "--face", "1", "--json").stdout)
    assert (answer["sample"]["choice"], answer["sample"]["rotation"]) == ("1", 90)


def test_a_place_without_a_face_is_told_with_the_image_and_a_malformed_one_with_the_forms(examples: Path) -> None:
    pair = examples / "001-neutral.jpg", examples / "001-smiling.jpg"
    done = visavis("verify", *pair, "--reference-face", "1")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.match(r"visavis: reference .*001-smiling.jpg: there is no face with index 1; found 1 face", done.stderr)
    malformed = visavis("verify", *pair, "--probe-face", "at:left")
    assert (malformed.returncode, "at:x,y" in malformed.stderr) == (2, True)


@pytest.mark.parametrize(("threshold", "status"), [("0.01", 1), ("10", 0)])
def test_a_threshold_of_the_callers_own_decides(examples: Path, threshold: str, status: int) -> None:
    done = visavis("verify", examples / "001-neutral.jpg", examples / "001-smiling.jpg", "--threshold", threshold)
    assert (done.returncode, done.stderr) == (status, "")
    assert "why          The threshold was given by the caller." in done.stdout
    assert not re.search(r"^  (point|FMR) ", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("threshold", ["0", "-1", "nan", "inf", "10.5", "much"])
def test_a_threshold_that_is_no_distance_is_a_usage_error(threshold: str) -> None:
    done = visavis("verify", "a", "b", f"--threshold={threshold}")
    assert (done.returncode, "--threshold" in done.stderr) == (2, True)


def test_a_threshold_and_a_point_at_once_are_a_usage_error() -> None:
    done = visavis("explain", "a", "b", "--threshold", "1", "--operating-point", "fmr-1e-3")
    assert (done.returncode, done.stdout) == (2, "")
    assert "give --threshold or --operating-point, not both" in done.stderr


def test_a_model_without_points_decides_by_a_threshold_as_its_message_asks(examples: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(BUILT_IN, bare)
    card = json.loads((bare / CARD_FILE).read_text()) | {"operating_points": [], "default_point": None}
    card |= {"calibration": None, "quality_penalties": []}
    (bare / CARD_FILE).write_text(json.dumps(card))
    pair = examples / "001-neutral.jpg", examples / "001-smiling.jpg"
    refused = visavis("verify", *pair, "--model", bare)
    assert (refused.returncode, "or set a threshold" in refused.stderr) == (2, True)
    assert visavis("verify", *pair, "--model", bare, "--threshold", "1").returncode == 0


WORDS_OF_ONE_IMAGE = {
    "verify": ("verify", "{image}", "{other}"),
    "verify the reference": ("verify", "{other}", "{image}"),
    "explain": ("explain", "{image}", "{other}"),
    "detect": ("detect", "{image}"),
    "embed": ("embed", "{image}"),
    "maps": ("maps", "{image}", "--layer", "conv1", "--out", "{out}"),
}


@pytest.mark.parametrize("words", WORDS_OF_ONE_IMAGE.values(), ids=WORDS_OF_ONE_IMAGE)
def test_every_command_of_an_image_reads_it_from_standard_input(
    examples: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    photo = examples / "001-neutral.jpg"

    def told(image: str | Path) -> str:
        facts = {"image": image, "other": examples / "001-smiling.jpg", "out": tmp_path / "maps.png"}
        command = [VISAVIS, *(word.format_map(facts) for word in words)]
        done = subprocess.run(command, input=photo.read_bytes(), capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout.decode().removeprefix(f"{image}: ")

    assert told("-") == told(photo)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("verify <(cat 001-neutral.jpg) <(cat 001-smiling.jpg)", "The same person."),
        ("detect <(cat 001-neutral.jpg) /dev/stdin < 001-smiling.jpg", "/dev/stdin: 1 face"),
        ("embed /dev/stdin < 001-neutral.jpg", "/dev/stdin: ["),
    ],
)
def test_pipes_are_read_like_files(examples: Path, words: str, told: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{VISAVIS} {words}"], cwd=examples, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert told in done.stdout


@pytest.mark.parametrize("words", [("verify", "-", "-"), ("explain", "-", "-"), ("detect", "-", "-")])
def test_standard_input_is_one_image_at_most(words: tuple[str, ...]) -> None:
    done = visavis(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "only one image can come from standard input (-)" in done.stderr


def test_standard_input_is_read_no_further_than_the_limit(examples: Path) -> None:
    command = f"cat /dev/zero | {VISAVIS} verify - {examples}/001-neutral.jpg"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("visavis: -: the image has more than 20,971,520 bytes")
    closed = subprocess.run(
        ["bash", "-c", f"{VISAVIS} verify - {examples}/001-neutral.jpg <&-"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (closed.returncode, closed.stderr) == (2, "visavis: -: standard input is closed\n")


def test_two_faces_of_one_photo_are_told_in_a_note(tmp_path: Path, examples: Path) -> None:
    both = Image.new("RGB", (1200, 600), "grey")
    for place, who in enumerate(("001", "005")):
        both.paste(Image.open(examples / f"{who}-neutral.jpg"), (600 * place, 0))
    both.save(tmp_path / "both.png")
    words = ("verify", tmp_path / "both.png", tmp_path / "both.png", "--probe-face", "0", "--reference-face", "1")
    done = visavis(*words)
    assert (done.returncode, done.stderr) == (1, "")
    assert re.search(r"\n  note +Both images are the same file, and the faces are two faces in it", done.stdout)
    assert len(json.loads(visavis(*words, "--json").stdout)["notes"]) == 1


def test_the_card_is_shown_with_its_warning() -> None:
    assert "does not tell a live face" in visavis("model").stdout.lower()
    assert json.loads(visavis("model", "--json").stdout)["default_point"] == "fmr-1e-3"


def test_the_card_is_shown_with_its_points_and_the_photos_behind_them(embedder: FaceEmbedder) -> None:
    told, data = visavis("model").stdout, embedder.card.calibration.data
    line = r"point +fmr-1e-3: same person below normalised distance [\d.]+ \(default\)\n +FMR +[\d.]+% \(95% interval"
    assert re.search(line, told)
    assert f"{data.name}: {data.n_identities:,} people, {data.n_images:,} images" in told
    assert data.population in told
    for point in embedder.card.operating_points:
        assert f"{point.name}: same person below normalised distance {point.threshold:g}" in told
        assert f"{point.n_impostor:,} comparisons; set by {point.population}" in told
    for further in embedder.card.calibration.populations:
        assert f"FMR also on  {further.name}: {further.n_identities:,} people" in told
    assert "poor photos  penalty by sharpness of the better photo" in told


def test_the_card_is_shown_without_loading_a_runtime() -> None:
    program = (
        "import sys\nfrom visavis.cli.main import main\nmain(['model'], standalone_mode=False)\n"
        "print(sorted({'openvino', 'torch'} & set(sys.modules)), file=sys.stderr)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.startswith("sface-128: ")
    assert told.stderr == "[]\n"


@pytest.mark.parametrize("command", ["verify", "explain"])
def test_of_a_huge_file_no_more_is_read_than_an_image_may_have(tmp_path: Path, command: str) -> None:
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(2**40)
    ended = visavis(command, tmp_path / "huge.jpg", tmp_path / "huge.jpg")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "huge.jpg: the image has more than 20,971,520 bytes" in ended.stderr


def test_the_card_is_the_same_whatever_would_run_the_network() -> None:
    assert visavis("model", "--runtime", "torch", "--device", "cpu").stdout == visavis("model").stdout


def test_what_poor_photos_cost_is_shown_with_the_card(penalty_bundle: Path, bare_bundle: Path) -> None:
    told = visavis("model", "--model", penalty_bundle).stdout
    assert "penalty by sharpness of the better photo: 0.120 at 0.2, 0.080 at 0.3, 0.000 at 0.45 (median 0.7)" in told
    assert "; refused below 0.17\n" in told
    assert "penalty by eye_distance_px of the better photo: 0.050 at 20" in told
    assert "poor photos  no penalty in this model's card" in visavis("model", "--model", bare_bundle).stdout


def uncalibrated(folder: Path, *points: dict[str, object]) -> Path:
    """A bundle of the built-in weights with other points, the last one its default, and no calibration."""
    bundle = Path(shutil.copytree(BUILT_IN, folder / "bundle"))
    card = json.loads((bundle / CARD_FILE).read_text())
    facts = {"operating_points": points, "default_point": points[-1]["name"] if points else None}
    (bundle / CARD_FILE).write_text(json.dumps(card | facts | {"calibration": None, "quality_penalties": []}))
    return bundle


def test_a_card_without_points_says_so_and_what_to_do(tmp_path: Path, examples: Path) -> None:
    bundle = uncalibrated(tmp_path)
    assert "visavis calibrate" in visavis("model", "--model", bundle).stdout
    done = visavis("verify", examples / "001-neutral.jpg", examples / "001-smiling.jpg", "--model", bundle)
    assert (done.returncode, done.stdout) == (2, "")
    assert "visavis calibrate" in done.stderr


def test_a_point_that_was_not_measured_and_a_card_without_calibration_are_told_as_such(
    tmp_path: Path, examples: Path
) -> None:
    bundle = uncalibrated(tmp_path, {"name": "own", "threshold": 1.1, "fmr": None, "fnmr": None, "note": "A guess."})
    done = visavis("verify", examples / "001-neutral.jpg", examples / "001-smiling.jpg", "--model", bundle)
    assert done.returncode == 0
    assert "FMR          not measured" in done.stdout
    assert "this model was not calibrated" in done.stdout
    assert "for all pairs; this model has no penalty for poor photos" in done.stdout


def blurred(examples: Path, folder: Path, name: str, sigma: float) -> Path:
    path = folder / f"{name}.png"
    Image.open(examples / f"{name}.jpg").filter(ImageFilter.GaussianBlur(sigma)).save(path)
    return path


def test_a_poor_photo_is_refused_unless_its_quality_is_to_be_ignored(
    examples: Path, tmp_path: Path, penalty_bundle: Path
) -> None:
    pair = examples / "001-neutral.jpg", blurred(examples, tmp_path, "001-smiling", 16), "--model", penalty_bundle
    done = visavis("verify", *pair)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.search(r"reference .*too poor: sharpness is 0\.\d+ and must be at least 0\.\d+", done.stderr)
    ignored = visavis("verify", *pair, "--quality", "ignore")
    assert ignored.returncode in {0, 1}
    assert "too poor for this model's error rates" in ignored.stdout


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.01, "1%"), (9.96e-6, "0.001%"), (0.0702, "7%"), (0.2662, "27%"), (0.99966, "99.966%"), (0, "0%"), (1, "100%")],
)
def test_a_share_is_told_with_two_digits_to_the_nearer_end(share: float, words: str) -> None:
    assert percent(share) == words


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
