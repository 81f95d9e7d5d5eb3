"""Which photos are left out before faces are found, against a plainer way to decide it."""

from pathlib import Path

import pytest
from hypothesis import assume, given, strategies as st

from train.data.photos import DigestedPhoto, SkippedPhoto
from train.data.plan import MIN_PEOPLE, ExcludedSet, plan_preparation
from train.errors import DataError
from train.evaluation.protocols.protocol import LabeledPhoto

LFW = ExcludedSet("lfw", {"ann lee": "Ann_Lee"}, {"image 9": "Zed/Zed_0001.jpg"})


def known(name: str, image: str) -> DigestedPhoto:
    return DigestedPhoto(LabeledPhoto(Path("/x", name), name, name.partition("/")[0]), image)


def plan_of(found: list[DigestedPhoto | SkippedPhoto], *excluded: ExcludedSet) -> tuple[list[str], dict[str, str]]:
    photos = [each.photo if isinstance(each, DigestedPhoto) else known(each.name, "").photo for each in found]
    plan = plan_preparation(found, photos, excluded)
    return [each.photo.name for each in plan.photos], {each.name: each.code for each in plan.skipped}


OTHERS: list[DigestedPhoto | SkippedPhoto] = [known("x/1", "image 100"), known("y/1", "image 101")]


def test_of_the_same_image_of_a_person_the_first_is_kept() -> None:
    kept, skipped = plan_of([known("bo/1", "image 1"), known("bo/2", "image 1"), known("bo/3", "image 2"), *OTHERS])
    assert kept == ["bo/1", "bo/3", "x/1", "y/1"]
    assert skipped == {"bo/2": "duplicate"}


def test_the_same_image_of_two_people_is_kept() -> None:
    kept, skipped = plan_of([known("bo/1", "image 1"), known("cy/1", "image 1"), *OTHERS])
    assert (len(kept), skipped) == (4, {})


def test_people_of_an_evaluation_set_are_left_out_however_their_names_are_written() -> None:
    found: list[DigestedPhoto | SkippedPhoto] = [known("ann-lee/1", "image 1"), known("ANN LEE/1", "image 2"), *OTHERS]
    plan = plan_preparation(found, [each.photo for each in found if isinstance(each, DigestedPhoto)], [LFW])
    assert [(one.identity, one.theirs, one.evaluation, one.n_photos) for one in plan.shared_people] == [
        ("ANN LEE", "Ann_Lee", "lfw", 1),
        ("ann-lee", "Ann_Lee", "lfw", 1),
    ]
    assert {each.code for each in plan.skipped} == {"excluded_identity"}
    assert plan.skipped[0].words == "the person is in lfw, as Ann_Lee"


def test_images_of_an_evaluation_set_are_left_out_whatever_the_name() -> None:
    kept, skipped = plan_of([known("bo/1", "image 9"), known("bo/2", "image 2"), *OTHERS], LFW)
    assert skipped == {"bo/1": "excluded_image"}
    assert kept[0] == "bo/2"


def test_fewer_than_two_people_are_refused_with_the_reason() -> None:
    gone = SkippedPhoto("bo/1", "file_unreadable", "the file cannot be read: No such file or directory")
    with pytest.raises(
        DataError,
        match=r"two persons are needed, but 1 of 3 remain: left out were file_unreadable 1, excluded_identity 1 "
        r"photos, such as bo/1: the file cannot be read: No such file or directory; give more photos, or fewer --ex",
    ):
        plan_of([known("x/1", "image 1"), gone, known("Ann_Lee/1", "image 2")], LFW)


PHOTOS = st.lists(
    st.tuples(st.sampled_from(["ann lee", "bo", "cy", "dee"]), st.integers(0, 9), st.booleans()), max_size=14
)


@given(PHOTOS, st.sampled_from([(), (LFW,)]))
def test_every_photo_is_kept_or_skipped_as_the_plain_rules_say(
    rows: list[tuple[str, int, bool]], excluded: tuple[ExcludedSet, ...]
) -> None:
    found = [
        known(f"{who}/{k:02}", f"image {image}") if is_read else SkippedPhoto(f"{who}/{k:02}", "file_unreadable", "")
        for k, (who, image, is_read) in enumerate(rows)
    ]
    expected: dict[str, str] = {}
    for k, (who, image, is_read) in enumerate(rows):
        earlier = [row for row in rows[:k] if row == (who, image, True)]
        code = "kept"
        if not is_read:
            code = "file_unreadable"
        elif excluded and who == "ann lee":
            code = "excluded_identity"
        elif excluded and image == 9:
            code = "excluded_image"
        elif earlier:
            code = "duplicate"
        expected[f"{who}/{k:02}"] = code
    assume(len({name.split("/")[0] for name, code in expected.items() if code == "kept"}) >= MIN_PEOPLE)
    kept, skipped = plan_of(found, *excluded)
    assert dict.fromkeys(kept, "kept") | skipped == expected
    assert len(kept) + len(skipped) == len(rows)


def test_the_plan_s_digest_changes_with_name_person_and_image() -> None:
    def digest(*found: DigestedPhoto) -> str:
        return plan_preparation(found, [each.photo for each in found], []).digest

    first = known("bo/1", "image 1"), known("cy/1", "image 2")
    others = [
        (known("bo/2", "image 1"), first[1]),
        (known("bo/1", "image 3"), first[1]),
        (DigestedPhoto(LabeledPhoto(Path(), "bo/1", "dee"), "image 1"), first[1]),
    ]
    assert len({digest(*first), *(digest(*each) for each in others)}) == 4
