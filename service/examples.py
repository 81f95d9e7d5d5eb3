"""Example answers for the API's description: real ones, of the example photos, with rounded numbers. No embedding."""

# What changes with the model and its card stands first; a test holds it against what they answer.
_MODEL: dict[str, object] = {
    "name": "dlib-resnet29-128",
    "digest": "sha256:ed4ca7710fb57ccd319dfbeca2648915d02ff518c260f2d1c00727fb96c35761",
    "card_digest": "sha256:2d06b3ca9a1c215095d3b1bd69e28a2afe28a09b4070acfb792ab6239514b2e4",
}
_STANDARD: dict[str, object] = {
    "operating_point": {
        "name": "fmr-1e-3",
        "threshold": -2.923,
        "fmr": 0.000999461,
        "fnmr": 0.044364,
        "fmr_interval": [0.000877048, 0.00114075],
        "fnmr_interval": [0.0324166, 0.0576828],
        "n_identities": 2132,
        "n_genuine": 2209,
        "n_impostor": 5923194,
        "note": "The loosest threshold with at most 0.001 of the impostor comparisons below it.",
    },
    "prior": 0.5,
}
_SAME: dict[str, object] = {
    "same": True,
    "distance": 0.2847,
    "threshold": 0.5631,
    "threshold_reason": (
        "Usually 0.552; a distinct face in the probe (embedding_length 1.6, usually 1.4) +0.008, a distinct "
        "face in the reference (embedding_length 1.5, usually 1.4) +0.008."
    ),
    "normalized_distance": -14.324,
    "probability": 0.999997,
    "log_likelihood_ratio": 12.7477,
}
_DIFFERENT: dict[str, object] = {
    "same": False,
    "distance": 0.8394,
    "threshold": 0.5123,
    "threshold_reason": (
        "Usually 0.552; crowded neighbourhood of the reference (nearest strangers at 0.56, usually 0.65) "
        "-0.046, a distinct face in the probe (embedding_length 1.6, usually 1.4) +0.009."
    ),
    "normalized_distance": 8.82,
    "probability": 0.004595,
    "log_likelihood_ratio": -5.3782,
}
# Of the same photos' embeddings, without the photos.
_SAME_EMBEDDED: dict[str, object] = {
    "same": True,
    "distance": 0.2847,
    "threshold": 0.5634,
    "threshold_reason": (
        "Usually 0.552; a distinct face in the probe (embedding_length 1.6, usually 1.4) +0.008, a distinct "
        "face in the reference (embedding_length 1.5, usually 1.4) +0.008. The photos are not known here, so "
        "their quality is left out."
    ),
    "normalized_distance": -14.34,
    "probability": 0.999997,
    "log_likelihood_ratio": 12.7477,
}
_DIFFERENT_EMBEDDED: dict[str, object] = {
    "same": False,
    "distance": 0.8394,
    "threshold": 0.513,
    "threshold_reason": (
        "Usually 0.552; crowded neighbourhood of the reference (nearest strangers at 0.56, usually 0.65) "
        "-0.046, a distinct face in the probe (embedding_length 1.6, usually 1.4) +0.009. The photos are not "
        "known here, so their quality is left out."
    ),
    "normalized_distance": 8.795,
    "probability": 0.004595,
    "log_likelihood_ratio": -5.3782,
}

_PROBE_FACE: dict[str, object] = {
    "box": {"x": 200.7, "y": 166.9, "width": 200.0, "height": 272.6},
    "landmarks": [[251.4, 281.7], [346.8, 278.2], [294.9, 330.9], [264.5, 379.9], [337.9, 378.4]],
    "score": 1.0,
    "rotation": 0,
}
_SMILING_FACE: dict[str, object] = {
    "box": {"x": 206.5, "y": 201.2, "width": 192.1, "height": 262.6},
    "landmarks": [[247.2, 315.1], [342.7, 307.1], [289.5, 368.5], [256.8, 401.8], [342.8, 397.6]],
    "score": 0.9985,
    "rotation": 0,
}
_OTHER_FACE: dict[str, object] = {
    "box": {"x": 189.4, "y": 155.5, "width": 212.4, "height": 273.7},
    "landmarks": [[252.4, 262.5], [345.6, 266.5], [298.7, 315.5], [261.1, 367.4], [331.3, 369.4]],
    "score": 1.0,
    "rotation": 0,
}
_PROBE_QUALITY: dict[str, object] = {
    "eye_distance_px": 95.5,
    "sharpness": 1.088,
    "blockiness": 0.408,
    "brightness": 142.0,
    "contrast": 31.6,
    "clipped": 0.0,
    "turn": 0.055,
    "detector_score": 1.0,
    "embedding_length": 1.573,
    "penalty": 0.0212,
    "is_too_poor": False,
}
_SMILING_QUALITY: dict[str, object] = {
    "eye_distance_px": 95.9,
    "sharpness": 1.031,
    "blockiness": 0.224,
    "brightness": 146.9,
    "contrast": 33.9,
    "clipped": 0.0,
    "turn": 0.0931,
    "detector_score": 0.9985,
    "embedding_length": 1.526,
    "penalty": 0.0095,
    "is_too_poor": False,
}
_OTHER_QUALITY: dict[str, object] = {
    "eye_distance_px": 93.3,
    "sharpness": 0.933,
    "blockiness": 0.48,
    "brightness": 131.4,
    "contrast": 30.26,
    "clipped": 0.0,
    "turn": 0.0115,
    "detector_score": 1.0,
    "embedding_length": 1.428,
    "penalty": 0.6289,
    "is_too_poor": False,
}

