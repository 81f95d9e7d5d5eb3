"""facenet-pytorch's pipeline: MTCNN finds and cuts the face, InceptionResnetV1 embeds it, both by torch.

Its network's trained weights lie on the web only, so they are random here: the time is the same, and the decisions mean
nothing.
"""

import io
from importlib.metadata import version

import torch
from facenet_pytorch import MTCNN, InceptionResnetV1
from PIL import Image
from turns import answer

THRESHOLD = 1.0  # for unit vectors; none that was measured


class NoFace(Exception):
    """The detector found none."""


class FacenetPipeline:
    def __init__(self) -> None:
        self._detector = MTCNN()
        self._network = InceptionResnetV1(pretrained=None, num_classes=1).eval()
        self._chip = torch.rand(1, 3, 160, 160)

    def facts(self) -> dict[str, object]:
        return {
            "facenet-pytorch": version("facenet-pytorch"),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "weights": "MTCNN trained, network random",
        }

    @torch.inference_mode()
    def verify(self, probe: bytes, reference: bytes) -> bool:
        return bool((self._embedding(probe) - self._embedding(reference)).norm() <= THRESHOLD)

    @torch.inference_mode()
    def network(self) -> object:
        return self._network(self._chip)

    def _embedding(self, photo: bytes) -> torch.Tensor:
        face = self._detector(Image.open(io.BytesIO(photo)).convert("RGB"))
        if face is None:
            raise NoFace
        embedding: torch.Tensor = self._network(face[None])[0]
        return embedding


if __name__ == "__main__":
    answer(FacenetPipeline())
