"""OpenAPI parts that FastAPI does not derive itself: request bodies, problems and real example answers.

The dicts have OpenAPI's own structure; only FastAPI uses them.
"""

from collections import defaultdict
from typing import Any
from urllib.parse import quote

from embedder import (
    FORMATS_IN_WORDS,
    FaceCovered,
    ImageTooLarge,
    ImageTooSlow,
    ImageUnreadable,
    LowQuality,
    NoFace,
    NoSuchFace,
    NotAnImage,
    OperatingPointUnavailable,
    SeveralFaces,
)

from .errors import BodyTooLarge, BodyTooSlow, Busy, InternalError, MalformedRequest, UnsupportedMediaType
from .problem_types import KnownError, problem_type_of
from .problems import MEDIA_TYPE, type_uri
from .request_body import FORM, JSON
from .request_parsing import OptionsT, RequestSpec
from .wire import Message

# Values that depend on the model and its card come first; a test compares them with real answers.
MODEL_EXAMPLE: dict[str, object] = {
    "name": "sface-128",
    "digest": "sha256:edb565f7509236847bb7bb494925e0e74af714b6119cfa69dc6d2757a7fe4055",
    "card_digest": "sha256:0d1a6122672a16c22e4faceef776ec1c709779170f8df924cecbc6b0a16dfbbf",
}
STANDARD_EXAMPLE: dict[str, object] = {
    "operating_point": {
        "name": "fmr-1e-3",
        "threshold": 1.08036,
        "fmr": 0.000970685,
        "fnmr": 0.00995926,
        "fmr_interval": [0.000146914, 0.00235581],
        "fnmr_interval": [0.00505465, 0.016131],
        "n_identities": 102,
        "n_genuine": 2209,
        "n_impostor": 20604,
        "population": "London",
        "note": "The loosest threshold with at most 0.001 of the impostor comparisons below it "
        "in every population that has enough of them.",
    },
    "prior": 0.5,
}
SAME_EXAMPLE: dict[str, object] = {
    "same": True,
    "distance": 0.3976,
    "threshold": 1.08036,
    "threshold_reason": "fmr-1e-3: 1.080 for all pairs with at least one good photo.",
    "normalized_distance": 0.3976,
    "probability": 0.999998,
    "log_likelihood_ratio": 13.2049,
}
_DIFFERENT: dict[str, object] = {
    "same": False,
    "distance": 1.3429,
    "threshold": 1.08036,
    "threshold_reason": "fmr-1e-3: 1.080 for all pairs with at least one good photo.",
    "normalized_distance": 1.3429,
    "probability": 0.004512,
    "log_likelihood_ratio": -5.3965,
}

_PROBE_FACE: dict[str, object] = {
    "box": {"x": 203.7, "y": 158.7, "width": 195.9, "height": 281.9},
    "landmarks": [[249.7, 280.3], [347.1, 277.4], [294.6, 328.8], [263.2, 379.0], [338.3, 377.6]],
    "score": 0.9307,
    "rotation": 0,
}
_SMILING_FACE: dict[str, object] = {
    "box": {"x": 203.2, "y": 199.5, "width": 201.0, "height": 267.5},
    "landmarks": [[246.7, 313.5], [342.6, 305.3], [287.7, 367.8], [259.7, 401.9], [342.5, 395.4]],
    "score": 0.9311,
    "rotation": 0,
}
_OTHER_FACE: dict[str, object] = {
    "box": {"x": 196.9, "y": 172.4, "width": 204.8, "height": 255.4},
    "landmarks": [[253.4, 261.6], [345.2, 266.0], [297.1, 314.3], [259.2, 365.6], [331.8, 368.2]],
    "score": 0.9438,
    "rotation": 0,
}
PROBE_QUALITY_EXAMPLE: dict[str, object] = {
    "eye_distance_px": 97.4,
    "sharpness": 0.8873,
    "blockiness": 0.0028,
    "brightness": 134.8,
    "contrast": 43.44,
    "clipped": 0.0,
    "turn": 0.0511,
    "detector_score": 0.9307,
    "eyes_visible": 0.9923,
    "mouth_visible": 0.9896,
    "covered": 0.0104,
    "covered_part": None,
    "embedding_length": None,
    "penalty": 0.0,
    "is_too_poor": False,
}
_SMILING_QUALITY: dict[str, object] = {
    "eye_distance_px": 96.3,
    "sharpness": 0.9416,
    "blockiness": 0.0229,
    "brightness": 141.0,
    "contrast": 41.95,
    "clipped": 0.0,
    "turn": 0.1172,
    "detector_score": 0.9311,
    "eyes_visible": 0.9949,
    "mouth_visible": 0.9832,
    "covered": 0.0168,
    "covered_part": None,
    "embedding_length": None,
    "penalty": 0.0,
    "is_too_poor": False,
}
_OTHER_QUALITY: dict[str, object] = {
    "eye_distance_px": 91.9,
    "sharpness": 0.8344,
    "blockiness": 0.018,
    "brightness": 120.1,
    "contrast": 36.93,
    "clipped": 0.0,
    "turn": 0.0043,
    "detector_score": 0.9438,
    "eyes_visible": 0.9949,
    "mouth_visible": 0.9976,
    "covered": 0.0051,
    "covered_part": None,
    "embedding_length": None,
    "penalty": 0.0,
    "is_too_poor": False,
}

