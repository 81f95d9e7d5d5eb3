"""Requests for fuzz_service.py: valid ones for every route, each then changed in one respect. Opens no connection."""

import base64
import io
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from urllib.parse import quote

from fuzz_parsers import FACES, mutated, seeds
from PIL import Image

from service import request_parsing as parsing
from service.openapi import EXAMPLE_IMAGE
from service.request_parsing import NoOptions, RequestSpec

FILE_NAME = "Erika-Mustermann-1964.jpg"  # no answer and no line of the log may repeat it
BOUNDARY = "----fuzz"
GETS = ("/v1/model", "/v1/layers", "/v1/atlas", "/healthz", "/readyz", "/", "/docs", "/openapi.json", "/errors")
COMPARE = "/v1/embeddings/compare"
SPECS = {
    "/v1/verify": parsing.VERIFY,
    "/v1/verify/many": parsing.VERIFY_MANY,
    "/v1/faces": parsing.FACES,
    "/v1/embeddings": parsing.EMBEDDING,
    "/v1/maps": parsing.MAPS,
    "/v1/explain": parsing.EXPLAIN,
}
FACE_VALUES = ("dominant", "only", "largest", "center", "at:60,60", "0")
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
}
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
METHODS = (
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "G", "GET\t", "",
    "A" * 200, "PO ST", "\0", "PRI",
)  # fmt: skip
ODD_PATHS = (
    "", "*", "//", "/.", "/..", "/%2e%2e/", "/v1", "/v1/", "/v1/verify/", "/v1//verify", "/V1/VERIFY", "/v1/verify;x=1",
    "/v1/verify%00", "/v1/verify%2fmany", "/page/../../pyproject.toml", "/page/%2e%2e%2fapp.py", "/page/main.js/..",
    "/page/", "/docs/", "/docs/%2e%2e/%2e%2e/app.py", "/metrics", "/v1/admin/reload", "http://evil.example/", "/\xff",
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
    return tuple([round(generator.gauss(0, 0.09), 4) for _ in range(128)] for _ in range(4))


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

    def get(self, generator: random.Random) -> Request:
        return Request("GET", generator.choice(GETS), self.headers())

    def form(self, generator: random.Random, files: tuple[bytes, ...]) -> Request:
        """Return a valid form for any route, with images of these files."""
        path, spec = generator.choice(tuple(SPECS.items()))
        parts = [_part(name, value) for name, value in _options(spec, generator)]
        parts += [_part(name, data, FILE_NAME) for name, data in _chosen(spec, generator, files)]
        body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
        return Request("POST", path, self.headers(f"multipart/form-data; boundary={BOUNDARY}"), body)

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
        return Request("POST", path, self.headers("application/json"), json.dumps(content).encode()), content

    def any_valid(self, generator: random.Random) -> Request:
        match generator.randrange(3):
            case 0:
                return self.get(generator)
            case 1:
                return self.form(generator, faces())
            case _:
                return self.json(generator, faces())[0]


def _part(name: str, value: str | bytes, file_name: str | None = None) -> bytes:
    file = "" if file_name is None else f'; filename="{file_name}"\r\nContent-Type: image/jpeg'
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + (value if isinstance(value, bytes) else value.encode()) + b"\r\n"


def _options(spec: RequestSpec[NoOptions], generator: random.Random) -> Iterator[tuple[str, str]]:
    names = [name for name in spec.options if name != "operating_point"]  # not both this and a threshold
    for name in generator.sample(names, generator.randint(0, min(2, len(names)))):
        yield name, generator.choice(OPTION_VALUES[name])


def _typed(name: str, value: str) -> object:
    return json.loads(value) if name in ("threshold", "prior", "saliency") else value


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


KINDS: Mapping[str, Callable[[RequestSource, random.Random], bytes]] = {
    "image": _image,
    "framing": _framing,
    "json": _json,
    "headers": _headers,
    "query": _query,
    "method": _method,
    "path": _path,
    "raw": _raw,
}
