"""Identification of real faces: the candidates agree with verify, and the claim with the number of templates."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from embedder import Embedding, FaceEmbedder, posterior
from gallery import (
    ClaimUnavailable,
    Identification,
    IdentifyOptions,
    TemplateIndex,
    claim_for,
    identify,
    penalties_of,
)

PEOPLE = ("001", "005", "021", "041")


@pytest.fixture(scope="module")
def enrolled(embedder: FaceEmbedder, examples: Path) -> dict[str, Embedding]:
    return {person: embedder.embed((examples / f"{person}-neutral.jpg").read_bytes()) for person in PEOPLE}


def index_of(embedder: FaceEmbedder, faces: list[Embedding]) -> TemplateIndex:
    index = TemplateIndex(len(embedder.card.quality_penalties), 128)
    penalties = penalties_of(embedder.card, [face.sample.quality for face in faces])
    index.add(
        [f"{number:032x}" for number in range(len(faces))],
        range(len(faces)),
        np.array([face.vector for face in faces]),
        penalties,
    )
    return index


def known(names: Mapping[int, str]) -> Callable[[Sequence[str]], dict[str, str]]:
    """Whose the templates of `index_of` are, by the places of their faces."""
    return lambda ids: {each: names[int(each, 16)] for each in ids if int(each, 16) in names}


Ask = Callable[[Embedding, IdentifyOptions], Identification]


@pytest.fixture(scope="module")
def ask(embedder: FaceEmbedder, enrolled: dict[str, Embedding]) -> Ask:
    index = index_of(embedder, list(enrolled.values()))
    return lambda probe, options: identify(index, probe, embedder.card, known(dict(enumerate(PEOPLE))), options)


@pytest.mark.parametrize("person", PEOPLE)
def test_each_candidate_agrees_with_verify(embedder: FaceEmbedder, examples: Path, ask: Ask, person: str) -> None:
    photo = (examples / f"{person}-smiling.jpg").read_bytes()
    found = ask(embedder.embed(photo), IdentifyOptions(prior=0.3))
    assert found.match is not None
    assert found.match.person == person
    assert {each.person for each in found.candidates} == set(PEOPLE)
    for each in found.candidates:
        pair = embedder.verify(photo, (examples / f"{each.person}-neutral.jpg").read_bytes(), prior=0.3)
        assert (each.distance, each.normalized_distance) == pytest.approx((pair.distance, pair.normalized_distance))
        assert (each.probability, each.log_likelihood_ratio) == pytest.approx(
            (pair.probability, pair.log_likelihood_ratio)
        )
        assert each.is_match == (each.person == person)


def test_nobody_is_an_answer(embedder: FaceEmbedder, examples: Path, enrolled: dict[str, Embedding]) -> None:
    index = index_of(embedder, [enrolled[person] for person in PEOPLE[1:]])
    probe = embedder.embed((examples / "001-smiling.jpg").read_bytes())
    found = identify(index, probe, embedder.card, known(dict(enumerate(PEOPLE[1:]))))
    assert found.match is None
    assert len(found.candidates) == 3
    assert not any(each.is_match for each in found.candidates)


def test_an_empty_gallery_identifies_nobody_and_claims_nothing(
    embedder: FaceEmbedder, enrolled: dict[str, Embedding]
) -> None:
    index = TemplateIndex(len(embedder.card.quality_penalties), 128)
    found = identify(index, enrolled["001"], embedder.card, known({}))
    assert (found.candidates, found.claim, found.match) == ((), None, None)


def test_the_prior_is_shared_by_all_people_and_nobody(ask: Ask, enrolled: dict[str, Embedding]) -> None:
    found = ask(enrolled["001"], IdentifyOptions())
    assert found.prior == 1 / 5
    for each in found.candidates:
        assert each.probability == posterior(each.log_likelihood_ratio or 0, 1 / 5)


def test_the_claim_is_that_of_as_many_templates(
    embedder: FaceEmbedder, ask: Ask, enrolled: dict[str, Embedding]
) -> None:
    found = ask(enrolled["001"], IdentifyOptions(fpir=1e-4, limit=2))
    assert found.claim == claim_for(embedder.card, fpir=1e-4, n_templates=4)
    assert len(found.candidates) == 2
    with pytest.raises(ClaimUnavailable, match="at most 1 templates"):
        ask(enrolled["001"], IdentifyOptions(fpir=1e-6))


def test_who_is_forgotten_by_now_is_no_candidate(embedder: FaceEmbedder, enrolled: dict[str, Embedding]) -> None:
    index = index_of(embedder, list(enrolled.values()))
    found = identify(index, enrolled["001"], embedder.card, known({1: "005", 2: "021", 3: "041"}))
    assert "001" not in {each.person for each in found.candidates}
    assert len(found.candidates) == 3


def test_a_card_without_penalties_and_calibration_gives_distances(bare_embedder: FaceEmbedder, examples: Path) -> None:
    card = bare_embedder.card
    probe, other = (bare_embedder.embed((examples / f"001-{name}.jpg").read_bytes()) for name in ("neutral", "smiling"))
    (candidate,) = identify(index_of(bare_embedder, [other]), probe, card, known({0: "001"})).candidates
    assert candidate.distance == candidate.normalized_distance
    assert (candidate.probability is None) == (card.calibration is None)


@pytest.mark.parametrize(
    "values", [{"fpir": 0}, {"fpir": 1}, {"prior": 0}, {"prior": 1.0}, {"limit": 0}, {"limit": 101}]
)
def test_options_that_make_no_sense_are_refused(values: dict[str, float]) -> None:
    (name,) = values
    with pytest.raises(ValueError, match=name):
        IdentifyOptions(**values)  # type: ignore[arg-type]
