"""Example photos with covers drawn on the face, of kinds that no fit has seen."""

from io import BytesIO
from pathlib import Path

import numpy as np
from drawn_covers import DRAWN
from PIL import Image

from embedder import FaceEmbedder


def covered_photo(embedder: FaceEmbedder, path: Path, kind: str, seed: int = 0) -> bytes:
    """Draw a cover of a kind of `drawn_covers` on the face of a photo."""
    (face,) = embedder.detect(path.read_bytes())
    picture = Image.open(path).convert("RGB")
    file = BytesIO()
    DRAWN[kind](picture, face.landmarks, np.random.default_rng(seed)).picture.save(file, "PNG")
    return file.getvalue()
