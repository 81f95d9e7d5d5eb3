"""A cohort and photos to calibrate on -> a card in which every pair has its own threshold. Faces are made up here."""

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from embedder import MEASURES, FaceChoice, FaceEmbedder, ModelCard, OwnThreshold, copy_bundle, load, sha256_of
from train.degradations import BLUR_PX, WIDTH_PX
from train.evaluation.bootstrap import Resampling
from train.evaluation.cache import EmbeddingCache
from train.evaluation.calibration import Described, Normalising, calibrate
from train.evaluation.compared import Compared, compare
from train.evaluation.embedding import EmbeddedSet
from train.evaluation.evaluation import Setting
from train.evaluation.progress import Progress, no_progress
from train.evaluation.protocols.protocol import Photo, Protocol, ProtocolError
from train.own_threshold import cohort, poor_photos
from train.own_threshold.fit import Fitted, Strangers, fit

PULL = {"blur1": 0.05, "blur2": 0.1, "blur3": 0.2, "blur4": 0.3, "px64": 0.1, "px48": 0.15, "px32": 0.3}
DESCRIBED = Described("made-up people", "Nobody.")


def people(prefix: str, n_people: int, n_each: int) -> Protocol:
    names = [f"{prefix}{k:04}" for k in range(n_people)]
    photos = tuple(Photo(Path(name, f"{i}.jpg"), f"{name}/{i}.jpg", name) for name in names for i in range(n_each))
    return Protocol(prefix, photos, None, "largest")


def seeded(text: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(sha256(text.encode()).digest()[:8]))


def face_of(photo: Photo) -> tuple[np.ndarray, np.ndarray]:
    """A person's point with some noise; a poor photo is drawn to the middle, and looks blurred."""
    pull = PULL.get(photo.degradation or "", 0.0)
    person = seeded(photo.identity).normal(0, 0.055, 128)
    person[:8] *= 1 + 0.3 * (person[8] > 0)  # some live in emptier places than others
    vector = (1 - pull) * (person + seeded(photo.name).normal(0, 0.03, 128)) + 0.05
    measures = np.array([60, 0.5 - 1.4 * pull, 0.5, 120, 40, 0, 0.1, 1]) * seeded(photo.name).uniform(0.9, 1.1, 8)
    return vector, measures


def embed_made_up(  # takes what embed_photos takes
    protocol: Protocol,
    embedder: FaceEmbedder,  # noqa: ARG001
    face: FaceChoice,  # noqa: ARG001
    cache: EmbeddingCache | None = None,  # noqa: ARG001
    progress: Progress = no_progress,  # noqa: ARG001
) -> EmbeddedSet:
    vectors, measures = (np.array(each, np.float32) for each in zip(*map(face_of, protocol.photos), strict=True))
    digests = tuple(
        "sha256:" + sha256(f"{photo.name} {photo.degradation}".encode()).hexdigest() for photo in protocol.photos
    )
    return EmbeddedSet(vectors, (None,) * len(vectors), digests, measures)


@pytest.fixture(scope="module")
def setting(embedder: FaceEmbedder) -> Setting:
    return Setting(embedder, "largest", resampling=Resampling(100, 0))


@pytest.fixture(scope="module")
def made_up() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (cohort, poor_photos):
            patch.setattr(module, "embed_photos", embed_made_up)
        yield


def compared_of(protocol: Protocol, setting: Setting) -> Compared:
    return compare(protocol, embed_made_up(protocol, setting.embedder, "largest"), seed=0)


@pytest.fixture(scope="module")
def photos(setting: Setting) -> Compared:
    return compared_of(people("photos", 150, 3), setting)


@pytest.fixture(scope="module")
def strangers(setting: Setting) -> Strangers:
    return Strangers(people("cohort", 510, 2), "Nobody either.", setting)


@pytest.fixture(scope="module")
def fitted(photos: Compared, strangers: Strangers, setting: Setting, made_up: None) -> Fitted:  # noqa: ARG001
    return fit(photos, strangers, setting, 1e-3)


@pytest.fixture(scope="module")
def card(fitted: Fitted, photos: Compared, setting: Setting) -> ModelCard:
    return calibrate(photos, setting, DESCRIBED, Normalising(fitted.foundation, fitted.places))


def own_of(card: ModelCard) -> OwnThreshold:
    assert card.own_threshold is not None
    return card.own_threshold


def test_the_card_has_points_of_both_kinds_under_the_same_names(card: ModelCard) -> None:
    assert [point.name for point in own_of(card).operating_points] == [point.name for point in card.operating_points]
    assert card.default_point == "fmr-1e-3"


