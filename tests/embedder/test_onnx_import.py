"""Networks of others: what `visavis import-onnx` makes of them, and what works with them then."""

import json
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner, Result
from facenet_pytorch import InceptionResnetV1
from onnx import helper, numpy_helper
from sface_file import sface_file
from starlette.testclient import TestClient

from embedder import BundleError, FaceEmbedder, build_network, load, read_bundle, read_facts
from embedder.onnx_import.facts import ALIGNMENTS, ARCFACE, InputFormat, NetworkFacts
from embedder.onnx_import.guesses import better_format, closeness, formats_to_try
from service.app import create_app
from service.client import FaceClient
from service.serving import ServingError, load_model
from service.settings import Settings
from visavis.cli.main import main

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "dequantise_onnx.py"
N_PEOPLE = 24  # of London, that the network of 512 channels is calibrated on
SFACE_FACTS = """
name = "own-sface"
licence = "Apache-2.0"
color_order = "rgb"
normalisation = "inside"
alignment = "arcface"
source = "OpenCV Zoo"
"""
CHANNELS = 512


def visavis(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def imported(file: Path, out: Path, *more: object) -> Result:
    return visavis("import-onnx", file, "--out", out, *more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    (folder / "facts.toml").write_text(SFACE_FACTS)
    return folder


@pytest.fixture(scope="module")
def sface(folder: Path) -> Path:
    """The Zoo's file of SFace with its weights dequantised."""
    subprocess.run([sys.executable, TOOL, sface_file(), folder / "sface.onnx"], check=True)
    return folder / "sface.onnx"


@pytest.fixture(scope="module")
def own_sface(sface: Path, folder: Path) -> Path:
    result = imported(sface, folder / "own-sface", "--facts", folder / "facts.toml")
    assert result.exit_code == 0, result.output
    return folder / "own-sface"


@pytest.fixture(scope="module")
def wide_sface(sface: Path, folder: Path) -> Path:
    """SFace with 512 channels, which keep all distances: its 128, turned in a space of 512 dimensions."""
    model = onnx.load(sface)
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(CHANNELS, 128)))
    old = model.graph.output[0].name
    model.graph.initializer.append(numpy_helper.from_array(turn.T.astype(np.float32), "turn"))
    model.graph.node.append(helper.make_node("MatMul", [old, "turn"], ["wide"], name="turned"))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("wide", onnx.TensorProto.FLOAT, [1, CHANNELS]))
    onnx.save(model, folder / "wide.onnx")
    return folder / "wide.onnx"


@pytest.fixture(scope="module")
def inception(folder: Path) -> Path:
    """facenet-pytorch's network of 512 channels as an ONNX file; it has learnt nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = InceptionResnetV1().eval()
    torch.onnx.export(
        network,
        (torch.zeros(2, 3, 160, 160),),
        folder / "inception.onnx",
        dynamo=True,
        input_names=["faces"],
        output_names=["vectors"],
        dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
        external_data=False,
        verbose=False,
    )
    return folder / "inception.onnx"


INCEPTION_FACTS = ("--name", "own-512", "--licence", "MIT", "--color-order", "rgb", "--mean", "127.5", "--scale", "128")


@pytest.fixture(scope="module")
def own_512(inception: Path, folder: Path) -> Path:
    result = imported(inception, folder / "own-512", *INCEPTION_FACTS, "--alignment", "eyes")
    assert result.exit_code == 0, result.output
    return folder / "own-512"


@pytest.fixture(scope="module")
def few(data: Path, folder: Path) -> Path:
    """Some of London's people."""
    (folder / "few").mkdir()
    for person in sorted(path for path in (data / "london").iterdir() if path.is_dir())[:N_PEOPLE]:
        (folder / "few" / person.name).mkdir()
        for photo in person.iterdir():
            (folder / "few" / person.name / photo.name).symlink_to(photo)
    return folder / "few"


@pytest.fixture(scope="module")
def calibrated(own_512: Path, few: Path, folder: Path) -> Path:
    result = visavis("calibrate", "--model", own_512, "--identities", few, "--out", folder / "calibrated")
    assert result.exit_code == 0, result.output
    return folder / "calibrated"


