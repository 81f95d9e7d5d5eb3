"""The requests that answers.py sends: valid and some invalid ones, and all of benchmarks/odd_inputs.py."""

import base64
import json
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from urllib.parse import urlsplit

import httpx2
from answers_kept import Json, kept_answer
from odd_images import blurred, photo, picture, plain, saved, two_faces
from odd_inputs import BODY_TIMEOUT_S, HTTP_OK, MAX_IMAGE_BYTES, Reply, Site, cases
from PIL import Image

Files = list[tuple[str, bytes]]

# What the table of odd inputs takes for granted.
SETTINGS = {"VISAVIS_MAX_IMAGE_BYTES": str(MAX_IMAGE_BYTES), "VISAVIS_BODY_TIMEOUT_S": str(BODY_TIMEOUT_S)}
ONE_AT_A_TIME = {"VISAVIS_MAX_CONCURRENT": "1", "VISAVIS_MAX_WAITING": "0"}

PAIRS = (("001-neutral", "001-smiling"), ("001-neutral", "005-neutral"), ("021-smiling", "041-smiling"))
PAIR_ROUTES = ("/v1/verify", "/v1/verify/many", "/v1/explain")
IMAGE_ROUTES = ("/v1/faces", "/v1/embeddings", "/v1/maps")
FACE_RULES = ("dominant", "only", "largest", "center")
JUDGED: tuple[dict[str, str], ...] = (
    {"operating_point": "fmr-1e-2"},
    {"operating_point": "fmr-1e-5", "prior": "0.01"},
    {"operating_point": "fmr=1e-4"},
    {"operating_point": "fmr=0.00005", "prior": "0.999"},
    {"operating_point": "fmr=1e-9"},
    {"operating_point": "strict"},
    {"threshold": "0.3"},
    {"threshold": "11"},
    {"threshold": "1", "operating_point": "fmr-1e-2"},
    {"prior": "1.5"},
)
COSTLY_BLUR_PX, TOO_POOR_BLUR_PX = 6, 24  # a penalty, and a refusal, by the card of the default model
LAYERS = ("conv1", "conv2", "conv9", "conv13", "head", "conv99")
MANY = ("001-smiling", "005-neutral", "021-neutral", "041-smiling")
PAGES = {"/": "/page/", "/docs": "/docs/"}  # where a page is, and where its files are
LINK = re.compile(r"""["'](?:\./|/page/|/docs/)([\w-]+\.\w+)["']""")


@dataclass(frozen=True, slots=True)
class Question:
    """One request, with a unique name."""

    name: str
    ask: Callable[[Site], Reply]

    def answer(self, site: Site) -> Json:
        """Send it; where no answer comes, its error stands for it."""
        try:
            reply = self.ask(site)
        except (httpx2.HTTPError, OSError) as error:
            return {"failed": type(error).__name__}
        return kept_answer(reply.status, reply.headers, reply.body)


def http_answers(url: str) -> Iterator[tuple[str, Json]]:
    """Ask a service of the default model, with SETTINGS; gives each question's name and answer."""
    site = Site(url)
    for group in (plain_questions, judged, poor_photos, chosen_faces, many, inside, stored, by_json, refused, odd):
        for question in group():
            yield question.name, question.answer(site)
    yield from page_answers(site)


def other_model_answers(url: str) -> Iterator[tuple[str, Json]]:
    """Ask a service of another model, with ONE_AT_A_TIME."""
    for question in other_model():
        yield question.name, question.answer(Site(url))


def form(path: str, files: Files, **fields: str) -> Question:
    """Return a form; its name is the route and the fields."""
    name = " ".join([f"POST {path}", *(f"{key}={value}" for key, value in fields.items())])
    parts = [(part, (f"{part}.jpg", content)) for part, content in files]
    return Question(name, lambda site: site.post(path, files=parts, data=fields))


def sent_json(name: str, path: str, keys: Mapping[str, object]) -> Question:
    """Return a JSON body."""
    content = json.dumps(keys)
    headers = {"Content-Type": "application/json"}
    return Question(f"POST {path} JSON {name}", lambda site: site.post(path, content=content, headers=headers))


