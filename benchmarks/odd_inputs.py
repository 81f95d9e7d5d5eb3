"""The table of bad and odd inputs with their expected answers, for the tests and bad_inputs.py.

Every case talks to a real service over a real socket.
"""

import base64
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2
from odd_images import ODD_IMAGES, blurred, exif_rotated, photo, plain, two_faces

MAX_IMAGE_BYTES = 2 * 2**20  # the limit that the service under test is given, so that too much is soon sent
BODY_TIMEOUT_S = 1.5  # likewise: how long it waits for a body that does not come

PROBE, REFERENCE = photo("001-neutral"), photo("001-smiling")
PROBE_64, REFERENCE_64 = base64.b64encode(PROBE).decode(), base64.b64encode(REFERENCE).decode()
ZEROS = [0.0] * 128
SOME_DIGEST = "sha256:" + "0" * 64
HTTP_OK = 200


@dataclass(frozen=True)
class Reply:
    """The response."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def problem(self) -> dict[str, object]:
        return {} if self.status == HTTP_OK else dict(json.loads(self.body))


@dataclass(frozen=True)
class Site:
    """The service under test."""

    url: str

    def post(self, path: str, **options: object) -> Reply:
        return self.request("POST", path, **options)

    def request(self, method: str, path: str, **options: object) -> Reply:
        response = httpx2.request(method, self.url + path, timeout=60, **options)
        return Reply(response.status_code, dict(response.headers), response.content)

    def raw(self, *pieces: bytes) -> Reply:
        """Send bytes as they are, and read one answer to its end."""
        address = urlsplit(self.url)
        with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
            for piece in pieces:
                connection.sendall(piece)
            return _read_reply(connection)


@dataclass(frozen=True)
class Case:
    """One input and its expected answer; `code` None = success."""

    name: str
    ask: Callable[[Site], Reply]
    status: int
    code: str | None
    detail: str = ""  # what the detail must say, at least


def cases() -> Iterator[Case]:
    for name, make, status, code in ODD_IMAGES:
        yield Case(name, _probe_of(make), status, code)
    yield from FORMS
    yield from JSON_BODIES
    yield from TRANSPORT
    yield from ADDRESSES
    yield from VECTORS


def _probe_of(make: Callable[[], bytes]) -> Callable[[Site], Reply]:
    return lambda site: form(site, [file("probe", make()), file("reference", REFERENCE)])


Part = tuple[str, object]


def file(name: str, content: bytes, file_name: str = "photo.jpg") -> Part:
    return name, (file_name, content)


def text(name: str, value: str) -> Part:
    return name, (None, value)


def form(site: Site, parts: list[Part], path: str = "/v1/verify") -> Reply:
    return site.post(path, files=parts)


def _form(*parts: Part, path: str = "/v1/verify") -> Callable[[Site], Reply]:
    return lambda site: form(site, list(parts), path)


def _json(path: str = "/v1/verify", **keys: object) -> Callable[[Site], Reply]:
    return lambda site: site.post(path, content=json.dumps(keys), headers={"Content-Type": "application/json"})


def _body(content: bytes | str, media_type: str | None, **headers: str) -> Callable[[Site], Reply]:
    named = headers if media_type is None else {"Content-Type": media_type, **headers}
    return lambda site: site.post("/v1/verify", content=content, headers=named)


IMAGE, BLURRED = file("image", PROBE), file("reference", blurred(12))
PAIR = (file("probe", PROBE), file("reference", REFERENCE))
BOUNDARY = b"visavis-odd-inputs"
EMPTY_INPUT = (
    b'--%b\r\nContent-Disposition: form-data; name="probe"; filename="a.jpg"\r\n\r\n%b\r\n'
    b'--%b\r\nContent-Disposition: form-data; name="reference"; filename=""\r\n\r\n\r\n--%b--\r\n'
) % (BOUNDARY, PROBE, BOUNDARY, BOUNDARY)
BAD = (400, "malformed_request")
NO_FACE = (422, "no_face")
NO_POINT = (422, "operating_point_unavailable")
GOOD = (HTTP_OK, None)
TOO_BIG = b"\xff\xd8\xff" + b"\0" * MAX_IMAGE_BYTES


def _nameless(*probes: bytes) -> Callable[[Site], Reply]:
    """A form whose part `probe` has no file name, as some programs send it."""
    head = b'--%b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n'
    parts = [head % (BOUNDARY, b"probe", b"") + each + b"\r\n" for each in probes]
    parts += [head % (BOUNDARY, b"reference", b'; filename="a.jpg"') + REFERENCE + b"\r\n--%b--\r\n" % BOUNDARY]
    return _body(b"".join(parts), f"multipart/form-data; boundary={BOUNDARY.decode()}")


FORMS = (
    Case(
        "file name in Chinese, with quotes and an emoji", _form(file("probe", PROBE, '照片 "1" 😀.jpg'), PAIR[1]), *GOOD
    ),
    Case(
        "image over the byte limit", _form(file("probe", TOO_BIG), PAIR[1]), 413, "image_too_large", "2,097,155 bytes"
    ),
    Case(
        "parts named img1 and img2", _form(file("img1", PROBE), file("img2", REFERENCE)), *BAD, "did you mean 'probe'"
    ),
    Case("parts named source and target", _form(file("source", PROBE)), *BAD, "did you mean 'probe'"),
    Case("misspelt part", _form(PAIR[0], file("refrence", REFERENCE)), *BAD, "did you mean 'reference'"),
    Case("probe missing", _form(PAIR[1]), *BAD, "probe is missing"),
    Case("reference missing", _form(PAIR[0]), *BAD, "reference is missing"),
    Case(
        "file input left empty in a browser",
        _body(EMPTY_INPUT, "multipart/form-data; boundary=visavis-odd-inputs"),
        *BAD,
        "reference is missing",
    ),
    Case("probe twice", _form(PAIR[0], *PAIR), *BAD, "probe was sent more than once"),
    Case("probe as text: a path", _form(text("probe", "/home/me/photo.jpg"), PAIR[1]), *BAD, "file part"),
    Case("probe as text: base64", _form(text("probe", PROBE_64), PAIR[1]), *BAD, "file part"),
    Case("probe as text: empty", _form(text("probe", ""), PAIR[1]), *BAD, "file part"),
    Case("image without a file name", _nameless(PROBE), *GOOD),
    Case("image without a file name: PNG", _nameless(plain()), *NO_FACE),
    Case("image without a file name: PPM of text", _nameless(b"P3\n2 2\n255\n" + b"9 " * 12), *NO_FACE),
    Case("no image without a file name", _nameless(b"\0\1\2\3" * 100), 415, "not_an_image"),
    Case("two images without file names", _nameless(PROBE, PROBE), *BAD, "probe was sent more than once"),
    Case("probe as text: a URL", _form(text("probe", "http://127.0.0.1/a.jpg"), PAIR[1]), *BAD, "file part"),
    Case("face as a file", _form(*PAIR, file("face", b"largest")), *BAD, "text field"),
    Case("unknown face rule", _form(*PAIR, text("face", "best")), *BAD, "dominant"),
    Case("face sent twice", _form(*PAIR, text("face", "only"), text("face", "only")), *BAD, "more than once"),
    Case("threshold = 0", _form(*PAIR, text("threshold", "0")), *BAD, "threshold"),
    Case("threshold = -1", _form(*PAIR, text("threshold", "-1")), *BAD, "threshold"),
    Case("threshold = nan", _form(*PAIR, text("threshold", "nan")), *BAD, "threshold"),
    Case("threshold = 1e999", _form(*PAIR, text("threshold", "1e999")), *BAD, "threshold"),
    Case("threshold left empty", _form(*PAIR, text("threshold", "")), *BAD, "threshold"),
    Case("threshold with a point", _form(*PAIR, text("threshold", "0.5"), text("operating_point", "a")), *BAD, "both"),
    Case("point by name", _form(*PAIR, text("operating_point", "fmr-1e-3")), *GOOD),
    Case("point by rate", _form(*PAIR, text("operating_point", "fmr=1e-3"), text("prior", "0.01")), *GOOD),
    Case("unknown point", _form(*PAIR, text("operating_point", "strict")), *NO_POINT, "it has fmr-1e-2"),
    Case("point too strict", _form(*PAIR, text("operating_point", "fmr=1e-9")), *NO_POINT, "'fmr=1e-9'"),
    Case("point with a rate of letters", _form(*PAIR, text("operating_point", "fmr=abc")), *NO_POINT, "0 < X <= 1"),
    Case("point with a rate of NaN", _form(*PAIR, text("operating_point", "fmr=nan")), *NO_POINT, "0 < X <= 1"),
    Case("point with odd letters", _form(*PAIR, text("operating_point", "точка\u202e")), *NO_POINT, "\\u202e"),
    Case("point of 65 letters", _form(*PAIR, text("operating_point", "x" * 65)), *BAD, "operating_point"),
    Case("point left empty", _form(*PAIR, text("operating_point", "")), *BAD, "operating_point"),
    Case("FMR as a field", _form(*PAIR, text("fmr", "1e-4")), *BAD, "did you mean 'operating_point'"),
    Case("prior = 0", _form(*PAIR, text("prior", "0")), *BAD, "prior"),
    Case("prior = 1", _form(*PAIR, text("prior", "1")), *BAD, "prior"),
    Case("prior = nan", _form(*PAIR, text("prior", "nan")), *BAD, "prior"),
    Case("prior in percent", _form(*PAIR, text("prior", "50%")), *BAD, "prior"),
    Case("quality = ignore", _form(*PAIR, text("quality", "ignore")), *GOOD),
    Case("blurred photo", _form(PAIR[0], BLURRED), *GOOD),  # the card has no rule for quality
    Case("blurred photo, quality=ignore", _form(PAIR[0], BLURRED, text("quality", "ignore")), *GOOD),
    Case("unknown choice of quality", _form(*PAIR, text("quality", "high")), *BAD, "'refuse' or 'ignore'"),
    Case("quality left empty", _form(*PAIR, text("quality", "")), *BAD, "quality"),
    Case("quality sent twice", _form(*PAIR, *[text("quality", "ignore")] * 2), *BAD, "more than once"),
    Case("quality as a file", _form(*PAIR, file("quality", b"ignore")), *BAD, "text field"),
    Case("quality as others call it", _form(*PAIR, text("enforce_quality", "1")), *BAD, "did you mean 'quality'"),
    Case("quality for an embedding", _form(IMAGE, text("quality", "ignore"), path="/v1/embeddings"), *BAD, "quality"),
    Case("threshold = 0.5", _form(*PAIR, text("threshold", "0.5")), *GOOD),
    Case("form field of 1 MB", _form(*PAIR, text("face", "x" * 2**20)), *BAD, "longer than"),
    Case("2,000 fields", _form(*[text(f"field{n}", "1") for n in range(2000)]), *BAD, "field0"),
    Case("17 references", _form(PAIR[0], *[PAIR[1]] * 17, path="/v1/verify/many"), *BAD, "16 times"),
    Case("two faces, face=largest", _form(file("probe", two_faces()), PAIR[1], text("face", "largest")), *GOOD),
    Case("maps of a layer", _form(IMAGE, text("layer", "conv9"), path="/v1/maps"), *GOOD),
    Case("unknown layer", _form(IMAGE, text("layer", "conv99"), path="/v1/maps"), 422, "unknown_layer", "it has conv1"),
    Case("layer left empty", _form(IMAGE, text("layer", ""), path="/v1/maps"), *BAD, "layer"),
    Case(
        "layer with odd letters",
        _form(IMAGE, text("layer", "слой\u202e"), path="/v1/maps"),
        422,
        "unknown_layer",
        "\\u202e",
    ),
    Case("layer for a comparison", _form(*PAIR, text("layer", "conv1")), *BAD, "layer"),
    Case("probe sent to /v1/faces", _form(PAIR[0], path="/v1/faces"), *BAD, "did you mean 'image'"),
)

JSON_BODIES = (
    Case("base64 in JSON", _json(probe=PROBE_64, reference=REFERENCE_64), *GOOD),
    Case("data: URIs in JSON", _json(probe="data:image/jpeg;base64," + PROBE_64, reference=REFERENCE_64), *GOOD),
    Case("base64 with line breaks", _json(probe=base64.encodebytes(PROBE).decode(), reference=REFERENCE_64), *GOOD),
    Case("data: URI without base64", _json(probe="data:image/svg+xml,<svg/>", reference=REFERENCE_64), *BAD, ";base64"),
    Case("bad base64", _json(probe="*** no base64 ***", reference=REFERENCE_64), *BAD, "not base64"),
    Case("base64 cut short", _json(probe=PROBE_64[:-3], reference=REFERENCE_64), *BAD, "not base64"),
    Case("base64 of text", _json(probe="aGVsbG8=", reference=REFERENCE_64), 415, "not_an_image"),
    Case("a path in JSON", _json(probe="/etc/passwd.jpg", reference=REFERENCE_64), *BAD, "the service reads no paths"),
    Case("a URL in JSON", _json(probe="http://127.0.0.1:1/a.jpg", reference=REFERENCE_64), *BAD, "fetches no"),
    Case("bad JSON", _body('{"probe": ', "application/json"), *BAD, "not JSON"),
    Case("JSON list", _body("[1, 2]", "application/json"), *BAD, "object"),
    Case("JSON null", _body("null", "application/json"), *BAD, "object"),
    Case("JSON nested 100,000 deep", _body("[" * 100_000, "application/json"), *BAD, "not JSON"),
    Case("JSON with a lone surrogate", _body('{"probe": "\\ud800", "reference": "x"}', "application/json"), *BAD),
    Case("JSON in UTF-16", _body('{"probe": "x"}'.encode("utf-16"), "application/json"), *BAD, "not JSON"),
    Case("JSON with img1", _json(img1=PROBE_64, img2=REFERENCE_64), *BAD, "did you mean 'probe'"),
    Case("JSON with a number as image", _json(probe=1, reference=REFERENCE_64), *BAD, "probe"),
    Case(
        "JSON with threshold NaN",
        _json(probe=PROBE_64, reference=REFERENCE_64, threshold=float("nan")),
        *BAD,
        "threshold",
    ),
    Case("point as a number", _json(probe=PROBE_64, reference=REFERENCE_64, operating_point=1e-4), *BAD, "string"),
    Case(
        "threshold with a point, in JSON",
        _json(probe=PROBE_64, reference=REFERENCE_64, threshold=0.5, operating_point="fmr-1e-3"),
        *BAD,
        "both",
    ),
    Case("quality null", _json(probe=PROBE_64, reference=REFERENCE_64, quality=None), *BAD, "quality"),
    Case("quality as a number", _json(probe=PROBE_64, reference=REFERENCE_64, quality=1), *BAD, "quality"),
    Case("prior null", _json(probe=PROBE_64, reference=REFERENCE_64, prior=None), *BAD, "prior"),
    Case("no references", _json("/v1/verify/many", probe=PROBE_64, reference=[]), *BAD, "reference"),
    Case("image turned by EXIF, in JSON", _json("/v1/faces", image=base64.b64encode(exif_rotated()).decode()), *GOOD),
)

FORM_TYPE = "multipart/form-data; boundary=XX"
CUT = b'--XX\r\nContent-Disposition: form-data; name="probe"; filename="a"\r\n\r\n' + PROBE
LIMIT = 2 * MAX_IMAGE_BYTES + 64 * 1024


def _raw(headers: str, *pieces: bytes) -> Callable[[Site], Reply]:
    head = f"POST /v1/verify HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n"
    return lambda site: site.raw(head.encode(), *pieces)


def _chunked(n_bytes: int) -> Callable[[Site], Reply]:
    pieces = [b"%x\r\n%b\r\n" % (2**16, b"x" * 2**16)] * (n_bytes // 2**16 + 1)
    return _raw(f"Content-Type: {FORM_TYPE}\r\nTransfer-Encoding: chunked", CUT[:0], *pieces, b"0\r\n\r\n")


def _chunked_json(n_bytes: int) -> Callable[[Site], Reply]:
    pieces = [b"%x\r\n%b\r\n" % (2**16, b" " * 2**16)] * (n_bytes // 2**16 + 1)
    return _raw("Content-Type: application/json\r\nTransfer-Encoding: chunked", *pieces, b"0\r\n\r\n")


TRANSPORT = (
    Case("empty body", _body(b"", None), 415, "unsupported_media_type", "Content-Type"),
    Case("empty form", _body(b"", FORM_TYPE), *BAD, "closing boundary"),
    Case("empty JSON", _body(b"", "application/json"), *BAD, "not JSON"),
    Case("urlencoded form", _body("probe=1", "application/x-www-form-urlencoded"), 415, "unsupported_media_type"),
    Case("an image as the whole body", _body(PROBE, "image/jpeg"), 415, "unsupported_media_type", "multipart"),
    Case("gzip", _body(b"\x1f\x8b", "application/json", **{"Content-Encoding": "gzip"}), 415, "unsupported_media_type"),
    Case("form without boundary", _body(CUT, "multipart/form-data"), *BAD, "boundary"),
    Case("form with another boundary", _body(CUT, "multipart/form-data; boundary=YY"), *BAD, "cannot be read"),
    Case("form with a boundary of 10,000 letters", _body(CUT, "multipart/form-data; boundary=" + "X" * 10_000), *BAD),
    Case("form with an odd charset", _body(CUT, FORM_TYPE + "; charset=idna"), *BAD),
    Case("form cut short", _body(CUT, FORM_TYPE), *BAD, "closing boundary"),
    Case("form part without a name", _body(b"--XX\r\nX: y\r\n\r\nz\r\n--XX--\r\n", FORM_TYPE), *BAD, "name"),
    Case(
        "Content-Length of 10 GB",
        _raw(f"Content-Type: {FORM_TYPE}\r\nContent-Length: 10000000000"),
        413,
        "body_too_large",
    ),
    Case(
        "Content-Length longer than the body",
        _raw(f"Content-Type: {FORM_TYPE}\r\nContent-Length: 999", b"--XX"),
        408,
        "body_too_slow",
    ),
    Case("Content-Length shorter than the body", _raw(f"Content-Type: {FORM_TYPE}\r\nContent-Length: 100", CUT), *BAD),
    Case("chunked form, too long", _chunked(LIMIT), *BAD),
    Case("chunked JSON, too long", _chunked_json(LIMIT * 2), 413, "body_too_large"),
)

ADDRESSES = (
    Case("unknown address", lambda site: site.request("GET", "/v2/nothing"), 404, "not_found"),
    Case("misspelt address", lambda site: site.post("/v1/verfy"), 404, "not_found", "did you mean /v1/verify"),
    Case("address without /v1", lambda site: site.post("/verify"), 404, "not_found", "did you mean /v1/verify"),
    Case("slash at the end", lambda site: site.post("/v1/verify/"), 404, "not_found", "did you mean /v1/verify"),
    Case("address that climbs", lambda site: site.raw(_get("/docs/..%2f..%2fcli.py")), 404, "not_found"),
    Case("address with null bytes", lambda site: site.request("GET", "/%00%ff"), 404, "not_found"),
    Case("GET instead of POST", lambda site: site.request("GET", "/v1/verify"), 405, "method_not_allowed", "POST"),
    Case("HEAD", lambda site: site.request("HEAD", "/v1/model"), *GOOD),
    Case("option in the query", _form(*PAIR, path="/v1/verify?face=only&operating_point=fmr=1e-3"), *GOOD),
    Case("option misspelt in the query", _form(*PAIR, path="/v1/verify?fase=only"), *BAD, "did you mean 'face'"),
    Case(
        "option in query and body",
        _form(*PAIR, text("face", "only"), path="/v1/verify?face=only"),
        *BAD,
        "send it once",
    ),
    Case("query of 10,000 letters", _form(*PAIR, path="/v1/verify?face=" + "x" * 10_000), *BAD, "2000 bytes"),
    Case("query for a health route", lambda site: site.request("GET", "/healthz?t=1"), *BAD, "has none"),
    Case("every face of an image", _form(IMAGE, text("face", "all"), path="/v1/embeddings"), *GOOD),
    Case("every face, to compare", _form(*PAIR, text("face", "all")), *BAD, "all is for POST /v1/embeddings"),
    Case("17 images to embed", _form(*[IMAGE] * 17, path="/v1/embeddings"), *BAD, "16 times"),
    Case("DELETE", lambda site: site.request("DELETE", "/v1/model"), 405, "method_not_allowed", "GET"),
)


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def _compare(**keys: object) -> Callable[[Site], Reply]:
    asked = {"probe": ZEROS, "references": [ZEROS], "model_digest": SOME_DIGEST, **keys}
    return _json("/v1/embeddings/compare", **asked)


VECTORS = (
    Case("embedding of 63 numbers", _compare(probe=ZEROS[:63]), *BAD, "64"),
    Case("embedding of 127 numbers", _compare(probe=ZEROS[:-1]), 409, "digest_mismatch", "embed the photo again"),
    Case("embedding with NaN", _compare(probe=[float("nan"), *ZEROS[1:]]), *BAD, "finite"),
    Case("embedding with infinity", _compare(references=[[float("inf"), *ZEROS[1:]]]), *BAD, "finite"),
    Case("embedding with 1e300", _compare(probe=[1e300, *ZEROS[1:]]), *BAD, "probe.0"),
    Case("embedding as text", _compare(probe="0 0 0"), *BAD, "probe"),
    Case("1,001 embeddings", _compare(references=[[0.123456789012345] * 128] * 1001), *BAD, "1000"),
    Case("embeddings of another model", _compare(), 409, "digest_mismatch", "embed the photo again"),
    Case("embeddings with a threshold and a point", _compare(threshold=0.5, operating_point="a"), *BAD, "both"),
    Case("embeddings with a choice of quality", _compare(quality="ignore"), *BAD, "'quality'"),
    Case("embedding as a form", _form(PAIR[0], path="/v1/embeddings/compare"), 415, "unsupported_media_type", "json"),
)


def _read_reply(connection: socket.socket) -> Reply:
    """Read one answer; the connection stays open, as the service must first take in what else is sent."""
    with connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        lines = iter(stream.readline, b"\r\n")
        pairs = (line.decode("latin-1").partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        return Reply(status, headers, stream.read(int(headers["content-length"])))
