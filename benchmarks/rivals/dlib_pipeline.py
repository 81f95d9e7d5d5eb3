"""dlib's pipeline, the same steps as `face_recognition`: HOG on an image of twice the size, five points, network.

Run by the rival's interpreter: python dlib_pipeline.py FOLDER, which contains dlib's two .dat files. Only the first
face of a photo is embedded, while face_recognition would embed all.
"""

import io
import sys
from pathlib import Path

import dlib
import numpy as np
from PIL import Image
from turns import answer

UPSAMPLE = 1  # face_recognition's default, as those below
NUM_JITTERS = 1
TOLERANCE = 0.6


class NoFace(Exception):
    """The detector found none."""


class DlibPipeline:
    def __init__(self, folder: Path) -> None:
        self._detector = dlib.get_frontal_face_detector()
        self._points = dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat"))
        self._network = dlib.face_recognition_model_v1(str(folder / "dlib_face_recognition_resnet_model_v1.dat"))
        self._chip = np.random.default_rng(0).integers(0, 256, (150, 150, 3), np.uint8)

    def facts(self) -> dict[str, object]:
        return {"dlib": dlib.__version__, "BLAS": blas(), "AVX": bool(dlib.USE_AVX_INSTRUCTIONS)}

    def verify(self, probe: bytes, reference: bytes) -> bool:
        return bool(np.linalg.norm(self.encoding(probe) - self.encoding(reference)) <= TOLERANCE)

    def network(self) -> object:
        return self._network.compute_face_descriptor(self._chip, NUM_JITTERS)

    def encoding(self, photo: bytes) -> np.ndarray:
        pixels = np.array(Image.open(io.BytesIO(photo)).convert("RGB"))
        boxes = self._detector(pixels, UPSAMPLE)
        if not boxes:
            raise NoFace
        points = self._points(pixels, boxes[0])
        return np.array(self._network.compute_face_descriptor(pixels, points, NUM_JITTERS))


def blas() -> str:
    """Return whether dlib was built with BLAS, and the loaded BLAS libraries without numpy's own (scipy_openblas)."""
    files = {Path(line.split()[-1]).name for line in Path("/proc/self/maps").read_text().splitlines()}
    loaded = sorted(name for name in files if ("blas" in name or "mkl" in name) and "scipy" not in name)
    return f"{'yes' if dlib.DLIB_USE_BLAS else 'no'} ({', '.join(loaded) or 'none loaded'})"


if __name__ == "__main__":
    answer(DlibPipeline(Path(sys.argv[1])))
