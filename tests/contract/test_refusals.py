"""What the real service refuses arrives as the client's own error, and says what to do."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from PIL import Image

from embedder import DigestMismatch, OperatingPointUnavailable, SampleError
from gallery import GalleryError
from service.client import (
    BusyError,
    ClientError,
    DigestMismatchError,
    FaceClient,
    ImageTooLargeError,
    ImageUnreadableError,
    NoFaceError,
    NoSuchFaceError,
    NotAnImageError,
    OperatingPointUnavailableError,
    RequestRejected,
    Retry,
    SeveralFacesError,
    TimedOut,
    Unreachable,
    errors,
)
from service.errors import Forbidden, RateLimited, Unauthorized
from service.problem_types import TABLE
from service.settings import Settings

if TYPE_CHECKING:
    from tests.contract.conftest import Ask, Serve

Photo = Callable[[str], bytes]
OTHER_DIGEST = "sha256:" + "0" * 64


def refused(ask: Ask, kind: type[ClientError], method: str, *args: object, **named: object) -> ClientError:
    with pytest.raises(ClientError) as caught:
        ask(method, *args, **named)
    assert type(caught.value) is kind
    return caught.value


def facts(error: ClientError) -> tuple[int | None, str | None, str | None, int | None]:
    return error.status, error.code, error.image, error.n_faces


def test_a_probe_without_a_face(ask: Ask, nobody: bytes, photo: Photo) -> None:
    error = refused(ask, NoFaceError, "verify", nobody, photo("001-neutral"))
    assert facts(error) == (422, "no_face", "probe", 0)
    assert error.request_id


def test_a_reference_without_a_face(ask: Ask, nobody: bytes, photo: Photo) -> None:
    assert facts(refused(ask, NoFaceError, "verify", photo("001-neutral"), nobody)) == (422, "no_face", "reference", 0)


def test_an_explanation_is_refused_as_a_verification_is(ask: Ask, nobody: bytes, photo: Photo) -> None:
    assert facts(refused(ask, NoFaceError, "explain", photo("001-neutral"), nobody)) == (422, "no_face", "reference", 0)
    strict = {"operating_point": "fmr=1e-9", "saliency": False}
    refused(ask, OperatingPointUnavailableError, "explain", photo("001-neutral"), photo("001-smiling"), **strict)


def test_a_single_image_without_a_face_has_no_role(ask: Ask, nobody: bytes) -> None:
    assert facts(refused(ask, NoFaceError, "embed", nobody)) == (422, "no_face", None, 0)


def test_a_probe_without_a_face_spoils_all_of_many(ask: Ask, nobody: bytes, photo: Photo) -> None:
    assert refused(ask, NoFaceError, "verify_many", nobody, [photo("001-neutral")]).image == "probe"


def test_two_faces_are_refused_with_their_number_and_the_way_out(ask: Ask, two_people: bytes, photo: Photo) -> None:
    error = refused(ask, SeveralFacesError, "verify", photo("001-neutral"), two_people)
    assert facts(error) == (422, "several_faces", "reference", 2)
    assert "face=largest" in str(error)


def test_a_place_without_a_face_is_refused_with_the_number_of_faces(ask: Ask, two_people: bytes, photo: Photo) -> None:
    error = refused(ask, NoSuchFaceError, "verify", photo("001-neutral"), two_people, reference_face=2)
    assert facts(error) == (422, "no_such_face", "reference", 2)
    assert "index 2; found 2 faces" in str(error)
    error = refused(ask, NoSuchFaceError, "embed", two_people, face="at:600,5")
    assert facts(error) == (422, "no_such_face", None, 2)
    assert "the nearest has its centre at" in str(error)


def test_the_only_rule_refuses_a_second_face(ask: Ask, two_people: bytes) -> None:
    assert refused(ask, SeveralFacesError, "embed", two_people, face="only").n_faces == 2


@pytest.mark.parametrize("content", [b"", b"just text", b"%PDF-1.7 ..."])
def test_what_is_no_image(ask: Ask, photo: Photo, content: bytes) -> None:
    error = refused(ask, NotAnImageError, "verify", photo("001-neutral"), content)
    assert facts(error) == (415, "not_an_image", "reference", None)


def test_an_image_that_is_cut_short(ask: Ask, photo: Photo) -> None:
    assert refused(ask, ImageUnreadableError, "detect", photo("001-neutral")[:2000]).status == 422


def test_an_image_of_too_many_pixels(ask: Ask) -> None:
    out = BytesIO()
    Image.new("1", (8000, 8000)).save(out, "PNG")
    assert facts(refused(ask, ImageTooLargeError, "detect", out.getvalue())) == (413, "image_too_large", None, None)


def test_an_image_of_too_many_bytes(ask: Ask, photo: Photo) -> None:
    too_many = photo("001-neutral") + bytes(21 * 2**20)
    assert refused(ask, ImageTooLargeError, "verify", too_many, photo("001-neutral")).image == "probe"


def test_a_body_that_no_request_needs_is_refused_and_not_taken_for_a_lost_connection(ask: Ask) -> None:
    assert facts(refused(ask, RequestRejected, "detect", bytes(60 * 2**20))) == (413, "body_too_large", None, None)


def test_an_embedding_of_another_model(ask: Ask, photo: Photo) -> None:
    vector = ask("embed", photo("001-neutral")).embedding
    error = refused(ask, DigestMismatchError, "compare", vector, [vector], model_digest=OTHER_DIGEST)
    assert facts(error) == (409, "digest_mismatch", None, None)


def test_a_point_that_the_model_does_not_have_is_refused_with_those_it_has(ask: Ask, photo: Photo) -> None:
    pair = photo("001-neutral"), photo("001-smiling")
    error = refused(ask, OperatingPointUnavailableError, "verify", *pair, operating_point="fmr=1e-9")
    assert facts(error) == (422, "operating_point_unavailable", None, None)
    assert error.available == tuple(point.name for point in ask("model").operating_points)
    vector = [128**-0.5] * 128
    digest = ask("model").digest
    named = {"model_digest": digest, "operating_point": "strict"}
    assert refused(ask, OperatingPointUnavailableError, "compare", vector, [vector], **named).available


def test_a_threshold_and_a_point_at_once_are_refused_before_anything_is_sent(ask: Ask, photo: Photo) -> None:
    pair = photo("001-neutral"), photo("001-smiling")
    with pytest.raises(ValueError, match="not both"):
        ask("verify", *pair, threshold=0.5, operating_point="fmr-1e-3")


def test_an_answer_of_embed_is_not_compared_under_another_digest(ask: Ask, photo: Photo) -> None:
    answer = ask("embed", photo("001-neutral"))
    error = refused(ask, DigestMismatchError, "compare", answer, [answer], model_digest=OTHER_DIGEST)
    assert error.status is None


def test_the_name_of_a_persons_file_is_in_no_error(ask: Ask, nobody: bytes, tmp_path: Path) -> None:
    path = tmp_path / "jane-doe.png"
    path.write_bytes(nobody)
    error = refused(ask, NoFaceError, "embed", path)
    assert "jane" not in f"{error} {error!r} {vars(error)}"


def test_a_wrong_path_in_the_address_is_told_as_such(url: str) -> None:
    with FaceClient(f"{url}/elsewhere") as client, pytest.raises(RequestRejected) as caught:
        client.model()
    assert (caught.value.status, caught.value.code) == (404, "not_found")


def test_every_error_of_images_embeddings_points_and_access_that_the_service_has_is_a_class_here() -> None:
    kinds = SampleError | DigestMismatch | OperatingPointUnavailable | Unauthorized | Forbidden | RateLimited
    theirs = {kind.code for kind in TABLE if issubclass(kind, kinds)}
    of_galleries = {kind.code for kind in TABLE if issubclass(kind, GalleryError)}
    assert theirs == set(errors.KINDS) - of_galleries


def test_a_port_where_nothing_listens_is_unreachable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        pauses_s: list[float] = []
        with FaceClient(url, sleep=pauses_s.append) as client, pytest.raises(Unreachable, match=url):
            client.model()
    assert len(pauses_s) == 3


def test_a_time_that_is_too_short_runs_out(url: str, photo: Photo) -> None:
    with FaceClient(url, timeout_s=0.001) as client, pytest.raises(TimedOut):
        client.verify(photo("001-neutral"), photo("001-smiling"))


@contextmanager
def place_taken(url: str) -> Iterator[Callable[[], None]]:
    """Take the service's one place: announce a photo and do not send it. Gives the way to leave again."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port)) as slow:
        head = f"POST /v1/faces HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 1000\r\n"
        slow.sendall(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode())
        yield slow.close


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline_s, "it does not come about"
        time.sleep(0.02)