@pytest.fixture
def pair(examples: Path) -> tuple[Path, Path]:
    return examples / "001-neutral.jpg", examples / "001-smiling.jpg"


def test_sface_s_file_gives_the_embeddings_of_the_built_in_model(
    own_sface: Path, embedder: FaceEmbedder, examples: Path
) -> None:
    own = load(own_sface)
    photos = [path.read_bytes() for path in sorted(examples.glob("*.jpg"))]
    chips = np.stack([embedder.chip(photo).pixels for photo in photos])
    assert np.abs(own.embed_chips(chips) - embedder.embed_chips(chips)).max() < 1e-5
    assert np.abs(own.embed(photos[0]).vector - embedder.embed(photos[0]).vector).max() < 1e-5


def test_the_card_says_what_was_stated_and_that_nothing_is_measured(own_sface: Path, sface: Path) -> None:
    card = read_bundle(own_sface).card
    assert card.alignment == read_bundle().card.alignment
    assert (card.operating_points, card.calibration) == ((), None)
    assert (card.provenance.license, card.provenance.source) == ("Apache-2.0", "OpenCV Zoo")
    assert card.provenance.source_sha256 == sha256(sface.read_bytes()).hexdigest()
    assert card.provenance.trained_on == "not stated"
    assert "licence: Apache-2.0" in (own_sface / "NOTICE.txt").read_text()
    assert "none: run visavis calibrate" in visavis("model", "--model", own_sface).stdout


def test_a_network_that_is_not_measured_decides_nothing_and_is_not_served(
    own_sface: Path, pair: tuple[Path, Path]
) -> None:
    result = visavis("verify", *pair, "--model", own_sface)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "run visavis calibrate" in result.stderr
    with pytest.raises(ServingError, match=r"own-sface was imported and is not measured; run visavis calibrate"):
        load_model(Settings(model=str(own_sface)))


def test_its_layers_are_described_as_those_of_the_built_in_model(own_sface: Path) -> None:
    own, built_in = (
        json.loads(visavis("describe", "--model", each, "--json").stdout) for each in (own_sface, "sface-128")
    )
    assert own["total_macs"] == built_in["total_macs"]
    assert [each["notation"] for each in own["layers"][:-1]] == [each["notation"] for each in built_in["layers"][:-1]]


@pytest.mark.parametrize("network", ["sface", "wide_sface"])
def test_swapped_colours_are_noticed(
    network: str, request: pytest.FixtureRequest, data: Path, folder: Path, tmp_path: Path
) -> None:
    file = request.getfixturevalue(network)
    given = ("--facts", folder / "facts.toml", "--faces", data / "london")
    wrong = imported(file, tmp_path / "wrong", *given, "--color-order", "bgr")
    assert re.search(
        r"caution: with RGB, pixel values 0 to 255 one person's photos are clearly closer .* than with BGR, pixel",
        wrong.stderr,
    )


def test_facts_that_are_right_raise_no_doubt(sface: Path, data: Path, folder: Path, tmp_path: Path) -> None:
    result = imported(sface, tmp_path / "right", "--facts", folder / "facts.toml", "--faces", data / "london")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "tried on photos of 32 people: no other colour order or scale is clearly better" in result.stdout


def test_a_normalisation_that_the_network_has_inside_already_is_noticed(
    sface: Path, data: Path, folder: Path, tmp_path: Path
) -> None:
    given = ("--facts", folder / "facts.toml", "--faces", data / "london", "--mean", "127.5", "--scale", "127.5")
    result = imported(sface, tmp_path / "twice", *given)
    assert "with RGB, pixel values 0 to 255 one person's photos are clearly closer" in result.stderr
    assert "than with RGB, mean 127.5, scale 127.5" in result.stderr


def test_a_network_of_512_channels_is_measured_and_decides(calibrated: Path, pair: tuple[Path, Path]) -> None:
    card = read_bundle(calibrated).card
    assert card.architecture.embedding_size == CHANNELS
    assert [point.name for point in card.operating_points] == ["fmr-1e-2"]
    answer = json.loads(visavis("verify", *pair, "--model", calibrated, "--json").stdout)
    assert answer["model"]["digest"] == card.digest
    assert answer["operating_point"]["name"] == "fmr-1e-2"