_CHOSEN: dict[str, object] = {"choice": "dominant", "n_faces": None}
PROBE_EXAMPLE: dict[str, object] = _PROBE_FACE | _CHOSEN | {"quality": PROBE_QUALITY_EXAMPLE}
_ONE_PERSON: dict[str, object] = {
    **SAME_EXAMPLE,
    **STANDARD_EXAMPLE,
    "quality": "refuse",
    "probe": PROBE_EXAMPLE,
    "reference": _SMILING_FACE | _CHOSEN | {"quality": _SMILING_QUALITY},
    "notes": [],
}
_TWO_PEOPLE: dict[str, object] = {
    **_DIFFERENT,
    **STANDARD_EXAMPLE,
    "quality": "refuse",
    "probe": PROBE_EXAMPLE,
    "reference": _OTHER_FACE | _CHOSEN | {"quality": _OTHER_QUALITY},
    "notes": [],
}

VERIFY_ANSWER: dict[str, object] = _ONE_PERSON | {
    "model": MODEL_EXAMPLE,
    "timings_ms": {"decode": 5.6, "detect": 16.9, "embed": 13.1, "total": 26.9},
    "request_id": "ef175a20de325db6",
}

# Shortened: the first channels, places and regions of many.
EXPLAIN_ANSWER: dict[str, object] = VERIFY_ANSWER | {
    "chips": {
        "probe": {
            "picture": "data:image/png;base64,iVBORw0KGgo...",
            "landmarks": [[37.14, 52.49], [75.51, 52.1], [54.46, 71.96], [41.71, 91.47], [71.32, 91.48]],
        },
        "reference": {
            "picture": "data:image/png;base64,iVBORw0KGgo...",
            "landmarks": [[37.06, 52.64], [76.8, 52.08], [52.36, 76.22], [39.81, 89.41], [74.09, 89.16]],
        },
    },
    "channels": [
        {
            "channel": 115,
            "probe": 0.0034,
            "reference": 0.1005,
            "share": 0.0596,
            "sentences": {
                "en": "rises weakly with sharpness, r = 0.11 [0.04, 0.18]",
                "zh": "随清晰度增大而略有升高，r = 0.11 [0.04, 0.18]",
            },
        },
        {
            "channel": 93,
            "probe": 0.1028,
            "reference": 0.1885,
            "share": 0.0465,
            "sentences": {
                "en": "falls weakly with nose length over eye distance, r = -0.08 [-0.15, -0.01]",
                "zh": "随鼻长与眼距之比增大而略有降低，r = -0.08 [-0.15, -0.01]",
            },
        },
    ],
    "saliency": {
        "probe": {
            "map": [[0.101, 0.108, 0.123, 0.152], [0.1, 0.105, 0.114, 0.149]],
            "regions": [
                {"region": "left_eye", "share": 0.2242, "toward": 0.2242},
                {"region": "right_eye", "share": 0.2196, "toward": 0.2196},
            ],
        },
        "reference": {
            "map": [[0.073, 0.07, 0.066, 0.088], [0.059, 0.057, 0.055, 0.089]],
            "regions": [
                {"region": "outside", "share": 0.2221, "toward": 0.1955},
                {"region": "left_eye", "share": 0.2179, "toward": 0.2179},
            ],
        },
    },
}

VERIFY_MANY_ANSWER: dict[str, object] = {
    "results": [
        {"verdict": _ONE_PERSON},
        {
            "problem": {
                "type": "/errors#not_an_image",
                "title": "Not an image",
                "status": 415,
                "detail": f"the bytes are not in a supported image format; send a {FORMATS_IN_WORDS} file",
                "code": "not_an_image",
                "image": "reference",
            }
        },
        {"verdict": _TWO_PEOPLE},
    ],
    "model": MODEL_EXAMPLE,
    "timings_ms": {"decode": 15.3, "detect": 21.2, "embed": 21.3, "total": 42.1},
    "request_id": "64615f66f6e20ec6",
}

