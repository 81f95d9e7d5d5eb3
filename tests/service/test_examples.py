"""The example answers are those of the built-in model, and the document of the API shows them."""

from pathlib import Path

import pytest

from embedder import Comparison, FaceEmbedder
from service import examples as told
from service import translate

API_DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"
SHOWN = [
    told.VERIFY_ANSWER,
    told.VERIFY_MANY_ANSWER["results"][2]["verdict"],
]


@pytest.fixture(scope="module")
def found(embedder: FaceEmbedder, examples: Path) -> list[Comparison]:
    names = ("001-neutral", "001-smiling", "005-neutral")
    probe, *references = ((examples / f"{name}.jpg").read_bytes() for name in names)
    return list(embedder.verify_many(probe, references).results)


def test_the_examples_name_the_model_that_is_built_in(embedder: FaceEmbedder) -> None:
    identity = embedder.identity
    wanted = {"name": identity.name, "digest": identity.digest, "card_digest": identity.card_digest}
    assert told.VERIFY_ANSWER["model"] == told.VERIFY_MANY_ANSWER["model"] == told.COMPARE_ANSWER["model"] == wanted


def test_the_examples_judge_by_the_default_point_of_the_card(found: list[Comparison]) -> None:
    for comparison, example in zip(found, SHOWN, strict=True):
        answered = translate.verdict(comparison).model_dump(mode="json")
        standard = {key: answered[key] for key in ("threshold", "operating_point", "prior")}
        assert standard == {key: example[key] for key in standard}
        assert standard == {key: told.COMPARE_ANSWER[key] for key in standard}


@pytest.mark.parametrize("key", ["same", "distance", "probability", "log_likelihood_ratio"])
def test_the_examples_say_what_the_model_says_of_the_example_photos(key: str, found: list[Comparison]) -> None:
    answers = [getattr(comparison, key) for comparison in found]
    assert [example[key] for example in SHOWN] == pytest.approx(answers, abs=1e-4)
    assert [example[key] for example in told.COMPARE_ANSWER["results"]] == pytest.approx(answers, abs=1e-4)


def test_the_document_of_the_api_shows_the_figures_of_the_examples() -> None:
    document = API_DOCUMENT.read_text(encoding="utf-8")
    figures = {**told.VERIFY_ANSWER["operating_point"], **told.VERIFY_ANSWER}
    keys = {"distance", "probability", "log_likelihood_ratio", "prior", *told.VERIFY_ANSWER["operating_point"]}
    shown = [f'"{key}": {figures[key]}' for key in keys - {"name", "note"}]
    shown += [f'"{key}": "{told.VERIFY_ANSWER["model"][key][:15]}...' for key in ("digest", "card_digest")]
    assert [figure for figure in shown if figure not in document] == []
