"""The wheel: our packages with their weights and pages, nothing else, and enough to work from."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

import pytest

PROJECT = Path(__file__).resolve().parents[2]
ROOMS = ("visavis", "embedder", "gallery", "service", "train")
KINDS = {
    ".pyi",
    ".py",
    ".mako",  # Alembic's template of a migration
    ".typed",
    ".safetensors",
    ".onnx",
    ".json",
    ".toml",
    ".html",
    ".css",
    ".js",
    ".svg",
    ".txt",
    ".md",
}
COMPARE_WITH_THE_WHEEL_ALONE = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import embedder, service, train
from embedder import load
probe, reference = (Path(name).read_bytes() for name in sys.argv[2:])
print(json.dumps({
    "from": [module.__file__ for module in (embedder, service, train)],
    "same": load().verify(probe, reference).same,
}))
"""

WITHOUT_THE_EXTRAS = """
import sys
ABSENT = {
    "torch", "openvino", "safetensors", "numpy", "PIL",
    "fastapi", "starlette", "uvicorn", "pydantic_settings", "multipart",
}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from service.client import AsyncFaceClient, FaceClient
from visavis.cli.main import main
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    built = subprocess.run(build, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return path


def names(wheel: Path) -> list[PurePosixPath]:
    with zipfile.ZipFile(wheel) as archive:
        return [PurePosixPath(name) for name in archive.namelist()]


def test_the_wheel_is_for_every_machine(wheel: Path) -> None:
    assert wheel.name.startswith("visavis-")
    assert wheel.name.endswith("-py3-none-any.whl")


def test_the_wheel_holds_the_rooms_file_for_file_and_nothing_else(wheel: Path) -> None:
    packed = {name for name in names(wheel) if not name.parts[0].endswith(".dist-info")}
    present = {
        PurePosixPath(path.relative_to(PROJECT).as_posix())
        for room in ROOMS
        for path in (PROJECT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == present


def test_the_wheel_holds_only_kinds_of_files_that_belong_there(wheel: Path) -> None:
    strange = [str(name) for name in names(wheel) if name.suffix not in KINDS and name.parts[0] in ROOMS]
    assert strange == []


def test_the_wheel_holds_the_weights_the_page_and_the_licences(wheel: Path) -> None:
    packed = names(wheel)
    weights = {str(name.parent) for name in packed if name.suffix == ".safetensors"}
    assert any(folder.startswith("embedder/weights") for folder in weights)
    assert {"yunet.onnx", "onet.onnx"} <= {name.name for name in packed if name.parent.name == "detection"}
    assert any(name.parts[:2] == ("service", "web") and name.suffix == ".js" for name in packed)
    licences = {name.name for name in packed if "licenses" in name.parts}
    ours_and_others = {
        "LICENSE",
        "MTCNN-LICENSE.txt",
        "SFACE-LICENSE.txt",
        "SFACE-NOTICE.txt",
        "SWAGGER-UI-LICENSE.txt",
        "YUNET-LICENSE.txt",
    }
    assert ours_and_others <= licences


def test_the_wheel_alone_compares_two_photographs(wheel: Path, examples: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "unpacked")
    photos = [str(next(examples.glob("001-neutral.*"))), str(next(examples.glob("001-smiling.*")))]
    script = [sys.executable, "-I", "-c", COMPARE_WITH_THE_WHEEL_ALONE, str(tmp_path / "unpacked"), *photos]
    ran = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert all(Path(path).is_relative_to(tmp_path / "unpacked") for path in told["from"])
    assert told["same"] is True


def without_the_extras(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, "-c", WITHOUT_THE_EXTRAS, *arguments]
    return subprocess.run(script, capture_output=True, text=True, check=False)


def test_the_base_installation_gives_the_client_and_the_commands_help() -> None:
    told = without_the_extras("--help")
    assert (told.returncode, told.stderr) == (0, "")
    assert "verify" in told.stdout


@pytest.mark.parametrize("command", [["verify", "a.jpg", "b.jpg"], ["serve"]], ids=lambda command: command[0])
def test_a_command_that_needs_the_service_extra_says_how_to_install_it(command: list[str]) -> None:
    told = without_the_extras(*command)
    assert told.returncode == 2
    assert "visavis[service]" in told.stderr
    assert "Traceback" not in told.stderr
