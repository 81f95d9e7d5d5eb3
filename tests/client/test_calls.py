"""What is asked, under which names, and what is refused before a photo travels."""

from collections import deque
from collections.abc import Callable, Sequence

import pytest

from service.client import calls
from service.client.calls import checked
from service.wire import DecisionOptions


def test_a_pair_travels_as_probe_and_reference() -> None:
    call = calls.verify(b"p", b"r")
    assert (call.method, call.path) == ("POST", "/v1/verify")
    assert call.images == (("probe", b"p"), ("reference", b"r"))
    assert call.fields == (("face", "dominant"), ("prior", "0.5"), ("quality", "refuse"))


def test_references_keep_their_order_under_one_name() -> None:
    call = calls.verify_many(b"p", [b"1", b"2"])
    assert call.path == "/v1/verify/many"
    assert call.images == (("probe", b"p"), ("reference", b"1"), ("reference", b"2"))


def test_faces_and_embeddings_take_one_image() -> None:
    assert (calls.detect(b"i").path, calls.detect(b"i").images) == ("/v1/faces", (("image", b"i"),))
    embed = calls.embed(b"i", face="center")
    assert (embed.path, embed.images, embed.fields) == ("/v1/embeddings", (("image", b"i"),), (("face", "center"),))


def test_images_to_embed_keep_their_order_and_ask_for_every_face() -> None:
    call = calls.embed_all([b"1", b"2"])
    assert (call.path, call.images) == ("/v1/embeddings", (("image", b"1"), ("image", b"2")))
    assert call.fields == (("face", "all"),)


@pytest.mark.parametrize("images", [b"1", "photo.jpg", bytearray(b"1"), {b"1"}, 1])
def test_one_image_instead_of_a_list_is_refused_before_it_is_sent(images: object) -> None:
    with pytest.raises(TypeError, match="images must be a sequence of images"):
        calls.embed_all(images)


@pytest.mark.parametrize("n_images", [0, 17])
def test_no_image_and_too_many_are_refused_before_they_are_sent(n_images: int) -> None:
    with pytest.raises(ValueError, match=f"embed 1 to 16 images at once, not {n_images}"):
        calls.embed_all([b"1"] * n_images)


@pytest.mark.parametrize("threshold", [0.6, 0.1 + 0.2, 1e-05, 10])
def test_a_threshold_arrives_as_the_number_it_was(threshold: float) -> None:
    call = calls.verify(b"p", b"r", threshold=threshold)
    assert float(dict(call.fields)["threshold"]) == threshold


@pytest.mark.parametrize("threshold", [0, -0.5, 10.5, float("nan"), float("inf"), "much"])
def test_a_threshold_that_cannot_be_one_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold="):
        checked(DecisionOptions, {"threshold": threshold})


def test_a_point_and_a_prior_travel_as_they_were_given() -> None:
    asked = {"operating_point": "fmr=1e-4", "prior": 1e-05}
    expected = (("face", "dominant"), ("operating_point", "fmr=1e-4"), ("prior", "1e-05"), ("quality", "refuse"))
    assert calls.verify(b"p", b"r", **asked).fields == expected
    assert calls.verify_many(b"p", [b"r"], **asked).fields == expected


def test_what_to_do_about_poor_photos_travels_as_it_was_given() -> None:
    asked = {"quality": "ignore"}
    assert dict(calls.verify(b"p", b"r", **asked).fields)["quality"] == "ignore"
    assert dict(calls.verify_many(b"p", [b"r"], **asked).fields)["quality"] == "ignore"


@pytest.mark.parametrize("quality", ["", "Refuse", "accept", None, True])
def test_an_unknown_choice_about_poor_photos_is_refused_with_the_known_ones(quality: object) -> None:
    for references in (b"r", [b"r"]):
        ask = calls.verify_many if isinstance(references, list) else calls.verify
        with pytest.raises(ValueError, match=r"quality=.*'refuse' or 'ignore'"):
            ask("no such photo", references, quality=quality)


@pytest.mark.parametrize("point", ["", "x" * 65, 1e-4])
def test_a_point_that_cannot_be_one_is_refused(point: str) -> None:
    with pytest.raises(ValueError, match="operating_point="):
        checked(DecisionOptions, {"operating_point": point})


@pytest.mark.parametrize("prior", [0, 1, -0.5, float("nan"), "half", None])
def test_a_prior_that_is_no_probability_is_refused(prior: float) -> None:
    with pytest.raises(ValueError, match="prior="):
        checked(DecisionOptions, {"prior": prior})


def test_a_threshold_and_a_point_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match="send threshold or operating_point, not both"):
        checked(DecisionOptions, {"threshold": 0.5, "operating_point": "fmr-1e-3"})


def test_an_unknown_face_rule_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="face='biggest': must be dominant, only, largest, center, at:x,y"):
        calls.embed(b"i", face="biggest")


@pytest.mark.parametrize("name", ["face", "probe_face", "reference_face"])
@pytest.mark.parametrize(
    "face", ["", "at:1", "at:1,2,3", "at:x,y", "at: 1,2", -1, "01", "1.0", True, "at:1e3,2", "\u0661", [1]]
)
def test_a_face_that_is_neither_rule_nor_place_is_refused(name: str, face: str) -> None:
    with pytest.raises(ValueError, match=f"{name}=.*at:x,y .a point on the face"):
        calls.verify("no such photo", "nor this", **{name: face})


def test_a_face_of_each_photo_travels_as_text() -> None:
    fields = dict(calls.verify(b"p", b"r", face=0, probe_face="at:12.5,-3", reference_face=2).fields)
    assert (fields["face"], fields["probe_face"], fields["reference_face"]) == ("0", "at:12.5,-3", "2")
    assert dict(calls.embed(b"i", face=1).fields) == {"face": "1"}


@pytest.mark.parametrize("sequence", [list, tuple, deque])
def test_references_are_any_sequence_of_images(sequence: Callable[[list[bytes]], Sequence[bytes]]) -> None:
    call = calls.verify_many(b"p", sequence([b"a", b"b"]))
    assert call.images == (("probe", b"p"), ("reference", b"a"), ("reference", b"b"))


@pytest.mark.parametrize(
    "references", [b"bytes", bytearray(b"bytes"), memoryview(b"bytes"), "path.jpg", {b"a", b"b"}, iter([b"a"])]
)
def test_one_image_in_place_of_a_list_is_refused(references: object) -> None:
    with pytest.raises(TypeError, match="references must be a sequence of images, such as a list, not"):
        calls.verify_many(b"p", references)


@pytest.mark.parametrize("n", [0, 17])
def test_more_or_fewer_references_than_the_service_takes_are_refused(n: int) -> None:
    with pytest.raises(ValueError, match="1 to 16 references"):
        calls.verify_many(b"p", [b"r"] * n)


def test_the_repr_of_a_call_shows_no_image() -> None:
    assert "secret" not in repr(calls.detect(b"secret"))


def test_a_name_that_is_no_option_is_refused_with_those_that_are() -> None:
    with pytest.raises(TypeError, match="no option 'treshold'; the options are: face, threshold, operating_point"):
        calls.verify(b"p", b"r", treshold=0.5)


def test_a_saliency_that_is_none_is_refused_before_it_is_sent() -> None:
    assert ("saliency", "false") in calls.explain(b"a", b"b", saliency=False).fields
    with pytest.raises(ValueError, match=r"^saliency='perhaps': "):
        calls.explain(b"a", b"b", saliency="perhaps")