def requested(method: str, path: str, **headers: str) -> Question:
    """Return a request without a body; underscores in the headers' names are hyphens."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    name = " ".join([method, path, *(f"{key}={value}" for key, value in sent.items())])
    return Question(name, lambda site: site.request(method, path, headers=sent))


def about(name: str, question: Question) -> Question:
    """Return the same question with what it shows in its name."""
    return Question(f"{question.name}: {name}", question.ask)


def pair(probe: bytes, *references: bytes) -> Files:
    """Return the parts of a comparison."""
    return [("probe", probe), *(("reference", reference) for reference in references)]


def in_base64(content: bytes) -> str:
    """Return an image as JSON has it."""
    return base64.b64encode(content).decode()


def plain_questions() -> Iterator[Question]:
    """Yield everything that takes no image, and what surrounds each answer."""
    for path in ("/healthz", "/readyz", "/v1/model", "/v1/layers", "/v1/atlas", "/openapi.json", "/errors"):
        yield requested("GET", path)
        yield requested("POST", path)
    yield requested("GET", "/healthz", X_Request_Id="my-own.id_1")
    yield requested("GET", "/healthz", X_Request_Id="not an id")
    yield requested("GET", "/v1/model?verbose=1", Accept="text/html")
    yield requested("HEAD", "/v1/model")
    yield requested("OPTIONS", "/v1/verify", Origin="http://localhost")
    yield requested("GET", "/page/nothing.js")
    yield requested("GET", "/docs/nothing.js")


def judged() -> Iterator[Question]:
    """Yield pairs, and for one of them everything that decides how a distance is judged."""
    for route, (probe, reference) in product(PAIR_ROUTES, PAIRS):
        yield about(f"{probe} {reference}", form(route, pair(photo(probe), photo(reference))))
    files = pair(photo("001-neutral"), photo("001-smiling"))
    for route, fields in product(PAIR_ROUTES, JUDGED):
        quick = {"saliency": "false"} if route == "/v1/explain" else {}
        yield form(route, files, **fields, **quick)
    yield form("/v1/verify", pair(photo("001-neutral"), photo("001-neutral")))
    yield form("/v1/explain", files, saliency="perhaps")


def poor_photos() -> Iterator[Question]:
    """Yield blurred photos on either side, refused or ignored."""
    good = photo("001-neutral")
    for sigma_px, quality in product((COSTLY_BLUR_PX, TOO_POOR_BLUR_PX), ("refuse", "ignore")):
        poor = blurred(sigma_px)
        for name, files in (("probe", pair(poor, good)), ("reference", pair(good, poor)), ("both", pair(poor, poor))):
            yield about(f"{name} blurred by {sigma_px} px", form("/v1/verify", files, quality=quality))
        for route in PAIR_ROUTES[1:]:
            yield about(f"reference blurred by {sigma_px} px", form(route, pair(good, poor), quality=quality))
    too_poor = blurred(TOO_POOR_BLUR_PX)
    yield about("too poor", form("/v1/verify", pair(good, too_poor), threshold="1"))
    yield about("a probe that is too poor", form("/v1/verify/many", pair(too_poor, good)))


def chosen_faces() -> Iterator[Question]:
    """Yield pictures of several kinds, and each rule of which face is meant."""
    for route, (name, content) in product(IMAGE_ROUTES[:2], pictures().items()):
        yield about(name, form(route, [("image", content)]))
    crowd = two_faces()
    for rule in FACE_RULES:
        yield about("probe of two faces", form("/v1/verify", pair(crowd, photo("001-smiling")), face=rule))
        yield about("reference of two faces", form("/v1/verify", pair(photo("001-smiling"), crowd), face=rule))
        for route in IMAGE_ROUTES[1:]:
            yield about("two faces", form(route, [("image", crowd)], face=rule))


def pictures() -> dict[str, bytes]:
    """Return pictures to find faces in, by what they show."""
    turned = {"90": Image.Transpose.ROTATE_90, "180": Image.Transpose.ROTATE_180, "270": Image.Transpose.ROTATE_270}
    face = picture("021-neutral")
    return {
        "a photo": photo("021-neutral"),
        "no face": plain(),
        "two faces": two_faces(),
        "blurred": blurred(TOO_POOR_BLUR_PX),
        "grey": saved(face.convert("L"), "PNG"),
        "small": saved(face.resize((64, 64)), "PNG"),
        "cut tightly": saved(face.crop((150, 150, face.width - 150, face.height - 150)), "PNG"),
        **{f"turned by {degrees}": saved(face.transpose(how), "PNG") for degrees, how in turned.items()},
    }


def many() -> Iterator[Question]:
    """Yield one probe with several references."""
    probe, references = photo("001-neutral"), [photo(name) for name in MANY]
    mixed = [references[0], b"not an image", plain(), two_faces(), blurred(TOO_POOR_BLUR_PX), references[1]]
    yield about("four references", form("/v1/verify/many", pair(probe, *references)))
    yield about("some at fault", form("/v1/verify/many", pair(probe, *mixed)))
    yield about("some at fault", form("/v1/verify/many", pair(probe, *mixed), face="largest", quality="ignore"))
    yield about("16 references", form("/v1/verify/many", pair(probe, *references * 4)))
    yield about("a probe at fault", form("/v1/verify/many", pair(plain(), *references)))


def inside() -> Iterator[Question]:
    """Yield maps of layers, and explanations of pairs that are no pairs."""
    for layer in LAYERS:
        yield form("/v1/maps", [("image", photo("005-neutral"))], layer=layer)
    yield about("a photo", form("/v1/maps", [("image", photo("005-neutral"))]))
    yield about("no face", form("/v1/maps", [("image", plain())]))
    for name, reference in (("no face", plain()), ("no image", b"text"), ("two faces", two_faces())):
        yield about(name, form("/v1/explain", pair(photo("005-neutral"), reference)))


def stored() -> Iterator[Question]:
    """Yield comparisons of embeddings that the service made, and of made-up ones."""
    fields: tuple[dict[str, object], ...] = (
        {},
        {"operating_point": "fmr=1e-4", "prior": 0.1},
        {"threshold": 0.5},
        {"threshold": 0.5, "operating_point": "fmr-1e-2"},
        {"operating_point": "strict"},
        {"prior": 0},
        {"references": []},
        {"model_digest": "sha256:" + "0" * 64},
        {"probe": [0.1] * 127},
        {"extra": 1},
    )
    for changed in fields:
        name = ", ".join(f"{key}={str(value)[:24]}" for key, value in changed.items())
        yield Question(f"POST /v1/embeddings/compare: {name or 'as asked'}", comparing(changed))
    yield sent_json("empty", "/v1/embeddings/compare", {})


def comparing(changed: Mapping[str, object]) -> Callable[[Site], Reply]:
    """Return how embeddings of three photos are made and compared, with some keys changed."""

    def ask(site: Site) -> Reply:
        probe, *references = (embedded(site, name) for name in ("001-neutral", "001-smiling", "005-neutral"))
        asked = {"probe": probe["embedding"], "references": [each["embedding"] for each in references]}
        digest = json.loads(site.request("GET", "/v1/model").body)["digest"]
        return sent_json("", "/v1/embeddings/compare", {**asked, "model_digest": digest, **changed}).ask(site)

    return ask


def embedded(site: Site, name: str) -> dict[str, Json]:
    """Return the service's answer for one photo; an empty embedding where it has none."""
    reply = form("/v1/embeddings", [("image", photo(name))]).ask(site)
    found: dict[str, Json] = json.loads(reply.body)
    return found if reply.status == HTTP_OK else {"embedding": []}


