"""Faces as the commands' JSON shows them: the same keys as over HTTP."""

from dataclasses import asdict

from embedder import Face, Sample


def face_record(face: Face) -> dict[str, object]:
    """One detected face: box, landmarks, score."""
    return asdict(face)


def sample_record(sample: Sample) -> dict[str, object]:
    """The face that was taken, and how it was chosen among how many."""
    return face_record(sample.face) | {"choice": sample.choice, "n_faces": sample.n_faces}
