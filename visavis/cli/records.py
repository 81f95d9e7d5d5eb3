"""Faces and layers as the commands' JSON shows them: the same keys as over HTTP."""

from dataclasses import asdict, fields

from embedder import Face, Grade, Layer, Sample


def layer_record(layer: Layer) -> dict[str, object]:
    """One layer of a network."""
    return {
        "name": layer.name,
        "kind": layer.kind,
        "notation": layer.notation,
        "takes": layer.takes,
        "adds": layer.adds,
        "activation": layer.activation,
        "shape": layer.shape,
        "receptive_field_px": layer.receptive_field_px,
        "mixes": layer.mixes,
        "parameters": layer.parameters,
        "macs": layer.macs,
    }


def face_record(face: Face) -> dict[str, object]:
    """One detected face: box, landmarks, score."""
    return asdict(face)


def sample_record(sample: Sample) -> dict[str, object]:
    """The face that was taken, how it was chosen among how many, and how good its photo is."""
    chosen = {"choice": sample.choice, "n_faces": sample.n_faces}
    return face_record(sample.face) | chosen | {"quality": quality_record(sample)}


def quality_record(sample: Sample) -> dict[str, object]:
    """Every measure by its name; what the card's rule says of them is null where it has none."""
    rule = dict.fromkeys(field.name for field in fields(Grade)) if sample.grade is None else asdict(sample.grade)
    no_longer_known = {"embedding_length": None}  # the key stays for one release
    return asdict(sample.quality) | no_longer_known | rule