def by_json() -> Iterator[Question]:
    """Yield the JSON form of each route, right and of a wrong type."""
    probe, reference = in_base64(photo("041-neutral")), in_base64(photo("041-smiling"))
    options = {"face": "largest", "operating_point": "fmr=1e-3", "prior": 0.25, "quality": "ignore"}
    yield sent_json("with options", "/v1/verify", {"probe": probe, "reference": reference, **options})
    yield sent_json("with options", "/v1/verify/many", {"probe": probe, "reference": [reference, probe], **options})
    quick = {"saliency": False, **options}
    yield sent_json("with options", "/v1/explain", {"probe": probe, "reference": reference, **quick})
    yield sent_json("one reference", "/v1/verify/many", {"probe": probe, "reference": reference})
    yield sent_json("threshold as text", "/v1/verify", {"probe": probe, "reference": reference, "threshold": "high"})
    yield sent_json("saliency as text", "/v1/explain", {"probe": probe, "reference": reference, "saliency": "much"})
    for route in IMAGE_ROUTES:
        yield sent_json("with a photo", route, {"image": probe})
        yield sent_json("with a number", route, {"image": 7})
    yield sent_json("with options", "/v1/embeddings", {"image": f"data:image/jpeg;base64,{probe}", "face": "only"})
    yield sent_json("with options", "/v1/maps", {"image": probe, "layer": "conv3", "face": "center"})
    yield sent_json("layer as a number", "/v1/maps", {"image": probe, "layer": 3})