def is_busy(url: str, photo: bytes) -> bool:
    with FaceClient(url, retry=Retry(attempts=1)) as client:
        try:
            client.detect(photo)
        except BusyError:
            return True
    return False


@pytest.fixture
def narrow(serve: Serve) -> Iterator[str]:
    """The address of a service with one place."""
    with serve(Settings(max_concurrent=1, max_waiting=0)) as url:
        yield url


def test_a_busy_service_says_so_and_when_to_come_back(narrow: str, nobody: bytes) -> None:
    pauses_s: list[float] = []
    with place_taken(narrow), FaceClient(narrow, sleep=pauses_s.append) as client:
        wait_until(lambda: is_busy(narrow, nobody))
        with pytest.raises(BusyError) as caught:
            client.detect(nobody)
    assert (caught.value.status, caught.value.code, caught.value.retry_after_s) == (503, "busy", 1.0)
    assert caught.value.request_id
    assert len(pauses_s) == 3
    assert all(1 < pause_s <= 1.25 for pause_s in pauses_s)


def test_a_busy_service_answers_once_a_place_is_free(narrow: str, photo: Photo) -> None:
    pauses_s: list[float] = []
    with place_taken(narrow) as leave:

        def leave_and_wait(pause_s: float) -> None:
            pauses_s.append(pause_s)
            leave()
            wait_until(lambda: not is_busy(narrow, photo("001-neutral")))

        wait_until(lambda: is_busy(narrow, photo("001-neutral")))
        with FaceClient(narrow, sleep=leave_and_wait) as client:
            assert len(client.detect(photo("001-neutral")).faces) == 1
    assert len(pauses_s) == 1


def test_a_service_that_was_started_again_is_found_again_by_the_same_client(serve: Serve, photo: Photo) -> None:
    pauses_s: list[float] = []
    with serve(Settings()) as url:
        client = FaceClient(url, sleep=pauses_s.append)
        assert len(client.detect(photo("001-neutral")).faces) == 1
    with serve(Settings(), port=urlsplit(url).port), client:  # the connection that was kept is dead by now
        assert len(client.detect(photo("001-neutral")).faces) == 1
    assert len(pauses_s) <= 1


def test_a_lone_image_that_cannot_be_embedded(ask: Ask) -> None:
    error = refused(ask, NotAnImageError, "embed_all", [b"no image"])
    assert facts(error) == (415, "not_an_image", None, None)
