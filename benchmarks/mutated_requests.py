"""Requests for fuzz_service.py: valid ones for every route, each then changed in one respect. Opens no connection."""

import base64
import io
import json
import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeAlias
from urllib.parse import quote

from fuzz_parsers import FACES, mutated, seeds
from PIL import Image

from service import request_parsing as parsing
from service.openapi import EXAMPLE_IMAGE
from service.request_parsing import NoOptions, RequestSpec

FILE_NAME = "Erika-Mustermann-1964.jpg"  # no answer and no line of the log may repeat it
BOUNDARY = "----fuzz"
END = f"--{BOUNDARY}--\r\n".encode()
FORM, JSON = f"multipart/form-data; boundary={BOUNDARY}", "application/json"
PEOPLE_PHOTOS = ("001-neutral.jpg", "005-neutral.jpg")
Names: TypeAlias = Mapping[str, tuple[str, ...]]  # what may stand in an address: "gallery" -> names
GETS = ("/v1/model", "/v1/layers", "/v1/atlas", "/healthz", "/readyz", "/", "/docs", "/openapi.json", "/errors")
COMPARE = "/v1/embeddings/compare"
GALLERY = "/v1/galleries/{gallery}"
PEOPLE, PERSON, GONE = f"{GALLERY}/people", f"{GALLERY}/people/{{person}}", "/v1/galleries/gone"
PHOTO_SPECS = {
    f"{PERSON}/photos": parsing.ENROL,
    f"{GALLERY}/identify": parsing.IDENTIFY,
    f"{PERSON}/verify": parsing.PERSON_VERIFY,
}
SPECS: Mapping[str, RequestSpec[Any]] = PHOTO_SPECS | {
    "/v1/verify": parsing.VERIFY,
    "/v1/verify/many": parsing.VERIFY_MANY,
    "/v1/faces": parsing.FACES,
    "/v1/embeddings": parsing.EMBEDDING,
    "/v1/maps": parsing.MAPS,
    "/v1/explain": parsing.EXPLAIN,
}
# Those that forget people are few, and one gallery alone is forgotten: there must be something to find.
GALLERY_REQUESTS = (
    ("PUT", GALLERY), ("GET", GALLERY), ("GET", PEOPLE), ("GET", PEOPLE), ("PUT", PERSON), ("PUT", PERSON),
    ("GET", PERSON), ("GET", PERSON), ("DELETE", f"{PERSON}/templates/{{template}}"),
    ("DELETE", f"{GALLERY}/people/p-2"), ("PUT", GONE), ("DELETE", GONE),
)  # fmt: skip
NAMES: Mapping[str, tuple[str, ...]] = {
    "gallery": ("staff", "G\N{LATIN SMALL LETTER A WITH DIAERESIS}ste 2"),
    "person": ("p-1", "p-2", "100%", "a'b;c?#[]", "\N{CJK UNIFIED IDEOGRAPH-4EBA}", "..."),
    "template": ("0" * 32, "a-b_C"),
}
FACE_VALUES = ("dominant", "only", "largest", "center", "at:60,60", "0", "all")
OPTION_VALUES: Mapping[str, tuple[str, ...]] = {
    "face": FACE_VALUES,
    "probe_face": FACE_VALUES,
    "reference_face": FACE_VALUES,
    "threshold": ("1.0", "0.3"),
    "operating_point": ("fmr-1e-3", "fmr=1e-4"),
    "prior": ("0.5", "0.01"),
    "quality": ("ignore", "refuse"),
    "saliency": ("true", "false"),
    "layer": ("conv1", "conv9"),
    "fpir": ("0.01", "0.5", "1e-9"),
    "limit": ("1", "100"),
    "allow_duplicate": ("true", "false"),
    "note": ("north door", "n" * 2000),
    "consent": ('{"reference": "form 7", "given_on": "2026-11-28"}', "null"),
    "forget_at": ("2099-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59"),
}
TYPED = (
    "threshold",
    "prior",
    "saliency",
    "fpir",
    "limit",
    "allow_duplicate",
    "consent",
)  # the others are texts in JSON
ODD_TEXTS = (
    "", " ", "\0", "null", "NaN", "1e999", "-1", "0x10", "true", "\N{FULLWIDTH DIGIT ONE}", "\ufeff", "\u202e",
    "\ud800", "%00", "%ff", "../../etc/passwd", "http://127.0.0.1/", "' or 1=1 --", "<script>", "{{7*7}}", "${jndi:ldap://x}",
    "a" * 300, "a" * 5000, "at:1e9,1e9", "at:99999999,1", "999999", "fmr=", "fmr=0", "fmr=nan", "all", "\r\nX-Evil: 1",
)  # fmt: skip
ODD_VALUES: tuple[object, ...] = (
    *ODD_TEXTS, None, True, 0, -1, 10**400, 1e308, float("nan"), float("inf"), [], {}, [[]], [None] * 200, {"": {}},
    [0.0] * 127, [0.0] * 129, [1e39] * 128, [[0.0] * 128] * 3,
)  # fmt: skip
ODD_HEADERS: tuple[tuple[str, str], ...] = (
    ("Content-Type", "multipart/form-data"), ("Content-Type", "multipart/form-data; boundary="),
    ("Content-Type", "multipart/form-data; boundary=" + "b" * 500), ("Content-Type", "application/json; charset=utf-7"),
    ("Content-Type", "text/plain"), ("Content-Type", "application/x-www-form-urlencoded"), ("Content-Type", ""),
    ("Content-Encoding", "gzip"), ("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "identity"),
    ("Content-Length", "-1"), ("Content-Length", "0"), ("Content-Length", "99999999999999999999"),
    ("Content-Length", "1e3"), ("Content-Length", "+5"), ("Expect", "100-continue"), ("Expect", "x"),
    ("Host", "evil.example"), ("Host", ""), ("Host", "127.0.0.1:99999999"), ("Host", "[::1"), ("Host", "a@b"),
    ("Origin", "http://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site"), ("Range", "bytes=0-1"),
    ("Authorization", "Bearer"), ("Authorization", "Basic QTpC"), ("Authorization", "Bearer " + "x" * 2000),
    ("X-Request-Id", "a b\tc"), ("X-Request-Id", "x" * 65), ("X-Forwarded-For", "1.2.3.4, ::1, x"),
    ("Forwarded", "for=1.2.3.4"), ("If-None-Match", '"x", W/"y", *'), ("If-Modified-Since", "x"), ("Accept", "*"),
    ("Accept-Encoding", "gzip;q=x"), ("Connection", "upgrade"), ("Upgrade", "websocket"), ("Upgrade", "h2c"),
    ("traceparent", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"), ("traceparent", "\xff"), ("Cookie", "a=b; " * 100),
    ("X-HTTP-Method-Override", "DELETE"), ("X-Original-URL", "/metrics"), ("Te", "trailers"), ("X" * 300, "y" * 9000),
)  # fmt: skip
ODD_NAMES = (
    *ODD_TEXTS, ".", "..", "a/b", " a", "a ", "\x7f", "\x85", "e\N{COMBINING ACUTE ACCENT}", "\u200b", "\ue000",
    "\U0001f600" * 200, "a" * 200, "a" * 201, "people", "photos", "*", '"', "\\", "a%2Fb", "a\tb", "_" * 64, "_" * 65,
)  # fmt: skip
TAGS = (
    '"1"', '"2"', '"7"', "*", 'W/"1"', '"1", "2"', '""', "1", '"-1"', f'"{"9" * 18}"', f'"{"9" * 400}"', "\xff", "",
)  # fmt: skip
IDEMPOTENCY_KEYS = ("a", "a", "b", "b", "", " ", "k" * 255, "k" * 256, "\xe9", "a\tb", '"', "%00")
CONDITIONS = (
    *(("If-Match", tag) for tag in TAGS),
    *(("If-None-Match", tag) for tag in TAGS),
    *(("Idempotency-Key", key) for key in IDEMPOTENCY_KEYS),
)
CURSORS = (
    "", "cC0x", "cC0xMDI0", "cC0x=", "====", "/+8=", "_-8=", "AA==", "7aCA", "Zg", "Zg==\n", "a" * 1200, "YWFh" * 300,
    "a" * 1201,
)  # fmt: skip
LIMITS = ("1", "1000", "0", "1001", "1e3", "01", "")
FACTS: Mapping[str, tuple[object, ...]] = {
    "note": (None, "", "north door\nfloor 2", "n" * 2000, "n" * 2001, "a\tb", "\x7f", "\ue000"),
    "consent": (
        None, {"reference": "form 7", "given_on": "2026-11-28"}, {"reference": "", "given_on": "2026-11-28"}, {}, [],
        {"reference": "\0", "given_on": "0000-00-00"}, {"reference": "r", "given_on": "9999-12-31"},
        {"reference": "r", "given_on": 0},
    ),
    "forget_at": (
        None, "2099-01-01T00:00:00Z", "2099-01-01T00:00:00", "2001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59", "2099-01-01T00:00:60Z", "2099-01-01", 4e9, 1e308, -1, "P1D",
    ),
}  # fmt: skip
METHODS = (
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "G", "GET\t", "",
    "A" * 200, "PO ST", "\0", "PRI",
)  # fmt: skip
ODD_PATHS = (
    "", "*", "//", "/.", "/..", "/%2e%2e/", "/v1", "/v1/", "/v1/verify/", "/v1//verify", "/V1/VERIFY", "/v1/verify;x=1",
    "/v1/verify%00", "/v1/verify%2fmany", "/page/../../pyproject.toml", "/page/%2e%2e%2fapp.py", "/page/main.js/..",
    "/page/", "/docs/", "/docs/%2e%2e/%2e%2e/app.py", "/metrics", "/v1/admin/reload", "http://evil.example/", "/\xff",
    "/v1/galleries", "/v1/galleries/", "/v1/galleries//people", "/v1/galleries/staff/people/", "/v1/galleries/%ff",
    "/v1/galleries/staff/people/p%2f1", "/v1/galleries/a/b/c/d/e/f",
    "/%ff%fe", "/" + "a" * 3000, "/" + "a/" * 500, "/v1/verify#x", "/v1/verify?", "/?x", "/errors?code=1", "/page/x",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """A request; its Content-Length is that of its body, unless a header gives another one."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def __bytes__(self) -> bytes:
        headers = self.headers
        if self.body and not any(name.lower() == "content-length" for name, _ in headers):
            headers = (*headers, ("Content-Length", str(len(self.body))))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        return f"{self.method} {self.target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1", "replace") + self.body

    def without(self, *names: str) -> "Request":
        """Return it without these headers."""
        return replace(self, headers=tuple(each for each in self.headers if each[0].lower() not in names))


@cache
def faces() -> tuple[bytes, ...]:
    """Small image files that show a face."""
    files = [base64.b64decode(EXAMPLE_IMAGE)]
    for name, kind in (("001-neutral", "JPEG"), ("001-smiling", "WEBP"), ("005-neutral", "PNG")):
        file = io.BytesIO()
        Image.open(FACES / f"{name}.jpg").resize((120, 160)).save(file, kind)
        files.append(file.getvalue())
    return tuple(files)


@cache
def images() -> tuple[bytes, ...]:
    """Small image files of every format, some with a face."""
    return (*faces(), *seeds("image"))


@cache
def embeddings() -> tuple[list[float], ...]:
    generator = random.Random(0)  # noqa: S311 - no secrets
    drawn = [[generator.gauss(0, 0.09) for _ in range(128)] for _ in range(4)]
    return tuple([round(each / math.hypot(*numbers), 4) for each in numbers] for numbers in drawn)  # of length 1


@dataclass(frozen=True, slots=True)
class RequestSource:
    """Makes requests to one service."""

    host: str
    key: str | None
    model_digest: str

    def of_kind(self, kind: str, generator: random.Random) -> bytes:
        """Return a request of a kind in KINDS."""
        return KINDS[kind](self, generator)

    def headers(self, content_type: str | None = None) -> tuple[tuple[str, str], ...]:
        given = {"Host": self.host, "Connection": "close"}
        given |= {} if content_type is None else {"Content-Type": content_type}
        given |= {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        return tuple(given.items())

    def enrolments(self) -> Iterator[Request]:
        """Return requests that create the galleries and enrol people, so that the others find some."""
        for gallery in NAMES["gallery"]:
            url = GALLERY.format(gallery=quote(gallery))
            yield Request("PUT", url, self.headers())
            for person, photo in zip(NAMES["person"], PEOPLE_PHOTOS, strict=False):
                form = _part("image", (FACES / photo).read_bytes(), FILE_NAME) + END
                yield Request("POST", f"{url}/people/{person}/photos", self.headers(FORM), form)

    def get(self, generator: random.Random) -> Request:
        return Request("GET", generator.choice(GETS), self.headers())

    def about_galleries(self, generator: random.Random, names: Names = NAMES) -> Request:
        """Return a request about galleries without photos; a valid one with valid names."""
        method, path = generator.choice(GALLERY_REQUESTS)
        content_type = JSON if method == "PUT" else None
        return Request(method, _named(path, generator, names), self.headers(content_type))

    def form(
        self,
        generator: random.Random,
        files: tuple[bytes, ...],
        specs: Mapping[str, RequestSpec[Any]] = SPECS,
        names: Names = NAMES,
    ) -> Request:
        """Return a form for one of the routes, with images of these files; a valid one with valid names."""
        path, spec = generator.choice(tuple(specs.items()))
        parts = [_part(name, value) for name, value in _options(spec, generator)]
        parts += [_part(name, data, FILE_NAME) for name, data in _chosen(spec, generator, files)]
        return Request("POST", _named(path, generator, names), self.headers(FORM), b"".join(parts) + END)

    def json(self, generator: random.Random, files: tuple[bytes, ...]) -> tuple[Request, dict[str, object]]:
        """Return a valid JSON request for any route, and what its body contains."""
        path = generator.choice((*SPECS, COMPARE))
        if path == COMPARE:
            probe, *others = embeddings()
            content: dict[str, object] = {"probe": probe, "references": others, "model_digest": self.model_digest}
            content |= {"threshold": 1.0} if generator.random() < 0.5 else {"prior": 0.1}  # noqa: PLR2004 - a half
        else:
            spec, content = SPECS[path], {}
            for name, data in _chosen(spec, generator, files):
                text = base64.b64encode(data).decode()
                content[name] = text if spec.images[name] == 1 else [text]
            content |= {name: _typed(name, value) for name, value in _options(spec, generator)}
        body = json.dumps(content).encode()
        return Request("POST", _named(path, generator, NAMES), self.headers(JSON), body), content

    def any_valid(self, generator: random.Random) -> Request:
        match generator.randrange(4):
            case 0:
                return self.get(generator)
            case 1:
                return self.about_galleries(generator)
            case 2:
                return self.form(generator, faces())
            case _:
                return self.json(generator, faces())[0]


def _named(path: str, generator: random.Random, names: Names) -> str:
    """Put names into an address, mostly percent-encoded."""
    return path.format_map({kind: _quoted(generator.choice(texts), generator) for kind, texts in names.items()})


def _part(name: str, value: str | bytes, file_name: str | None = None) -> bytes:
    file = "" if file_name is None else f'; filename="{file_name}"\r\nContent-Type: image/jpeg'
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + (value if isinstance(value, bytes) else value.encode()) + b"\r\n"


def _options(spec: RequestSpec[NoOptions], generator: random.Random) -> Iterator[tuple[str, str]]:
    names = [name for name in spec.options if name != "operating_point"]  # not both this and a threshold
    for name in generator.sample(names, generator.randint(0, min(2, len(names)))):
        yield name, generator.choice(OPTION_VALUES[name])


def _typed(name: str, value: str) -> object:
    return json.loads(value) if name in TYPED else value


def _chosen(
    spec: RequestSpec[NoOptions], generator: random.Random, files: tuple[bytes, ...]
) -> Iterator[tuple[str, bytes]]:
    for name in spec.images:
        yield name, generator.choice(files)


def _image(source: RequestSource, generator: random.Random) -> bytes:
    changed = (mutated(generator.choice(images()), generator), *faces())
    if generator.random() < 0.5:  # noqa: PLR2004 - a half
        return bytes(source.form(generator, changed[:2]))
    return bytes(source.json(generator, changed[:2])[0])


def _framing(source: RequestSource, generator: random.Random) -> bytes:
    request = source.form(generator, (b"GIF89a", faces()[0][:60]))  # short, so that most changes hit the framing
    return bytes(replace(request, body=mutated(request.body, generator)))


def _json(source: RequestSource, generator: random.Random) -> bytes:
    request, content = source.json(generator, (b"GIF89a", *faces()[:1]))
    if generator.random() < 0.5:  # noqa: PLR2004 - a half
        return bytes(replace(request, body=mutated(request.body, generator)))
    name = generator.choice((*content, generator.choice(ODD_TEXTS)))
    text = json.dumps(content | {name: generator.choice(ODD_VALUES)}, ensure_ascii=generator.random() < 0.5)  # noqa: PLR2004 - a half
    return bytes(replace(request, body=text.encode("utf-8", "surrogatepass")))


def _headers(source: RequestSource, generator: random.Random) -> bytes:
    request = source.any_valid(generator)
    odd = generator.sample(ODD_HEADERS, generator.randint(1, 3))
    if generator.random() < 0.5:  # noqa: PLR2004 - a half: instead of the valid ones, or beside them
        request = request.without(*(name.lower() for name, _ in odd))
    return bytes(replace(request, headers=(*request.headers, *odd)))


def _query(source: RequestSource, generator: random.Random) -> bytes:
    request = source.any_valid(generator)
    names = (*OPTION_VALUES, "probe", "image", "x", "FACE", generator.choice(ODD_TEXTS))
    pairs = [(generator.choice(names), generator.choice((*FACE_VALUES, *ODD_TEXTS))) for _ in range(2)]
    query = "&".join(f"{_quoted(name, generator)}={_quoted(value, generator)}" for name, value in pairs)
    return bytes(replace(request, target=f"{request.target}?{query}"))


def _quoted(text: str, generator: random.Random) -> str:
    return quote(text, safe="", errors="replace") if generator.random() < 0.9 else text  # noqa: PLR2004 - mostly


def _method(source: RequestSource, generator: random.Random) -> bytes:
    return bytes(replace(source.any_valid(generator), method=generator.choice(METHODS)))


def _path(source: RequestSource, generator: random.Random) -> bytes:
    request = source.any_valid(generator)
    changed = mutated(request.target.encode(), generator).decode("latin-1")
    return bytes(replace(request, target=generator.choice((*ODD_PATHS, *(changed,) * len(ODD_PATHS)))))


def _raw(source: RequestSource, generator: random.Random) -> bytes:
    whole = bytes(source.any_valid(generator))
    head, blank, body = whole.partition(b"\r\n\r\n")
    return (mutated(head, generator) + blank + body) if generator.random() < 0.8 else mutated(whole, generator)  # noqa: PLR2004 - mostly


def _gallery(source: RequestSource, generator: random.Random) -> bytes:
    """A request about galleries: odd names, conditions and repeats, cursors, facts; each often as it should be."""
    names = {kind: generator.choice((texts, texts, ODD_NAMES)) for kind, texts in NAMES.items()}
    if generator.random() < 0.3:  # noqa: PLR2004 - three of ten
        request = source.form(generator, faces(), PHOTO_SPECS, names)
    else:
        request = _with_facts(source.about_galleries(generator, names), generator)
    odd = generator.sample(CONDITIONS, generator.randint(0, 2))
    return bytes(replace(request, headers=(*request.headers, *odd)))


def _with_facts(request: Request, generator: random.Random) -> Request:
    """Give a GET a cursor and a limit, and a PUT facts or a changed body."""
    if request.method == "GET":
        pairs = generator.sample((("cursor", CURSORS), ("limit", LIMITS)), generator.randint(0, 2))
        query = "&".join(f"{name}={_quoted(generator.choice(values), generator)}" for name, values in pairs)
        return replace(request, target=f"{request.target}?{query}")
    if request.method == "DELETE":
        return request
    facts = {name: generator.choice(values) for name, values in FACTS.items() if generator.random() < 0.4}  # noqa: PLR2004
    body = json.dumps(facts).encode()
    return replace(request, body=mutated(body, generator) if generator.random() < 0.2 else body)  # noqa: PLR2004 - a fifth


KINDS: Mapping[str, Callable[[RequestSource, random.Random], bytes]] = {
    "image": _image,
    "framing": _framing,
    "json": _json,
    "headers": _headers,
    "query": _query,
    "method": _method,
    "path": _path,
    "raw": _raw,
    "gallery": _gallery,
}