def test_a_network_of_512_channels_is_served(calibrated: Path, pair: tuple[Path, Path]) -> None:
    with load_model(Settings(model=str(calibrated))) as own, TestClient(create_app(Settings(), own)) as http:
        client = FaceClient(http=http)
        photos = [photo.read_bytes() for photo in pair]
        assert client.verify(*photos).distance == pytest.approx(own.verify(*photos).distance, abs=1e-6)
        assert len(client.embed(photos[0]).embedding) == CHANNELS


def test_a_network_of_512_channels_is_evaluated_embedded_and_enrolled(
    calibrated: Path, few: Path, tmp_path: Path
) -> None:
    of_model = ("--model", calibrated)
    assert "fmr-1e-2" in visavis("evaluate", "--identities", few, *of_model).stdout
    photos = sorted(few.glob("*/neutral_front.jpg"))[:2]
    assert "512 channels" in visavis("embed", photos[0], *of_model).stdout
    gallery = ("--store", f"sqlite:///{tmp_path / 'people.db'}")
    assert visavis("gallery", "create", "staff", *gallery).exit_code == 0
    for photo in photos:
        more = ("--person", photo.parent.name, "--allow-duplicate", *gallery, *of_model)
        enrolled = visavis("gallery", "enrol", "staff", photo, *more)
        assert enrolled.exit_code == 0, enrolled.output
    found = visavis("gallery", "identify", "staff", photos[0], "--fpir", "0.05", "--json", *gallery, *of_model)
    assert json.loads(found.stdout)[0]["faces"][0]["person"] == photos[0].parent.name


def test_a_network_of_512_channels_is_explained_by_what_covering_changes(
    calibrated: Path, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    explained = json.loads(visavis("explain", *pair, "--model", calibrated, "--json").stdout)
    assert len(explained["channels"]) == CHANNELS
    assert explained["saliency"] is not None
    assert "head" in visavis("describe", "--model", calibrated).stdout
    drawn = visavis("maps", pair[0], "--layer", "conv1", "--out", tmp_path / "maps.png", "--model", calibrated)
    assert drawn.exit_code == 0, drawn.output


def test_what_needs_torch_says_so(calibrated: Path, pair: tuple[Path, Path]) -> None:
    with pytest.raises(BundleError, match="imported from an ONNX file, and torch has none for it"):
        build_network(read_bundle(calibrated))
    result = visavis("explain", *pair, "--method", "gradient", "--model", calibrated)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "runs with openvino on the CPU alone" in result.stderr


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('colour_order = "rgb"', "colour_order: is no such fact"),
        ("scale = 128", "state either mean and scale"),
        ('alignment = "mtcnn"', "alignment"),
        ('sha256 = "abc"', "sha256"),
        ("chip_side = 112", "chip_side belongs to five given points"),
        ("= 3", "is not TOML"),
        (f"x{'.x' * 1000} = 1", "is not TOML: a key has more than 32 parts"),
    ],
)
def test_facts_that_cannot_be_are_refused_by_name(line: str, key: str, tmp_path: Path) -> None:
    kept = [each for each in SFACE_FACTS.splitlines() if each.split(" ")[0] != line.split(" ", maxsplit=1)[0]]
    (tmp_path / "facts.toml").write_text("\n".join([*kept, line]))
    with pytest.raises(BundleError, match=key):
        read_facts(tmp_path / "facts.toml", {})


def test_a_missing_fact_is_named_and_an_option_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "facts.toml"
    file.write_text(SFACE_FACTS)
    with pytest.raises(BundleError, match="licence: is missing"):
        read_facts(None, {"name": "own", "color_order": "rgb", "normalisation": "inside", "alignment": "arcface"})
    facts = read_facts(file, {"mean": [1.0, 2.0, 3.0], "scale": 4.0, "color_order": "bgr"})
    assert facts.input_format == InputFormat("bgr", (1.0, 2.0, 3.0), 4.0)
    assert facts.source == "OpenCV Zoo"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (("--sha256", "0" * 64), "sha256 is stated as 0000"),
        (("--input-size", 160), "input_size is stated as 160, but that of sface.onnx is 112"),
        (("--layout", "nhwc"), "layout is stated as nhwc, but that of sface.onnx is nchw"),
        (("--faces", ROOT / "docs"), "there are 0 people with two photos of a face"),
    ],
)
def test_a_fact_that_the_file_contradicts_is_refused(
    given: tuple[object, ...], reason: str, sface: Path, folder: Path, tmp_path: Path
) -> None:
    result = imported(sface, tmp_path / "none", "--facts", folder / "facts.toml", *given)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert reason in result.stderr
    assert not (tmp_path / "none").exists()