FACES_ANSWER: dict[str, object] = {"faces": [_PROBE_FACE], "request_id": "150f52d61ba8202f"}

EMBED_ALL_ANSWER: dict[str, object] = {
    "faces": [{"image": 0} | _PROBE_FACE | {"quality": PROBE_QUALITY_EXAMPLE, "embedding": [0.0] * 128}],
    "problems": [
        {
            "image": 1,
            "type": "/errors#not_an_image",
            "title": "Not an image",
            "status": 415,
            "detail": f"the bytes are not in a supported image format; send a {FORMATS_IN_WORDS} file",
            "code": "not_an_image",
        }
    ],
    "model": MODEL_EXAMPLE,
    "timings_ms": {"decode": 1.6, "detect": 6.3, "embed": 8.4, "total": 18.1},
    "request_id": "bae2b2ab0d3eaa7b",
}

_UNKNOWN_PHOTOS: dict[str, object] = {
    "threshold_reason": "fmr-1e-3: 1.080; the quality of the photos is not known here, so no penalty is taken off.",
}

COMPARE_ANSWER: dict[str, object] = {
    **STANDARD_EXAMPLE,
    "results": [SAME_EXAMPLE | _UNKNOWN_PHOTOS, _DIFFERENT | _UNKNOWN_PHOTOS],
    "model": MODEL_EXAMPLE,
    "request_id": "00d51e7663ba5571",
}

COMPARE_QUESTION: dict[str, object] = {
    "probe": [0.125] * 64 + [0.0] * 64,  # of length 1
    "references": [[0.125] * 64 + [0.0] * 64, [0.0] * 64 + [0.125] * 64],
    "model_digest": MODEL_EXAMPLE["digest"],
}

RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}}}

BODY_PROBLEMS: tuple[KnownError, ...] = (
    MalformedRequest,
    BodyTooSlow,
    BodyTooLarge,
    UnsupportedMediaType,
    InternalError,
    Busy,
)
IMAGE_PROBLEMS: tuple[KnownError, ...] = (ImageTooLarge, NotAnImage, ImageUnreadable, ImageTooSlow)
FACE_PROBLEMS: tuple[KnownError, ...] = (NoFace, SeveralFaces, NoSuchFace)
PAIR_PROBLEMS: tuple[KnownError, ...] = (
    *BODY_PROBLEMS,
    *IMAGE_PROBLEMS,
    *FACE_PROBLEMS,
    FaceCovered,
    LowQuality,
    OperatingPointUnavailable,
)

EXAMPLE_REQUEST_ID = "5f0c9d2ab1e84c37"
# A drawn face, which shows no person: tools/draw_example_face.py makes it. So a documented request is answered.
EXAMPLE_IMAGE = (
    "UklGRm4CAABXRUJQVlA4IGICAADwFwCdASqAAIAAPu1oqk2ppiQiMnPpyTAdiWMAzjZoZ7dCYgp0vllZgBlPuyRCBYc2tk2eclhec6IQRuOBKI"
    "PCNi4wFh9Zq8zWvIl+TkJ0jkMnzie6GxI7bTvqnLseK6qoU0dlmOTOnd9FpJG4bvyAIb477wGpHFU9hiXGYzMmTUYEJl3vqSofj28m5DcZ2goN"
    "uXSr4x+CMlAQmmKr3wOvb5B+ojs3GKqNpYexaRiRhKAaUewviBl3/3MLzO3O49ynj1RwJSsT4AD+43KzhrZ7O3heoDvOlGGbLrSPwsIr0ZuZ35"
    "Lga9C+PjyfCztKG/C6JqnBHpT4ZZFU+grYz0sKrzinP2PRuaoLahj4Hw5sjDSzXmtJyb/Iw5FdmP5YKAjh7RNtP4b/q2wnTVBmvmejryVulYeZ"
    "gfBqSa3SjiV7qb94REVzN3aV61yF1Jr24AsdMSiRNtnhiEJ2YiVNFOBvB4r8rdJDE1hpd5EcJtxn1RNFJEx4X1CBz7zAEjcjFT6zC7YWZM/mOQ"
    "/TPmweeqXN5sTHlhCjCYalUn9yM5/rN/Pz9AJHF9MCQGj58UUjr05E4V9DlmDOtlypQR5iWFXLbHNGrF6k93QAJes5c0ZTX2OncFabQMEkKlEC"
    "D8c3bhwHFrV3KMSyA1CuYoxp5CoDLYJ3Y94RLwRQvl4IXVyXHG5obP5TIDEBWMy/W1zJ00uOJt7kduI2Xus+du8MmemG7L3UjKhdX1YtwN76BF"
    "AEnk8/giaRmnVFciANdoyxycIl000jDdyGGyNmLp2sS6yeKveKJ6ANBbp8U02w96UAAAAA"
)


