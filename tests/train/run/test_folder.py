"""A run's folder: begun once, gone on with by the same settings, and only where there is room."""

import subprocess
import sys
from pathlib import Path

import pytest

from train.errors import TrainingError
from train.run.folder import RunFolder
from train.run_file import RunFile

RUN = RunFile.model_validate(
    {
        "data": {"train": "chips"},
        "network": {"backbone": "small"},
        "losses": [{"kind": "triplet"}],
        "loop": {"steps": 10},
        "bundle": {"name": "ours", "license": "ours alone", "trained_on": "our own people"},
    }
)
OTHER = RUN.model_copy(update={"seed": 8})


def test_a_folder_that_is_begun_shows_faces_to_its_owner_alone_and_holds_the_run_file_in_full(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "deep" / "run")
    folder.begin(RUN)
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert '"warm_up"' in folder.run_file.read_text()
    folder.resume(RUN)


def test_other_settings_are_told_by_key(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.begin(RUN)
    with pytest.raises(TrainingError, match="seed was 0, is 8"):
        folder.resume(OTHER)


def test_where_something_else_lies_nothing_is_begun(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(TrainingError, match="give another --out"):
        RunFolder(tmp_path).begin(RUN)
    with pytest.raises(TrainingError, match="cannot be written"):
        RunFolder(tmp_path / "photo.jpg").begin(RUN)


def test_a_disk_with_too_little_room_is_told_before_anything_is_learnt(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.require_room(1000)
    with pytest.raises(TrainingError, match=r"MiB free, and the run needs about .*free disk space"):
        folder.require_room(2**60)


def test_a_file_that_finds_no_room_is_told(tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys; from pathlib import Path; from train.run.folder import RunFolder\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))\n"
        "folder = RunFolder(Path(sys.argv[1]))\n"
        "try: folder.write(folder.chips, bytes(5000))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    told = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True).stdout
    assert told.startswith("TrainingError")
    assert "chips.png: cannot be written" in told
    assert list(tmp_path.iterdir()) == []


def test_what_a_run_left_that_was_stopped_at_its_start_is_written_over(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for name in (".run.json", ".steps.csv", "environment.json"):
        (tmp_path / name).write_bytes(b"ha")
    folder.begin(RUN)
    folder.resume(RUN)