def facts_of(**changed: object) -> NetworkFacts:
    given = {"name": "own", "licence": "MIT", "color_order": "rgb", "normalisation": "inside", "alignment": "arcface"}
    return NetworkFacts.model_validate(given | changed)


def test_points_keep_their_places_in_chips_of_another_size() -> None:
    for name, (side, points) in ALIGNMENTS.items():
        alignment = facts_of(alignment=name).alignment_in(side)
        assert np.allclose(alignment.points, points)
        doubled = facts_of(alignment=points, chip_side=side).alignment_in(2 * side)
        assert np.allclose(np.add(doubled.points, 0.5), 2 * np.add(points, 0.5))
    eyes = np.add(facts_of(alignment="eyes").alignment_in(100).points[:2], 0.5)
    assert eyes.tolist() == [[35, 35], [65, 35]]


IN_SHARES = ((0.34, 0.46), (0.66, 0.46), (0.5, 0.64), (0.37, 0.82), (0.63, 0.82))


@pytest.mark.parametrize("points", [IN_SHARES, ((50.0, 50.0),) * 5, ARCFACE[::-1]], ids=["shares", "one", "reversed"])
def test_points_that_are_not_those_of_a_face_are_refused(points: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(BundleError, match="in a chip of 112 px these are not the points of a face"):
        facts_of(alignment=points).alignment_in(112)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_the_input_is_prepared_pixel_by_pixel(order: str) -> None:
    chips = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8)
    made = InputFormat(order, (10.0, 20.0, 30.0), 64.0).prepared(chips, "nchw")
    for n, row, column, color in np.ndindex(chips.shape):
        place = color if order == "rgb" else 2 - color
        wanted = (float(chips[n, row, column, color]) - (10.0, 20.0, 30.0)[color]) / 64
        assert made[n, place, row, column] == pytest.approx(wanted)


def test_formats_to_try_begin_with_the_stated_one_and_are_each_there_once() -> None:
    stated = InputFormat("bgr", (127.5,) * 3, 128.0)
    formats = formats_to_try(stated)
    assert formats[:2] == [stated, InputFormat("rgb", (127.5,) * 3, 128.0)]
    assert len(set(formats)) == len(formats) == 8


def test_only_a_format_that_is_clearly_better_is_proposed() -> None:
    random = np.random.default_rng(0)
    people = np.repeat(random.normal(size=(12, 64)), 2, axis=0)
    good, same, poor = (
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        for vectors in (people + spread * random.normal(size=people.shape) for spread in (0.3, 0.3, 1.5))
    )
    formats = formats_to_try(InputFormat("rgb", (0.0,) * 3, 1.0))[:3]
    assert better_format(formats, [good, same, poor]) is None
    found = better_format(formats, [poor, good, np.full_like(good, np.nan)])
    assert found is not None
    assert found.better == formats[1]
    assert found.better_closeness > found.stated_closeness


def test_closeness_compares_a_person_with_the_nearest_tenth_of_the_others() -> None:
    vectors = np.random.default_rng(1).normal(size=(8, 3))
    first, second = vectors[0::2], vectors[1::2]
    for person, found in enumerate(closeness(vectors.astype(np.float32))):
        others = [float(np.linalg.norm(first[person] - second[j])) for j in range(4) if j != person]
        others += [float(np.linalg.norm(first[j] - second[person])) for j in range(4) if j != person]
        nearest, next_one = sorted(others)[:2]
        tenth = nearest + 0.5 * (next_one - nearest)  # a tenth of the way through six numbers
        assert found == pytest.approx(1 - np.linalg.norm(first[person] - second[person]) / tenth, rel=1e-5)
