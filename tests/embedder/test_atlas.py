"""The channel atlas: what is measured of faces, how channels go with it, and the whole command on real photos."""

import csv
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from learnt_card import learnt_card
from numpy.typing import NDArray

from embedder import (
    BUILT_IN_MODELS,
    Architecture,
    Box,
    Chip,
    Face,
    FaceEmbedder,
    Preprocessing,
    Quality,
    Sample,
    new_network,
    read_bundle,
    serialize_tensors,
    tensors_of,
    write_bundle,
)
from embedder.explain.atlas import channel_pictures
from embedder.explain.atlas.atlas import NOTHING, Correlation, sentence_of
from embedder.explain.atlas.channel_pictures import channel_attention
from embedder.explain.atlas.faces import AtlasError, chosen_photos, own_traits
from embedder.explain.atlas.statistics import N_DRAWS, between_over_within, correlations, effective_dimension
from embedder.explain.atlas.traits import TRAITS, traits_of
from embedder.explain.explanation import sentences_of
from visavis.cli.main import main

NAMES = [trait.name for trait in TRAITS]


@pytest.fixture(scope="module")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network that has learnt nothing: quick, and a model like any other."""
    return write_small(tmp_path_factory.mktemp("small") / "bundle")


def write_small(folder: Path, *, head: float = 1.0) -> Path:
    """`head` is what the weights of the head are multiplied by."""
    architecture = Architecture(backbone="small", embedding_size=128, unit_length=False, mirror=False)
    preprocessing = Preprocessing(input_size_px=48, crop_px=96, color_order="RGB", mean=(127.5,) * 3, scale=64.0)
    network = new_network(architecture, preprocessing, 112, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for weight in network.head.parameters():
            weight.mul_(head)
    weights = serialize_tensors(tensors_of(network))
    write_bundle(folder, learnt_card(weights, architecture, preprocessing), weights)
    return folder


def made_chip(skin: tuple[int, int, int] = (200, 150, 120), lean: float = 0.0) -> Chip:
    """A chip of one colour; its face is 100 px wide, with eyes 40 px apart and a mouth of 30."""
    points = np.array([(30, 50), (70, 50), (50, 75), (35, 90), (65, 90)]) @ [1, 1j] - (50 + 50j)
    turned = points * np.exp(1j * np.radians(lean)) + (50 + 50j)
    landmarks = tuple((float(point.real), float(point.imag)) for point in turned)
    quality = Quality(40, 0.5, 0, 120, 40, 0, 0.1, 0.99, 1, 1)
    face = Face(Box(0, 0, 100, 130), landmarks, 0.99)
    return Chip(np.full((112, 112, 3), skin, np.uint8), Sample(face, "dominant", 1, quality))


def measured(chip: Chip, embedder: FaceEmbedder) -> dict[str, float]:
    return dict(zip(NAMES, traits_of(chip, embedder.card.alignment).tolist(), strict=True))


def test_lengths_are_in_measures_of_the_face_itself(embedder: FaceEmbedder) -> None:
    found = measured(made_chip(), embedder)
    assert found["eye_distance"] == pytest.approx(0.4)
    assert found["mouth_width"] == pytest.approx(30 / 40)
    assert found["nose_length"] == pytest.approx(25 / 40)
    assert found["head_tilt"] == pytest.approx(0)


@pytest.mark.parametrize("lean", [-20, 7])
def test_a_face_that_leans_to_either_side_is_tilted_and_as_long(embedder: FaceEmbedder, lean: float) -> None:
    found = measured(made_chip(lean=lean), embedder)
    assert found["head_tilt"] == pytest.approx(abs(lean))
    assert found["nose_length"] == pytest.approx(25 / 40)


def test_skin_is_as_light_and_of_the_hue_of_its_colour(embedder: FaceEmbedder) -> None:
    found = measured(made_chip((255, 255, 0)), embedder)
    assert found["skin_hue"] == pytest.approx(60)
    assert found["skin_luminance"] == pytest.approx(0.299 * 255 + 0.587 * 255)
    assert measured(made_chip((255, 0, 0)), embedder)["skin_hue"] == pytest.approx(0)


def test_grey_skin_has_no_hue(embedder: FaceEmbedder) -> None:
    found = measured(made_chip((121, 120, 119)), embedder)
    assert np.isnan(found["skin_hue"])
    assert found["skin_luminance"] == pytest.approx(120, abs=1)


def test_what_is_black_is_not_skin_that_shines(embedder: FaceEmbedder, examples: Path) -> None:
    light, dark = (
        measured(embedder.chip((examples / f"{name}-neutral.jpg").read_bytes()), embedder) for name in ("001", "005")
    )
    assert 100 < dark["skin_luminance"] < 230
    assert 100 < light["skin_luminance"] < 230
    assert 0 < light["skin_hue"] < 60


def some_numbers(n: int = 200, n_people: int = 40) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    generator = np.random.default_rng(1)
    people = generator.integers(0, n_people, n)
    own = generator.standard_normal((n_people, 3))[people]
    traits = own[:, :2] + 0.5 * generator.standard_normal((n, 2))
    traits[:20, 1] = np.nan
    channels = own + generator.standard_normal((n, 3))
    return channels, traits, people


def test_r_is_that_of_the_library_also_where_traits_are_missing() -> None:
    channels, traits, people = some_numbers()
    found = correlations(channels, traits, people, np.random.default_rng(0))
    for channel in range(3):
        for trait in range(2):
            known = ~np.isnan(traits[:, trait])
            expected = np.corrcoef(channels[known, channel], traits[known, trait])[0, 1]
            assert found.r[channel, trait] == pytest.approx(expected)
    assert (found.low < found.r).all()
    assert (found.r < found.high).all()
    assert found.is_sure.tolist() == [[True, False], [False, True], [False, False]]


def test_the_spread_is_that_of_people_redrawn_one_by_one() -> None:
    channels, traits, people = some_numbers()
    found = correlations(channels, traits[:, :1], people, np.random.default_rng(0))
    half_width = (np.arctanh(found.high) - np.arctanh(found.low)) / 2
    generator, draws = np.random.default_rng(5), []
    for _ in range(N_DRAWS):
        redrawn = [np.flatnonzero(people == person) for person in generator.integers(0, 40, 40)]
        rows = np.concatenate(redrawn)
        draws.append([np.arctanh(np.corrcoef(channels[rows, c], traits[rows, 0])[0, 1]) for c in range(3)])
    by_hand = np.std(draws, axis=0) * 2.394  # 1 - 0.05 / 2 / 3 of the normal distribution
    assert half_width[:, 0] == pytest.approx(by_hand, rel=0.1)


def test_a_trait_that_never_changes_goes_with_nothing() -> None:
    channels, _, people = some_numbers()
    found = correlations(channels, np.ones((200, 1)), people, np.random.default_rng(0))
    assert np.isnan(found.r).all()
    assert not found.is_sure.any()


@pytest.mark.parametrize("n_known", [0, 1, 2, 3])
def test_a_trait_of_too_few_people_goes_with_nothing(n_known: int) -> None:
    channels, traits, people = some_numbers()
    known = np.where(people < n_known, traits[:, 0], np.nan)
    found = correlations(channels, known[:, None], people, np.random.default_rng(0))
    assert np.isnan([found.r, found.low, found.high]).all()


def test_variance_between_people_over_that_within_is_as_it_was_made() -> None:
    generator = np.random.default_rng(2)
    people = np.repeat(np.arange(2000), 5)
    channels = generator.standard_normal((2000, 2))[people] * [2, 0] + generator.standard_normal((10_000, 2))
    assert between_over_within(channels, people) == pytest.approx([4, 0], abs=0.25)
    assert np.isnan(between_over_within(channels[::5], people[::5])).all()


def test_channels_that_are_one_spread_like_one() -> None:
    values = np.random.default_rng(3).standard_normal((5000, 8))
    assert effective_dimension(values) == pytest.approx(8, rel=0.02)
    assert effective_dimension(values[:, :1] * np.ones(8)) == pytest.approx(1)


def test_a_place_that_is_looked_at_changes_the_embedding(each_model: FaceEmbedder, examples: Path) -> None:
    chip = each_model.chip((examples / "001-neutral.jpg").read_bytes()).pixels
    found = channel_attention(chip[None], each_model.embed_chips, lambda _n: None).mean(axis=0)
    assert found.shape == (15, 15)
    eyes, corners = found[5:8, 4:11].mean(), found[[0, 0, -1, -1], [0, -1, 0, -1]].mean()
    assert eyes > 2 * corners


def test_a_sentence_names_the_strongest_sure_correlation() -> None:
    luminance, hue = TRAITS[NAMES.index("skin_luminance")], TRAITS[NAMES.index("skin_hue")]
    told = sentence_of([Correlation(hue, 0.7, -0.1, 0.9), Correlation(luminance, -0.62, -0.66, -0.57)])
    assert told.en == "falls with skin luminance, r = -0.62 [-0.66, -0.57]"
    assert told.zh == "随肤色亮度增大而降低，r = -0.62 [-0.66, -0.57]"
    assert sentence_of([Correlation(luminance, 0.1, 0.05, 0.15)]).en.startswith("rises weakly with skin luminance")
    assert sentence_of([Correlation(hue, 0.7, -0.1, 0.9)]) == NOTHING


def photos_of_people(folder: Path, examples: Path, n_people: int, n_photos: int) -> Path:
    """A folder of people, with the example photos under other names."""
    photos = sorted(examples.glob("*.jpg"))
    for person in range(n_people):
        (folder / f"person{person}").mkdir(parents=True)
        for number in range(n_photos):
            source = photos[(person + number) % len(photos)]
            (folder / f"person{person}" / f"{number}.jpg").write_bytes(source.read_bytes())
    return folder


def test_photos_are_drawn_by_a_seed_and_no_more_of_a_person_than_asked(tmp_path: Path, examples: Path) -> None:
    folder = photos_of_people(tmp_path / "people", examples, 6, 5)
    (folder / "of nobody.jpg").write_bytes(b"")
    found, n_others = chosen_photos(folder, n_photos=100, per_person=3, seed=0)
    assert n_others == 1
    assert Counter(photo.person for photo in found) == dict.fromkeys(range(6), 3)
    assert found == chosen_photos(folder, n_photos=100, per_person=3, seed=0)[0]
    assert found != chosen_photos(folder, n_photos=100, per_person=3, seed=1)[0]
    assert len(chosen_photos(folder, n_photos=7, per_person=3, seed=0)[0]) == 7


def test_a_folder_without_people_is_told(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(AtlasError, match="a subfolder of photos for each person"):
        chosen_photos(tmp_path, n_photos=1, per_person=1, seed=0)
    with pytest.raises(AtlasError, match="no such folder"):
        chosen_photos(tmp_path / "none", n_photos=1, per_person=1, seed=0)


def test_traits_of_ones_own_come_by_person_or_by_photo(tmp_path: Path) -> None:
    file = tmp_path / "traits.csv"
    file.write_text("identity,age\nann,31\nbob,\n", "utf-8")
    traits, values = own_traits(file, ["ann/1.jpg", "bob/1.jpg", "eve/1.jpg"])
    assert [trait.en for trait in traits] == ["age"]
    assert values[0, 0] == 31
    assert np.isnan(values[1:]).all()
    file.write_text("photo,smile\nbob/1.jpg,0.5\n", "utf-8")
    assert own_traits(file, ["bob/1.jpg"])[1].tolist() == [[0.5]]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "must start with a header"),
        ("name,age\nann,31\n", "must start with a header"),
        ("identity\nann\n", "must start with a header"),
        ("identity,age\nann,old\n", "line 2: each trait must be a number"),
        ("identity,age\nann,31\nbob,inf\n", "line 3: each trait must be a number"),
        ("identity,contrast\nann,31\n", "named contrast, which visavis already measures"),
        ("identity,age\ncarl,31\n", "names no identity in the folder"),
    ],
)
def test_a_file_of_traits_that_cannot_be_used_is_told(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "traits.csv"
    file.write_text(text, "utf-8")
    with pytest.raises(AtlasError, match=told):
        own_traits(file, ["ann/1.jpg"])


@pytest.mark.parametrize("name", BUILT_IN_MODELS)
def test_every_channel_of_a_built_in_model_has_a_sentence_and_no_other_model_of_that_name_has(name: str) -> None:
    model = read_bundle(name).card.identity("f32")
    sentences = sentences_of(model)
    assert sentences is not None
    assert len(sentences) == 128
    assert sum(sentence.en.startswith(("rises", "falls")) for sentence in sentences) >= 10
    assert sentences_of(replace(model, digest="sha256:" + "0" * 64)) is None
    assert sentences_of(replace(model, card_digest="sha256:" + "0" * 64)) == sentences


def test_a_model_of_a_name_that_no_atlas_has_is_without_sentences(embedder: FaceEmbedder) -> None:
    assert sentences_of(replace(embedder.identity, name="nobodys")) is None


def test_the_command_makes_a_page_with_faces_and_a_file_without(
    tmp_path: Path, examples: Path, small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_pictures, "N_STEPS", 1)  # of 40, which take a minute
    folder = photos_of_people(tmp_path / "people", examples, 12, 3)
    (folder / "person0" / "broken.jpg").write_bytes(b"no image")
    for name in ("person1/notes.txt", "of nobody.jpg"):
        (folder / name).touch()
    with (tmp_path / "traits.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["identity", "<age>"], *([f"person{n}", 20 + n] for n in range(12))])
    out = tmp_path / "atlas"
    asked = ["atlas", "--identities", str(folder), "--out", str(out), "--traits", str(tmp_path / "traits.csv")]
    done = CliRunner().invoke(main, [*asked, "--model", str(small_bundle)])
    assert done.exit_code == 0, done.output
    html, text = (out / "atlas.html").read_text("utf-8"), (out / "atlas.json").read_text("utf-8")
    atlas = json.loads(text)
    assert atlas["n_faces"] == 36
    assert atlas["failed"] == {"not_an_image": 1}
    assert (out / "failed.csv").read_text() == "photo,code\nperson0/broken.jpg,not_an_image\n"
    assert f"1 photos failed (not_an_image 1); each is in {out}/failed.csv" in done.output
    assert "2 other files ignored" in done.output
    assert [channel["channel"] for channel in atlas["channels"]] == list(range(128))
    assert {each["trait"] for each in atlas["channels"][0]["correlations"]} == {*NAMES, "<age>"}
    assert "person" not in text
    assert ".jpg" not in text + html
    assert "&lt;age&gt;" in html
    assert not re.search(r'(src|href)="(?!data:|#)', html)
    again = CliRunner().invoke(main, asked)
    assert again.exit_code == 2
    assert "choose a new folder" in again.output


def test_a_model_with_a_channel_that_never_changes_is_told(tmp_path: Path, examples: Path) -> None:
    folder = photos_of_people(tmp_path / "people", examples, 10, 3)
    model = write_small(tmp_path / "bundle", head=0.0)
    asked = ["atlas", "--identities", str(folder), "--out", str(tmp_path / "atlas"), "--model", str(model)]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 2
    assert "the same value for all faces" in done.output
    assert not list((tmp_path / "atlas").iterdir())
