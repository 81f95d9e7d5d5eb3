"""The installed `visavis` command as a program: quick to import, and undisturbed by what lies in the folder."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

IMPORTS_AFTER_HELP = """
import sys
from visavis.cli.main import main
try:
    main(["--help"])
except SystemExit as end:
    assert end.code in (0, None), end.code
print(sorted({"torch", "openvino", "fastapi", "uvicorn", "httpx2", "numpy", "PIL"} & set(sys.modules)), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def visavis() -> str:
    installed = shutil.which("visavis", path=str(Path(sys.executable).parent))
    assert installed is not None, "visavis is not installed beside this Python: make setup"
    return installed


@pytest.fixture
def folder_with_names_of_ours(tmp_path: Path) -> Path:
    """A folder whose own modules are named as our packages, and end every program that imports one."""
    trap = "raise SystemExit('a module of the working folder was imported')"
    (tmp_path / "train.py").write_text(trap)
    for room in ("embedder", "gallery", "service", "visavis"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text(trap)
    return tmp_path


def unmeasured() -> dict[str, str]:
    """The environment without coverage's hook, which imports modules of its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "COV_"))}


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=unmeasured(), capture_output=True, text=True, check=False)


def test_the_trap_in_the_folder_works(folder_with_names_of_ours: Path) -> None:
    for room in ("embedder", "gallery", "service", "train", "visavis"):
        assert "was imported" in run([sys.executable, "-c", f"import {room}"], folder_with_names_of_ours).stderr


def test_help_is_given_in_a_folder_that_holds_a_train_py_a_service_and_an_embedder(
    visavis: str, folder_with_names_of_ours: Path
) -> None:
    told = run([visavis, "--help"], folder_with_names_of_ours)
    assert (told.returncode, told.stderr) == (0, "")
    assert "verify" in told.stdout


def test_photographs_are_compared_in_a_folder_that_holds_a_train_py_a_service_and_an_embedder(
    visavis: str, folder_with_names_of_ours: Path, examples: Path
) -> None:
    photos = [str(examples / "001-neutral.jpg"), str(examples / "001-smiling.jpg")]
    compared = run([visavis, "verify", *photos, "--json"], folder_with_names_of_ours)
    assert compared.returncode == 0, compared.stderr
    assert json.loads(compared.stdout)["same"] is True


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    told = run([sys.executable, "-c", IMPORTS_AFTER_HELP], tmp_path)
    assert told.returncode == 0, told.stderr
    assert "verify" in told.stdout
    assert told.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("command", "missing", "extra"),
    [
        ("verify", "safetensors", "service"),
        ("evaluate", "matplotlib", "train"),
        ("calibrate", "sklearn", "train"),
        ("prepare", "safetensors", "train"),
        ("export", "onnx", "train"),
    ],
)
def test_a_command_whose_extra_is_not_installed_names_it(
    tmp_path: Path, command: str, missing: str, extra: str
) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; from visavis.cli.main import main; main()"
    told = run([sys.executable, "-c", program, command, "--help"], tmp_path)
    assert told.returncode == 2
    assert f"pip install 'visavis[{extra}]'" in told.stderr


@pytest.mark.parametrize(
    ("words", "module"),
    [
        (("verify", "--help"), "embedder.detection.detector"),
        (("serve",), "service.app"),
        (("embed", "photos", "--out", "embeddings"), "embedder.bulk.run"),
    ],
)
def test_a_module_of_ours_that_is_not_there_is_told_as_a_crash(
    tmp_path: Path, words: tuple[str, ...], module: str
) -> None:
    program = f"import sys; sys.modules[{module!r}] = None; from visavis.cli.main import main; main()"
    told = run([sys.executable, "-c", program, *words], tmp_path)
    assert told.returncode == 2
    assert told.stderr.splitlines()[-1].startswith(f"ModuleNotFoundError: import of {module} halted")


def test_neither_a_crash_nor_an_interruption_ends_as_a_verdict_does(tmp_path: Path) -> None:
    program = (
        "import sys, visavis.cli.verify as module; from visavis.cli.main import main\n"
        "def crash(path): raise {}\n"
        "module.read_file = crash; main(['verify', 'a', 'b'])"
    )
    for error, status, told in (("RuntimeError('a slip')", 2, "a slip"), ("KeyboardInterrupt", 130, "interrupted")):
        ended = run([sys.executable, "-c", program.format(error)], tmp_path)
        assert ended.returncode == status
        assert told in ended.stderr


@pytest.mark.parametrize(
    "words", [("verify", "a.jpg", "a.jpg"), ("verify", "a.jpg", "a.jpg", "--json"), ("models",), ("--help",)]
)
def test_an_output_that_cannot_be_written_is_told_in_a_line(
    visavis: str, tmp_path: Path, examples: Path, words: tuple[str, ...]
) -> None:
    shutil.copy(examples / "001-neutral.jpg", tmp_path / "a.jpg")
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        ended = subprocess.run(
            [visavis, *words], check=False, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert ended.returncode == 2
    assert ended.stderr == "visavis: the output cannot be written: No space left on device\n"


def test_nothing_is_said_if_nobody_reads_on(visavis: str, tmp_path: Path, examples: Path) -> None:
    shutil.copy(examples / "001-neutral.jpg", tmp_path / "a.jpg")
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        [visavis, "verify", "a.jpg", "a.jpg"], check=False, cwd=tmp_path, stdout=write, stderr=subprocess.PIPE
    )
    os.close(write)
    assert (ended.returncode, ended.stderr) == (2, b"")