def responses(
    *errors: KnownError, example: object = None, links: dict[str, dict[str, Any]] | None = None
) -> dict[int | str, dict[str, Any]]:
    """Describe the 200 response and, by status, the problem of each error."""
    by_status: dict[int | str, list[KnownError]] = defaultdict(list)
    for error in errors:
        by_status[problem_type_of(error).status].append(error)
    content = {} if example is None else {"content": {JSON: {"example": example}}}
    good = content | ({} if links is None else {"links": links})
    return ({200: good} if good else {}) | {
        status: _problems(of_status) for status, of_status in sorted(by_status.items(), key=str)
    }


def link(path: str, method: str = "post", **what: object) -> dict[str, Any]:
    """Describe a request that takes values of an answer: `description`, `parameters` or `requestBody`."""
    return {"operationRef": f"#/paths/{quote(path.replace('/', '~1'), safe='/~')}/{method}", **what}


def image_body(spec: RequestSpec[OptionsT]) -> dict[str, Any]:
    """Describe a body with images, as multipart form and as JSON, and the options of the query."""
    properties = {name: _file_part(most) for name, most in spec.images.items()} | _form_fields(spec.options_model)
    form = {"type": "object", "required": list(spec.images), "properties": properties, "additionalProperties": False}
    example = {name: EXAMPLE_IMAGE if most == 1 else [EXAMPLE_IMAGE] for name, most in spec.images.items()}
    content = {FORM: {"schema": form}, JSON: {"schema": spec.json_form.whole_schema(), "example": example}}
    in_query = [each for each in parameters(spec.options_model) if each["name"] not in spec.facts]
    return {"requestBody": {"required": True, "content": content}, "parameters": in_query}


def json_body(model: type[Message], options_model: type[Message], example: object) -> dict[str, Any]:
    """Describe a body that must be JSON, and the options of the query."""
    content = {JSON: {"schema": model.whole_schema(), "example": example}}
    return {"requestBody": {"required": True, "content": content}, "parameters": parameters(options_model)}


def _file_part(most: int) -> dict[str, Any]:
    one = {"type": "string", "format": "binary", "description": f"A {FORMATS_IN_WORDS} file."}
    return one if most == 1 else {"type": "array", "items": one, "minItems": 1, "maxItems": most}


def _form_fields(options_model: type[Message]) -> dict[str, dict[str, Any]]:
    options = options_model.whole_schema()["properties"]
    return {name: _form_field(options[name]) for name in options_model.model_fields}


def parameters(options_model: type[Message], where: str = " Send it here or in the body.") -> list[dict[str, Any]]:
    """Describe options of the query; without defaults, which /docs would send beside those of the body."""
    return [_parameter(name, field, where) for name, field in _form_fields(options_model).items()]


def _parameter(name: str, field: dict[str, Any], where: str) -> dict[str, Any]:
    schema = {key: value for key, value in field.items() if key not in ("default", "description")}
    description = field["description"] + where
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _form_field(option: dict[str, Any]) -> dict[str, Any]:
    """Remove null from an option's types: a form omits the field instead."""
    first, *_ = option.get("anyOf", [{}])
    return {
        key: value for key, value in {**first, **option}.items() if key not in ("anyOf", "title") and value is not None
    }


def _problems(errors: list[KnownError]) -> dict[str, Any]:
    examples = {error.code: {"summary": problem_type_of(error).title, "value": _example(error)} for error in errors}
    schema = {"$ref": "#/components/schemas/Problem"}
    waits = any(problem_type_of(error).status in (429, 503) for error in errors)
    return {
        "description": ", ".join(f"`{error.code}`" for error in errors),
        "content": {MEDIA_TYPE: {"schema": schema, "examples": examples}},
    } | ({"headers": RETRY_AFTER} if waits else {})


def _example(error: KnownError) -> dict[str, Any]:
    kind = problem_type_of(error)
    return {
        "type": type_uri(error.code),
        "title": kind.title,
        "status": kind.status,
        "detail": kind.remedy,
        "code": error.code,
        "request_id": EXAMPLE_REQUEST_ID,
    }
