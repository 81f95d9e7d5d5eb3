"""When the client asks again, and after how long."""

import random
from datetime import UTC, datetime
from email.utils import format_datetime

import httpx2
import pytest
from hypothesis import given, strategies as st

from service.client import Retry

NOW_S = 1_800_000_000.0
BUSY = httpx2.Response(503)
LOST = httpx2.ConnectError("refused")


def retry(seed: int = 0, **numbers: float) -> Retry:
    rng = random.Random(seed)  # noqa: S311 - spreads pauses, guards nothing
    return Retry(rng=rng, now_s=lambda: NOW_S, **numbers)


def busy(retry_after: str) -> httpx2.Response:
    return httpx2.Response(503, headers={"retry-after": retry_after})


@given(n_made=st.integers(1, 3), seed=st.integers())
def test_a_pause_lies_between_half_and_all_of_the_doubled_first_pause(n_made: int, seed: int) -> None:
    full_s = 0.25 * 2 ** (n_made - 1)
    assert full_s / 2 <= retry(seed).pause_s(n_made, BUSY) <= full_s


@given(n_made=st.integers(1, 10_000), seed=st.integers())
def test_no_pause_is_longer_than_the_longest(n_made: int, seed: int) -> None:
    assert retry(seed, attempts=20_000, longest_pause_s=3.0).pause_s(n_made, BUSY) <= 3.0


@given(seconds=st.integers(0, 8), n_made=st.integers(1, 3), seed=st.integers())
def test_the_client_never_comes_back_before_the_time_it_was_told(seconds: int, n_made: int, seed: int) -> None:
    pause_s = retry(seed).pause_s(n_made, busy(str(seconds)))
    assert seconds < pause_s <= seconds + 0.25


def test_one_generator_gives_one_series_of_pauses() -> None:
    first, second = retry(7), retry(7)
    assert [first.pause_s(n, BUSY) for n in (1, 2, 3)] == [second.pause_s(n, BUSY) for n in (1, 2, 3)]


def test_two_clients_do_not_wait_in_step() -> None:
    assert retry(1).pause_s(1, BUSY) != retry(2).pause_s(1, BUSY)


def test_the_last_attempt_is_final() -> None:
    assert retry(attempts=3).pause_s(2, BUSY) is not None
    assert retry(attempts=3).pause_s(3, BUSY) is None


def test_one_attempt_never_asks_again() -> None:
    assert retry(attempts=1).pause_s(1, LOST) is None


def test_a_retry_after_beyond_the_longest_pause_ends_the_attempts() -> None:
    assert retry().pause_s(1, busy("9")) is None
    assert retry().pause_s(1, busy("9" * 400)) is None


def test_a_retry_after_that_is_a_date_counts_from_the_clock() -> None:
    in_five_s = format_datetime(datetime.fromtimestamp(NOW_S + 5, UTC), usegmt=True)
    assert retry().retry_after_s(busy(in_five_s)) == 5.0


def test_a_date_in_the_past_means_at_once() -> None:
    assert retry().retry_after_s(busy("Wed, 21 Oct 2015 07:28:00 GMT")) == 0.0


@pytest.mark.parametrize("value", ["", "soon", "-3", "1.5", "²", "Wed, 99 Oct 2015", "0x10"])
def test_a_retry_after_that_nobody_can_read_counts_as_none(value: str) -> None:
    response = httpx2.Response(503, headers=[(b"retry-after", value.encode())])
    assert retry().retry_after_s(response) is None
    assert retry().pause_s(1, response) is not None


@pytest.mark.parametrize("status", [200, 400, 404, 409, 413, 415, 422, 500, 502, 504])
def test_every_other_answer_is_final(status: int) -> None:
    assert retry().pause_s(1, httpx2.Response(status)) is None


@pytest.mark.parametrize(
    "error",
    [httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError],
)
def test_a_lost_connection_is_tried_again(error: type[httpx2.RequestError]) -> None:
    assert retry().pause_s(1, error("lost")) is not None


@pytest.mark.parametrize(
    "error",
    [httpx2.ReadTimeout, httpx2.WriteTimeout, httpx2.PoolTimeout, httpx2.DecodingError, httpx2.LocalProtocolError],
)
def test_what_asking_again_cannot_mend_is_final(error: type[httpx2.RequestError]) -> None:
    assert retry().pause_s(1, error("odd")) is None


@pytest.mark.parametrize("numbers", [{"attempts": 0}, {"first_pause_s": -1}, {"first_pause_s": 9.0}])
def test_a_retry_that_makes_no_sense_is_refused(numbers: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="attempts >= 1"):
        Retry(**numbers)
