"""Every refusal has a class, and every class carries what is known."""

import copy
import inspect
import pickle
import re

import pytest

from service.client import (
    AccessDenied,
    BusyError,
    ClientError,
    DigestMismatchError,
    FaceRejected,
    ImageRejected,
    ImageTooLargeError,
    ImageTooSlowError,
    ImageUnreadableError,
    LowQualityError,
    NoFaceError,
    NotAnImageError,
    OperatingPointUnavailableError,
    Problem,
    RateLimitedError,
    RequestRejected,
    SampleRejected,
    ServerError,
    ServiceFailed,
    SeveralFacesError,
    errors,
    from_problem,
)


def problem(code: str, status: int, **more: object) -> Problem:
    return Problem(title="t", status=status, detail="it was so", code=code, **more)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("no_face", 422, NoFaceError),
        ("several_faces", 422, SeveralFacesError),
        ("face_error", 422, FaceRejected),
        ("low_quality", 422, LowQualityError),
        ("image_too_large", 413, ImageTooLargeError),
        ("not_an_image", 415, NotAnImageError),
        ("image_unreadable", 422, ImageUnreadableError),
        ("image_too_slow", 422, ImageTooSlowError),
        ("image_error", 422, ImageRejected),
        ("sample_error", 422, SampleRejected),
        ("digest_mismatch", 409, DigestMismatchError),
        ("operating_point_unavailable", 422, OperatingPointUnavailableError),
        ("malformed_request", 400, RequestRejected),
        ("not_found", 404, RequestRejected),
        ("body_too_large", 413, RequestRejected),
        ("a_code_of_a_newer_service", 422, RequestRejected),
        ("unauthorized", 401, AccessDenied),
        ("forbidden", 403, AccessDenied),
        ("rate_limited", 429, RateLimitedError),
        ("busy", 503, BusyError),
        ("not_ready", 503, BusyError),
        ("internal_error", 500, ServiceFailed),
        ("a_code_of_a_newer_service", 507, ServiceFailed),
    ],
)
def test_every_code_has_its_class_and_an_unknown_one_that_of_its_status(code: str, status: int, kind: type) -> None:
    assert type(from_problem(problem(code, status))) is kind


def test_an_error_carries_all_that_the_problem_says(no_face: Problem) -> None:
    error = from_problem(no_face, retry_after_s=2.0)
    assert (error.status, error.code, error.request_id) == (422, "no_face", "r-2")
    assert (error.image, error.n_faces, error.retry_after_s) == ("probe", 0, 2.0)


def test_a_point_that_is_not_there_comes_with_those_that_are(no_face: Problem) -> None:
    error = from_problem(problem("operating_point_unavailable", 422, available=["fmr-1e-2", "fmr-1e-3"]))
    assert error.available == ("fmr-1e-2", "fmr-1e-3")
    assert isinstance(error, RequestRejected)
    assert from_problem(no_face).available is None


def test_a_photo_that_is_too_poor_comes_with_the_measure_and_by_how_much(no_face: Problem) -> None:
    error = from_problem(problem("low_quality", 422, image="probe", measure="sharpness", value=0.1, limit=0.2))
    assert (error.image, error.measure, error.value, error.limit) == ("probe", "sharpness", 0.1, 0.2)
    assert isinstance(error, SampleRejected)
    none = from_problem(no_face)
    assert (none.measure, none.value, none.limit) == (None, None, None)


def test_an_errors_text_says_what_happened_and_how_to_find_it_in_the_log(no_face: Problem) -> None:
    expected = "no face was found [image=probe, code=no_face, status=422, request_id=r-2]"
    assert str(from_problem(no_face)) == expected


def test_an_error_of_which_nothing_is_known_says_only_its_message() -> None:
    assert str(ClientError("gone")) == "gone"
    assert ClientError("gone").status is None


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])  # noqa: S301 - our own bytes
def test_an_error_survives_the_way_out_of_a_worker_process(again: object, no_face: Problem) -> None:
    error = from_problem(no_face)
    other = again(error)
    assert (type(other), str(other), vars(other)) == (type(error), str(error), vars(error))


def test_one_clause_catches_all_that_is_wrong_with_an_image() -> None:
    assert issubclass(NoFaceError, SampleRejected)
    assert issubclass(NotAnImageError, SampleRejected)
    assert issubclass(SampleRejected, ServerError)


def test_the_tree_drawn_at_the_head_is_the_tree_that_is() -> None:
    drawn: list[tuple[str, str]] = []
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"([│├└─ ]*)([A-Z]\w+)(?:\s{2,}|$)", line):
            depth = len(found[1]) // 4
            above[depth:] = [found[2]]
            drawn.append((found[2], above[depth - 1] if depth else "Exception"))
    kinds = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, ClientError)}
    assert sorted(drawn) == sorted((kind.__name__, kind.__base__.__name__) for kind in kinds)
