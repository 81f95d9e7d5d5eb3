"""Nobody is measured on whom anything was fitted: no person of one split is in another."""

from hashlib import sha256
from pathlib import Path

import pytest

from embedder import FaceEmbedder
from train.evaluation.protocols.digest import data_digest
from train.evaluation.protocols.folders import people_of, read_identities
from train.evaluation.protocols.lfw import read_lfw
from train.evaluation.protocols.protocol import Protocol


@pytest.fixture(scope="module")
def splits(data: Path) -> dict[str, Protocol]:
    view1, photos = data / "lfw-view1", data / "lfw-view1" / "lfw"
    return {
        "DevTrain": read_lfw(view1 / "pairsDevTrain.txt", photos),
        "DevTest": read_lfw(view1 / "pairsDevTest.txt", photos),
        "celebrities": read_identities(data / "celebrities"),
        "london": read_identities(data / "london"),
    }


def people(protocol: Protocol) -> set[str]:
    return {photo.identity.replace("_", " ").casefold() for photo in protocol.photos}


@pytest.mark.parametrize(
    ("fitted", "measured"),
    [("DevTrain", "DevTest"), ("celebrities", "DevTrain"), ("celebrities", "DevTest"), ("DevTrain", "london")],
)
def test_no_person_is_in_both(splits: dict[str, Protocol], fitted: str, measured: str) -> None:
    assert people(splits[fitted])
    assert people(splits[fitted]).isdisjoint(people(splits[measured]))


@pytest.mark.parametrize("measured", ["DevTest", "london"])
def test_no_photo_of_devtrain_is_measured_on(splits: dict[str, Protocol], measured: str) -> None:
    train, test = ({photo.path.read_bytes() for photo in splits[name].photos} for name in ("DevTrain", measured))
    assert train.isdisjoint(test)


def test_the_built_in_card_was_measured_on_the_people_of_devtrain(
    splits: dict[str, Protocol], embedder: FaceEmbedder
) -> None:
    people_of_train = people_of(splits["DevTrain"])
    digests = [digest_of(photo.path.read_bytes()) for photo in people_of_train.photos]
    calibration = embedder.card.calibration
    assert calibration is not None
    assert calibration.data.digest == data_digest(people_of_train, digests)
    assert calibration.data.n_images == len(people_of_train.photos)


def test_the_built_in_cohort_are_the_celebrities(splits: dict[str, Protocol], embedder: FaceEmbedder) -> None:
    celebrities = splits["celebrities"]
    digests = [digest_of(photo.path.read_bytes()) for photo in celebrities.photos]
    own = embedder.card.own_threshold
    assert own is not None
    assert own.cohort.data.digest == data_digest(celebrities, digests)
    assert own.cohort.data.n_identities == celebrities.n_identities


def digest_of(data: bytes) -> str:
    return "sha256:" + sha256(data).hexdigest()