def test_no_point_has_a_higher_rate_than_its_name_says(card: ModelCard) -> None:
    for point in own_of(card).operating_points:
        assert point.fmr is not None
        assert point.fmr <= float(point.name.removeprefix("fmr-"))
        assert point.fmr_interval is not None
        assert point.fmr_interval[0] <= point.fmr <= point.fmr_interval[1]


def test_the_card_says_what_the_cohort_was(card: ModelCard, fitted: Fitted) -> None:
    found = own_of(card).cohort
    assert (found.data.name, found.data.population) == ("cohort", "Nobody either.")
    assert (found.data.n_identities, found.data.n_images, found.n_nearest) == (510, 1020, 50)
    assert found.n_degraded == pytest.approx(170, abs=40)
    assert own_of(card).coefficients_sha256 == sha256_of(fitted.neighbourhood)


def test_a_bundle_of_it_places_the_photos_as_the_fit_did(
    tmp_path: Path, card: ModelCard, fitted: Fitted, photos: Compared
) -> None:
    copy_bundle(None, tmp_path / "bundle", card, fitted.neighbourhood)
    embedded = photos.embedded
    places = load(tmp_path / "bundle").places(embedded.vectors, embedded.measures)
    for name in ("means", "spreads", "penalties"):
        assert np.array_equal(getattr(places, name), getattr(fitted.places, name))


def test_blur_costs_more_the_stronger_it_is(fitted: Fitted) -> None:
    rule = fitted.foundation.quality
    measures = [face_of(Photo(Path("x"), "x", "x", kind))[1] for kind in (None, *BLUR_PX)]
    columns = dict(zip(MEASURES, np.array(measures).T, strict=True)) | {"embedding_length": np.ones(len(measures))}
    penalties = rule.penalties(columns)
    assert (np.diff(penalties) >= 0).all()
    assert penalties[-1] > penalties[0] + 0.5
    assert WIDTH_PX.keys() <= PULL.keys()


def test_points_are_measured_anew_where_the_foundation_is_a_card_s(
    card: ModelCard, fitted: Fitted, setting: Setting
) -> None:
    others = compared_of(people("others", 60, 3), setting)
    places = replace(
        fitted.places, **{name: getattr(fitted.places, name)[:180] for name in ("means", "spreads", "penalties")}
    )
    found = own_of(calibrate(others, setting, DESCRIBED, Normalising(fitted.foundation, places)))
    assert found.quality == own_of(card).quality
    assert found.cohort == own_of(card).cohort
    assert found.operating_points != own_of(card).operating_points


def test_without_a_foundation_there_is_one_threshold_for_all_pairs(photos: Compared, setting: Setting) -> None:
    assert calibrate(photos, setting, DESCRIBED).own_threshold is None


@pytest.mark.usefixtures("made_up")
def test_a_cohort_that_shares_a_person_is_refused(photos: Compared, setting: Setting) -> None:
    shared = Strangers(photos.protocol, "Nobody.", setting)
    with pytest.raises(ProtocolError, match="150 people are both in the cohort and in the photos"):
        fit(photos, shared, setting, 1e-3)


@pytest.mark.usefixtures("made_up")
def test_a_cohort_that_shares_an_image_under_another_name_is_refused(photos: Compared, setting: Setting) -> None:
    renamed = tuple(replace(photo, identity=f"x{photo.identity}") for photo in photos.protocol.photos[:4])
    cohort_people = people("cohort", 510, 1)
    shared = replace(cohort_people, photos=(*cohort_people.photos, *renamed))
    with pytest.raises(ProtocolError, match="4 of the cohort's images"):
        fit(photos, Strangers(shared, "Nobody.", setting), setting, 1e-3)


@pytest.mark.usefixtures("made_up")
def test_a_cohort_that_is_too_small_is_refused(photos: Compared, setting: Setting) -> None:
    with pytest.raises(ProtocolError, match="shows 499 people with a usable face; own thresholds take 500"):
        fit(photos, Strangers(people("cohort", 499, 1), "Nobody.", setting), setting, 1e-3)


def test_too_few_photos_to_price_quality_are_refused(strangers: Strangers, setting: Setting) -> None:
    for n_people, n_each in ((99, 5), (102, 2)):
        few = compared_of(people("few", n_people, n_each), setting)
        with pytest.raises(ProtocolError, match="too few to fit what a poor photo costs"):
            fit(few, strangers, setting, 1e-3)
