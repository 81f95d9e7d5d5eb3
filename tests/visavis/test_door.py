"""`import visavis`: what it gives, and that it gives it late."""

import subprocess
import sys
from pathlib import Path

import pytest

import visavis

IMPORTED = """
import sys
import visavis
print(sorted({"torch", "openvino", "fastapi", "numpy", "PIL", "httpx2", "embedder.pipeline"} & set(sys.modules)))
visavis.FaceClient
print(sorted({"torch", "openvino", "fastapi", "numpy", "PIL", "embedder.pipeline"} & set(sys.modules)))
"""


@pytest.mark.parametrize("name", visavis.__all__)
def test_every_name_that_it_lists_can_be_used(name: str) -> None:
    assert getattr(visavis, name).__name__ == name
    assert name in dir(visavis)


def test_a_name_that_it_does_not_list_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'torch'"):
        visavis.torch  # noqa: B018 - the attribute is the test


def test_importing_it_and_its_client_loads_nothing_heavy() -> None:
    told = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines() == ["[]", "[]"]


def test_the_old_doors_give_the_same() -> None:
    from embedder import load  # noqa: PLC0415 - the old door is what is tested
    from service.client import FaceClient  # noqa: PLC0415 - the same

    assert (visavis.load, visavis.FaceClient) == (load, FaceClient)


def test_photos_are_compared(examples: Path) -> None:
    photos = [(examples / name).read_bytes() for name in ("001-neutral.jpg", "001-smiling.jpg")]
    with visavis.load() as embedder:
        assert embedder.verify(*photos).same
        assert visavis.Explainer(embedder).explain(*photos, saliency=False).comparison.same
