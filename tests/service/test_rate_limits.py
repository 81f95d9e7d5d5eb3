"""Limits of keys and addresses: how many requests pass, what their headers say, and that memory is bounded."""

import json
import random
import re
from pathlib import Path

import pytest
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers
from starlette.testclient import TestClient

from embedder import FaceEmbedder
from service.access import rate_limits
from service.access.caller import Caller, network_of
from service.access.control import AccessPolicy, TrustedProxies
from service.access.keys import KeyFile, KeyGrant, NewKey
from service.access.rate_limits import BoundedStorage, RateCounter, RateLimits, joined
from service.app import create_app
from service.client import AccessDenied, FaceClient, RateLimitedError
from service.errors import RateLimited
from service.settings import Settings


class Clock:
    """A clock that is set by hand; seconds."""

    def __init__(self, now_s: float = 1_800_000_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def passes(limits: RateLimits, address: str = "192.0.2.1") -> bool:
    try:
        limits.count_address(address)
    except RateLimited:
        return False
    return True


def key(tmp_path: Path, **limits: str) -> NewKey:
    return KeyFile(tmp_path / "keys.json").create(KeyGrant("app", ("verify",), **limits))


def test_counting_agrees_with_the_librarys_own_storage(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limits.storage.memory.time.time", clock)
    item, rng = parse("7/minute"), random.Random(1)  # noqa: S311 - a simulation
    ours = SlidingWindowCounterRateLimiter(BoundedStorage(1000, clock))
    theirs = SlidingWindowCounterRateLimiter(MemoryStorage())
    verdicts = []
    for _ in range(2000):
        clock.now_s += rng.expovariate(1 / 6)
        verdicts.append((ours.hit(item, "a"), theirs.hit(item, "a")))
    assert all(mine == other for mine, other in verdicts)
    assert {mine for mine, _ in verdicts} == {True, False}


def test_a_window_lets_pass_what_its_limit_says(clock: Clock) -> None:
    limits = RateLimits(of_address="5/minute", counter=RateCounter(clock=clock))
    assert [passes(limits) for _ in range(7)] == [True] * 5 + [False] * 2
    assert passes(limits, "192.0.2.2")


@pytest.mark.parametrize("seed", range(5))
def test_the_time_to_wait_is_long_enough_and_hardly_longer(seed: int, clock: Clock) -> None:
    rng = random.Random(seed)  # noqa: S311 - a simulation
    limits = RateLimits(of_address="20/minute", counter=RateCounter(clock=clock))
    n_refused = 0
    for _ in range(500):
        clock.now_s += rng.expovariate(1 / 2)
        try:
            limits.count_address("192.0.2.1")
        except RateLimited as refusal:
            n_refused += 1
            wait_s = int(refusal.headers["Retry-After"])
            assert 1 <= wait_s <= 61
            clock.now_s += max(0.0, wait_s - 1.001)
            assert wait_s == 1 or not passes(limits)
            clock.now_s += 1.001
            assert passes(limits)
    assert n_refused > 20


def test_the_headers_tell_limit_and_rest(clock: Clock, tmp_path: Path) -> None:
    record = key(tmp_path, rate="3/minute", quota="100/day").record
    limits = RateLimits(of_key="1/second", counter=RateCounter(clock=clock))
    for left in (2, 1, 0):
        told = limits.count_key(record)
        assert told["RateLimit-Policy"] == '"key";q=3;w=60, "quota";q=100;w=86400'
        rest = re.fullmatch(r'"key";r=(\d+);t=(\d+), "quota";r=(\d+);t=(\d+)', told["RateLimit"])
        assert rest is not None
        assert (int(rest[1]), int(rest[3])) == (left, 97 + left)
        assert 1 <= int(rest[2]) <= 61
        assert int(rest[2]) <= int(rest[4]) <= 86401
    with pytest.raises(RateLimited, match="3 requests per minute") as refusal:
        limits.count_key(record)
    assert refusal.value.headers["RateLimit"].startswith('"key";r=0;')
    assert '"quota";r=97;' in refusal.value.headers["RateLimit"]  # a refused request takes nothing from the quota


def test_a_key_without_a_limit_of_its_own_has_the_default_one(clock: Clock, tmp_path: Path) -> None:
    record = key(tmp_path).record
    assert RateLimits(counter=RateCounter(clock=clock)).count_key(record) == {}
    limits = RateLimits(of_key="1/hour", counter=RateCounter(clock=clock))
    limits.count_key(record)
    with pytest.raises(RateLimited, match="1 requests per hour"):
        limits.count_key(record)


def test_headers_of_several_limits_are_joined() -> None:
    assert joined({"A": "1"}, {}, {"A": "2", "B": "3"}) == {"A": "1, 2", "B": "3"}


def test_addresses_of_one_ipv6_customer_count_as_one(clock: Clock) -> None:
    limits = RateLimits(of_address="3/minute", counter=RateCounter(clock=clock))
    assert [passes(limits, f"2001:db8:1:2::{n:x}") for n in range(1, 5)] == [True] * 3 + [False]
    assert passes(limits, "2001:db8:1:3::1")
    assert Caller(address="2001:db8:1:2::7").share == Caller(address="2001:db8:1:2:ffff::").share
    assert (network_of("192.0.2.7"), network_of("::ffff:192.0.2.7")) == ("192.0.2.7", "::ffff:192.0.2.7")
    assert network_of("testclient") == "testclient"


def test_many_addresses_take_bounded_memory_and_push_out_no_key(clock: Clock, tmp_path: Path) -> None:
    counter = RateCounter(100, clock)
    limits = RateLimits(of_key="1/day", of_address="1/day", counter=counter)
    record = key(tmp_path).record
    limits.count_key(record)
    for n in range(1000):
        limits.count_address(f"10.0.{n // 256}.{n % 256}")
    storage = counter._limiters["address"].storage
    assert isinstance(storage, BoundedStorage)
    assert len(storage._counts) == 100
    assert not passes(limits, "10.0.3.231")
    with pytest.raises(RateLimited):
        limits.count_key(record)


def test_wrong_keys_of_an_address_are_limited_and_valid_ones_go_on(
    embedder: FaceEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = key(tmp_path)
    a_day = rate_limits.FAILED_KEYS.replace("minute", "day")  # a minute may end between two requests
    monkeypatch.setattr(rate_limits, "FAILED_KEYS", a_day)
    client = TestClient(create_app(Settings(keys=str(tmp_path / "keys.json")), embedder))
    statuses = [client.get("/v1/model").status_code for _ in range(62)]
    assert statuses == [401] * 60 + [429] * 2
    good = client.get("/v1/model", headers={"Authorization": f"Bearer {made.text}"})
    assert good.status_code == 200
    assert client.get("/").status_code == 200


def test_a_key_over_its_limit_gets_429_before_its_body_is_read(embedder: FaceEmbedder, tmp_path: Path) -> None:
    made = key(tmp_path, rate="2/hour")
    settings = Settings(keys=str(tmp_path / "keys.json"), address_rate_limit="50/hour")
    client = TestClient(create_app(settings, embedder), headers={"Authorization": f"Bearer {made.text}"})
    answers = [client.post("/v1/faces", content=b"x" * 1000) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [415, 415, 429]
    refused = answers[2]
    assert (refused.json()["code"], refused.headers["content-type"]) == ("rate_limited", "application/problem+json")
    assert 1 <= int(refused.headers["retry-after"]) <= 3601
    assert answers[0].headers["ratelimit-policy"] == '"address";q=50;w=3600, "key";q=2;w=3600'
    assert answers[0].headers["ratelimit"].startswith('"address";r=49;')
    assert made.record.id not in json.dumps(refused.json())


def test_the_client_tells_wrong_keys_missing_scopes_and_limits_apart(
    embedder: FaceEmbedder, tmp_path: Path, photos: dict[str, bytes]
) -> None:
    made = key(tmp_path, rate="2/hour")
    http = TestClient(create_app(Settings(keys=str(tmp_path / "keys.json")), embedder))
    client = FaceClient(http=http, api_key=made.text)
    assert client.model().name == "sface-128"
    with pytest.raises(AccessDenied, match="embed"):
        client.embed(photos["001-neutral"])
    with pytest.raises(RateLimitedError) as refusal:
        client.detect(photos["001-neutral"])
    assert refusal.value.retry_after_s is not None
    assert refusal.value.retry_after_s > 8  # too long to wait for
    for other in (FaceClient(http=http), FaceClient(http=http, api_key=made.text[:-1])):
        with pytest.raises(AccessDenied, match="valid key"):
            other.model()


def test_probes_are_never_limited(embedder: FaceEmbedder) -> None:
    client = TestClient(create_app(Settings(address_rate_limit="1/day"), embedder))
    assert [client.get("/v1/model").status_code for _ in range(2)] == [200, 429]
    assert {client.get("/healthz").status_code for _ in range(5)} == {200}


PROXY, OTHER_PROXY, ME = "10.0.0.1", "10.9.9.9", "203.0.113.5"


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        (PROXY, [ME], ME),
        (PROXY, [f"198.51.100.1, {ME}"], ME),  # the caller has written the first one
        (PROXY, [f"{ME}, {OTHER_PROXY}"], ME),
        (PROXY, ["198.51.100.1", f"{ME}, {OTHER_PROXY}"], ME),  # two headers
        (PROXY, [f"{ME}:4711"], ME),
        (PROXY, ["[2001:db8::7]:4711"], "2001:db8::7"),
        (PROXY, ["2001:db8::7"], "2001:db8::7"),
        (PROXY, [f"::ffff:{ME}"], ME),
        (f"::ffff:{PROXY}", [ME], ME),
        (PROXY, [OTHER_PROXY], OTHER_PROXY),
        (PROXY, [], PROXY),
        (PROXY, [""], PROXY),
        (PROXY, ["198.51.100.1, unknown"], PROXY),  # nothing is believed beyond what cannot be read
        (PROXY, ["198.51.100.1, evil'; --"], PROXY),
        (ME, ["198.51.100.1"], ME),  # whoever is no trusted proxy is not believed
        (ME, [PROXY], ME),
        ("", [ME], ""),
    ],
)
def test_the_address_is_the_last_that_no_trusted_proxy_has(peer: str, forwarded: list[str], address: str) -> None:
    networks = AccessPolicy.of(Settings(trusted_proxies=("10.0.0.0/8",))).proxies
    raw = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    assert networks.client_address(peer, Headers(raw=raw)) == address
    assert TrustedProxies().client_address(peer, Headers(raw=raw)) == peer


def test_a_made_up_address_escapes_no_limit(embedder: FaceEmbedder) -> None:
    client = TestClient(create_app(Settings(address_rate_limit="2/day"), embedder))
    statuses = [client.get("/v1/model", headers={"X-Forwarded-For": f"192.0.2.{n}"}).status_code for n in range(4)]
    assert statuses == [200, 200, 429, 429]