def refused() -> Iterator[Question]:
    """Yield for each route that takes images what is right for none."""
    for route in (*PAIR_ROUTES, *IMAGE_ROUTES):
        yield requested("GET", route)
        yield about("nothing", form(route, [("nothing", b"")]))
        yield about("an unknown field", form(route, [], colour="blue"))
        yield sent_json("empty", route, {})
        yield sent_json("an unknown key", route, {"colour": "blue"})
        yield text_to(route)


def text_to(route: str) -> Question:
    """Return a body of plain text."""
    headers = {"Content-Type": "text/plain"}
    return Question(f"POST {route} text", lambda site: site.post(route, content=b"hello", headers=headers))


def odd() -> Iterator[Question]:
    """Yield the whole table of odd inputs."""
    for case in cases():
        yield Question(f"odd input: {case.name}", case.ask)


def page_answers(site: Site) -> Iterator[tuple[str, Json]]:
    """Give each page, and every file that a page or one of its files names."""
    for page, folder in PAGES.items():
        asked, waiting = set[str](), [page]
        while waiting:
            path = waiting.pop(0)
            asked.add(path)
            question = requested("GET", path)
            yield question.name, question.answer(site)
            links = LINK.findall(question.ask(site).body.decode())
            waiting += sorted({folder + name for name in links} - asked - {*waiting})


def other_model() -> Iterator[Question]:
    """Yield what differs between models, and in the end what one gets while there is no free place."""
    files = pair(photo("001-neutral"), photo("001-smiling"))
    questions = (
        *(requested("GET", path) for path in ("/v1/model", "/v1/layers", "/v1/atlas")),
        form("/v1/verify", files),
        form("/v1/explain", files),
        form("/v1/verify", pair(photo("001-neutral"), blurred(TOO_POOR_BLUR_PX))),
        form("/v1/verify", files, operating_point="fmr-1e-6"),
        form("/v1/embeddings", [("image", photo("001-neutral"))]),
        form("/v1/maps", [("image", photo("001-neutral"))], layer="conv1"),
        Question("POST /v1/embeddings/compare", comparing({})),
        Question("POST /v1/faces while there is no free place", while_busy),
    )
    for place, question in enumerate(questions, start=1):
        yield Question(f"other model, {place}: {question.name}", question.ask)


def while_busy(site: Site) -> Reply:
    """Ask while another request, whose body does not come, holds the only place."""
    address = urlsplit(site.url)
    head = "POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"
    with socket.create_connection((address.hostname or "", address.port or 0)) as held:
        held.sendall(head.encode())
        time.sleep(0.5)
        return sent_json("", "/v1/faces", {}).ask(site)