_CHOSEN: dict[str, object] = {"choice": "dominant", "n_faces": None}
_PROBE: dict[str, object] = _PROBE_FACE | _CHOSEN | {"quality": _PROBE_QUALITY}
_ONE_PERSON: dict[str, object] = {
    **_SAME,
    **_STANDARD,
    "quality": "refuse",
    "probe": _PROBE,
    "reference": _SMILING_FACE | _CHOSEN | {"quality": _SMILING_QUALITY},
}
_TWO_PEOPLE: dict[str, object] = {
    **_DIFFERENT,
    **_STANDARD,
    "quality": "refuse",
    "probe": _PROBE,
    "reference": _OTHER_FACE | _CHOSEN | {"quality": _OTHER_QUALITY},
}

VERIFY_ANSWER: dict[str, object] = _ONE_PERSON | {
    "model": _MODEL,
    "timings_ms": {"decode": 2.9, "detect": 125.8, "embed": 18.8, "total": 150.5},
    "request_id": "ef175a20de325db6",
}

# Shortened: the first channels, places and regions of many.
_CONTRAST = {
    "en": "falls weakly with contrast, r = -0.17 [-0.24, -0.10]",
    "zh": "随对比度增大而略有降低，r = -0.17 [-0.24, -0.10]",
}
_MOUTH = {
    "en": "falls weakly with mouth width over eye distance, r = -0.12 [-0.19, -0.05]",
    "zh": "随嘴宽与眼距之比增大而略有降低，r = -0.12 [-0.19, -0.05]",
}

EXPLAIN_ANSWER: dict[str, object] = VERIFY_ANSWER | {
    "chips": {
        "probe": {
            "picture": "data:image/png;base64,iVBORw0KGgo...",
            "landmarks": [[46.45, 45.74], [103.28, 44.97], [71.67, 75.58], [52.86, 104.32], [96.55, 104.49]],
        },
        "reference": {
            "picture": "data:image/png;base64,iVBORw0KGgo...",
            "landmarks": [[46.02, 47.06], [104.66, 45.63], [69.94, 81.19], [48.74, 100.35], [101.44, 100.87]],
        },
    },
    "channels": [
        {"channel": 112, "probe": 0.1834, "reference": 0.1093, "share": 0.0677, "sentences": _CONTRAST},
        {"channel": 36, "probe": -0.0717, "reference": -0.0027, "share": 0.0588, "sentences": _MOUTH},
    ],
    "saliency": {
        "probe": {
            "map": [[0.096, 0.09, 0.081, 0.083], [0.098, 0.093, 0.083, 0.091]],
            "regions": [
                {"region": "right_eye", "share": 0.2076, "toward": 0.2076},
                {"region": "left_eye", "share": 0.187, "toward": 0.187},
            ],
        },
        "reference": {
            "map": [[0.121, 0.108, 0.083, 0.065], [0.138, 0.128, 0.109, 0.1]],
            "regions": [
                {"region": "right_eye", "share": 0.2165, "toward": 0.2165},
                {"region": "nose", "share": 0.1841, "toward": 0.1841},
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
                "detail": (
                    "the bytes are no image that is read here; send a JPEG, PNG, WebP, BMP, TIFF, GIF, PGM or PPM file"
                ),
                "code": "not_an_image",
                "image": "reference",
            }
        },
        {"verdict": _TWO_PEOPLE},
    ],
    "model": _MODEL,
    "timings_ms": {"decode": 4.3, "detect": 153.7, "embed": 26.9, "total": 319.6},
    "request_id": "64615f66f6e20ec6",
}

FACES_ANSWER: dict[str, object] = {
    "faces": [_PROBE_FACE],
    "request_id": "150f52d61ba8202f",
}

COMPARE_ANSWER: dict[str, object] = {
    **_STANDARD,
    "results": [_SAME_EMBEDDED, _DIFFERENT_EMBEDDED],
    "model": _MODEL,
    "request_id": "00d51e7663ba5571",
}

COMPARE_QUESTION: dict[str, object] = {
    "probe": [0.0] * 128,
    "references": [[0.0] * 128, [0.1] * 128],
    "model_digest": _MODEL["digest"],
}
