"""The client of a base install, where neither numpy nor Pillow is, against the real service."""

import subprocess
import sys
from pathlib import Path

WITHOUT_NUMPY_AND_PILLOW = """
import sys
sys.modules["numpy"] = sys.modules["PIL"] = None  # importing them is a ModuleNotFoundError
from io import BytesIO
from pathlib import Path
from service.client import FaceClient

address, path = sys.argv[1:]
photo = Path(path).read_bytes()
with FaceClient(address) as client:
    known = client.embed(photo)
    many = client.verify_many(path, [Path(path), photo, memoryview(photo), BytesIO(photo)])
    vectors = [list(known.embedding), tuple(known.embedding)]
    compared = client.compare(vectors[0], vectors, model_digest=client.model().digest)
print(all(result.verdict.distance < 1e-5 for result in many.results), [result.distance for result in compared.results])
"""

AN_ARRAY_WITHOUT_PILLOW = """
import sys
sys.modules["PIL"] = None
import numpy as np
from service.client import FaceClient

FaceClient("http://127.0.0.1:9").detect(np.zeros((8, 8, 3), np.uint8))
"""

NEITHER_IMAGE_NOR_EMBEDDING = """
import sys
sys.modules["numpy"] = sys.modules["PIL"] = None
from service.client import FaceClient

client = FaceClient("http://127.0.0.1:9")
for ask in (lambda: client.detect([1, 2]), lambda: client.compare("x", ["x"], model_digest="d")):
    try:
        ask()
    except (TypeError, ValueError) as error:
        print(type(error).__name__)
"""


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)


def test_files_bytes_and_lists_of_numbers_are_sent_without_numpy_and_pillow(url: str, examples: Path) -> None:
    told = run(WITHOUT_NUMPY_AND_PILLOW, url, str(examples / "001-neutral.jpg"))
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.strip() == "True [0.0, 0.0]"


def test_an_array_without_pillow_is_refused_with_what_to_install() -> None:
    told = run(AN_ARRAY_WITHOUT_PILLOW)
    assert told.returncode == 1
    assert "Pillow is not installed" in told.stderr
    assert "pip install pillow" in told.stderr
    assert "visavis[service]" in told.stderr


def test_what_is_neither_image_nor_embedding_is_refused_without_numpy_and_pillow_too() -> None:
    told = run(NEITHER_IMAGE_NOR_EMBEDDING)
    assert (told.returncode, told.stdout.split()) == (0, ["TypeError", "ValueError"]), told.stderr
