"""What a caller probably meant by a name that no route knows: other services' words for the same thing, and slips."""

from collections.abc import Sequence
from difflib import get_close_matches

_FIRST = ("probe", "image")
_SECOND = ("reference",)
_ALSO_CALLED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("img1", "image1", "image_1", "file1", "photo1", "face1", "source", "source_image"), _FIRST),
    **dict.fromkeys(("img", "file", "photo", "picture", "upload", "selfie", "query", "first", "a"), _FIRST),
    **dict.fromkeys(("image", "images", "files", "probe_image", "probes"), _FIRST),
    **dict.fromkeys(("img2", "image2", "image_2", "file2", "photo2", "face2", "target", "target_image"), _SECOND),
    **dict.fromkeys(("reference_image", "id_photo", "gallery", "candidate", "second", "b"), _SECOND),
    **dict.fromkeys(("references", "targets", "reference[]"), ("reference", "references")),
    **dict.fromkeys(("probe", "embedding", "source_embedding", "vector"), ("probe", "image")),
    **dict.fromkeys(("embeddings", "vectors", "target_embeddings"), ("references",)),
    **dict.fromkeys(("digest", "model", "model_id"), ("model_digest",)),
    **dict.fromkeys(("choice", "face_choice", "select", "face_selection"), ("face",)),
    **dict.fromkeys(("similarity_threshold", "distance_threshold", "cutoff", "max_distance"), ("threshold",)),
    **dict.fromkeys(("fmr", "far", "point", "security_level", "threshold_name"), ("operating_point",)),
    **dict.fromkeys(("enforce_quality", "quality_filter", "qualityfilter", "min_quality"), ("quality",)),
}


def meant_by(name: str, known: Sequence[str]) -> str | None:
    """Return the known name that `name` probably stands for, or None."""
    lowered = name.strip().lower()
    for candidate in _ALSO_CALLED.get(lowered, ()):
        if candidate in known:
            return candidate
    return next(iter(get_close_matches(lowered, known, n=1, cutoff=0.75)), None)


def unknown_name(kind: str, name: str, known: Sequence[str]) -> str:
    """Say that a part or field is unknown, what was probably meant, and what there is."""
    meant = meant_by(name, known)
    hint = f"did you mean {meant!r}? " if meant else ""
    return f"there is no {kind} {shown(name)} here; {hint}the names are: {', '.join(known)}"


def shown(text: str, longest: int = 40) -> str:
    """Quote what a caller sent, cut short and with every odd character escaped."""
    return ascii(text if len(text) <= longest else text[:longest] + "...")
