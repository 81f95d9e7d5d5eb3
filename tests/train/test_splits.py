"""Nobody is measured on whom anything was fitted: no person of one split is in another."""

from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from embedder import BUILT_IN_MODELS, read_bundle
from train.evaluation.protocols.folders import read_identities
from train.evaluation.protocols.lfw import read_lfw
from train.evaluation.protocols.protocol import Protocol, data_digest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def splits(data: Path) -> dict[str, Protocol]:
    view1, photos = data / "lfw-view1", data / "lfw-view1" / "lfw"
    return {
        "DevTrain": read_lfw(view1 / "pairsDevTrain.txt", photos),
        "DevTest": read_lfw(view1 / "pairsDevTest.txt", photos),
        "celebrities": read_identities(data / "celebrities"),
        "london": read_identities(data / "london"),
    }


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = spec_from_file_location("calibrate_built_in", ROOT / "tools" / "calibrate_built_in.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def test_the_built_in_cards_were_measured_on_the_people_that_their_tool_names(data: Path, tool: ModuleType) -> None:
    wanted = [
        (described.name, data_digest(protocol, digests_of(protocol)), protocol.n_identities, len(protocol.photos))
        for protocol, described in tool.populations(data)
    ]
    for name in BUILT_IN_MODELS:
        calibration = read_bundle(name).card.calibration
        assert calibration is not None
        found = [(each.name, each.digest, each.n_identities, each.n_images) for each in calibration.measured_on]
        assert found == wanted


def test_the_celebrities_that_points_are_measured_on_and_those_that_they_are_checked_on_are_all_and_differ(
    splits: dict[str, Protocol], tool: ModuleType
) -> None:
    fitted, checked = (people(tool.half_of(splits["celebrities"], is_fitted=each)) for each in (True, False))
    assert fitted.isdisjoint(checked)
    assert fitted | checked == people(splits["celebrities"])
    assert len(fitted) == pytest.approx(len(checked), rel=0.1)


def digests_of(protocol: Protocol) -> list[str]:
    return ["sha256:" + sha256(photo.path.read_bytes()).hexdigest() for photo in protocol.photos]
