"""OpenCV's pipeline, the same steps as its sample: YuNet (FaceDetectorYN), then SFace (FaceRecognizerSF).

Run by the rival's interpreter: python opencv_pipeline.py FOLDER, which contains both networks. A large photo is scaled
down first, as users of YuNet do: it was trained on faces of 10 to 300 px, and its time grows with the area.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from turns import answer

LONGER_SIDE_PX = 640
SCORE, COSINE = 0.9, 0.363  # the sample's: the least score of a face, and the least similarity of one person
CHIP_SIZE_PX = 112


class NoFace(Exception):
    """The detector found none."""


class OpencvPipeline:
    def __init__(self, folder: Path) -> None:
        self._detector = cv2.FaceDetectorYN.create(str(folder / "yunet.onnx"), "", (320, 320), SCORE)
        self._network = cv2.FaceRecognizerSF.create(str(folder / "sface.onnx"), "")
        self._chip = np.random.default_rng(0).integers(0, 256, (CHIP_SIZE_PX, CHIP_SIZE_PX, 3), np.uint8)

    def facts(self) -> dict[str, object]:
        return {"OpenCV": cv2.__version__, "threads": cv2.getNumThreads(), "longer side at most, px": LONGER_SIDE_PX}

    def verify(self, probe: bytes, reference: bytes) -> bool:
        features = (self._feature(photo) for photo in (probe, reference))
        return bool(self._network.match(*features, cv2.FaceRecognizerSF_FR_COSINE) >= COSINE)

    def embedding(self, photo: bytes) -> list[float]:
        pixels = decoded(photo)
        middle = np.array(pixels.shape[1::-1]) / 2
        faces = self._faces(pixels)
        feature = self._embedded(pixels, min(faces, key=lambda face: np.linalg.norm(center(face) - middle)))
        unit: list[float] = (feature[0] / np.linalg.norm(feature[0])).tolist()
        return unit

    def network(self) -> object:
        return self._network.feature(self._chip)

    def _feature(self, photo: bytes) -> np.ndarray:
        pixels = decoded(photo)
        return self._embedded(pixels, max(self._faces(pixels), key=area))

    def _faces(self, pixels: np.ndarray) -> np.ndarray:
        """(n, 15): x, y, width, height, five landmarks, score."""
        self._detector.setInputSize(pixels.shape[1::-1])
        faces = self._detector.detect(pixels)[1]
        if faces is None:
            raise NoFace
        found: np.ndarray = faces
        return found

    def _embedded(self, pixels: np.ndarray, face: np.ndarray) -> np.ndarray:
        feature: np.ndarray = self._network.feature(self._network.alignCrop(pixels, face))
        return feature


def decoded(photo: bytes) -> np.ndarray:
    """BGR pixels (h, w, 3), the longer side at most 640."""
    pixels = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
    scale = LONGER_SIDE_PX / max(pixels.shape)
    return cv2.resize(pixels, None, fx=scale, fy=scale) if scale < 1 else pixels


def area(face: np.ndarray) -> float:
    return float(face[2] * face[3])


def center(face: np.ndarray) -> np.ndarray:
    middle: np.ndarray = face[:2] + face[2:4] / 2
    return middle


if __name__ == "__main__":
    answer(OpencvPipeline(Path(sys.argv[1])))
