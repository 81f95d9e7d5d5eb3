"""Files of tensors: whole or not there, and told when they are damaged."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from train.errors import TrainingError
from train.learning.checkpoint import read_tensors, under, within, write_tensors

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3), "generator": torch.get_rng_state()}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    write_tensors(path, TENSORS, '{"step": 3}')
    stored = read_tensors(path)
    assert stored.facts == '{"step": 3}'
    assert stored.tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert torch.equal(stored.tensors[name], tensor)
        assert stored.tensors[name].dtype == tensor.dtype


def test_the_same_contents_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_tensors(tmp_path / name, TENSORS, "")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_tensors_that_share_memory_or_are_views_are_written_as_they_look(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    write_tensors(tmp_path / "views", {"t": whole.T, "same": whole, "row": whole[1]}, "")
    stored = read_tensors(tmp_path / "views").tensors
    assert torch.equal(stored["t"], whole.T)
    assert torch.equal(stored["row"], whole[1])


@pytest.mark.parametrize("damage", ["cut", "other", "facts"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "some.safetensors"
    write_tensors(path, TENSORS, "")
    content = path.read_bytes()
    path.write_bytes(
        {"cut": content[:-40], "other": b"no such file", "facts": content.replace(b'"facts"', b'"fakts"')}[damage]
    )
    with pytest.raises(TrainingError, match="is damaged"):
        read_tensors(path)


def test_one_changed_bit_anywhere_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    write_tensors(path, {"a": torch.arange(3.0), "b": torch.tensor(1).bfloat16(), "none": torch.zeros(0)}, "{}")
    content = path.read_bytes()
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 1
        path.write_bytes(changed)
        with pytest.raises(TrainingError, match="is damaged"):
            read_tensors(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TrainingError, match="is damaged"):
        read_tensors(tmp_path / "pipe")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="without --resume"):
        read_tensors(tmp_path / "none")


def test_where_there_is_no_room_the_older_file_stays_whole(tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    write_tensors(path, TENSORS, "older")
    script = (
        "import resource, sys, torch; from pathlib import Path; from train.learning.checkpoint import write_tensors\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "try: write_tensors(Path(sys.argv[1]), {'a': torch.zeros(100_000)}, 'newer')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    told = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True).stdout
    assert told.startswith("TrainingError")
    assert "free disk space" in told
    assert read_tensors(path).facts == "older"
    assert [each.name for each in tmp_path.iterdir()] == ["some.safetensors"]


def test_names_go_under_a_prefix_and_back() -> None:
    assert within("x", under("x", TENSORS) | under("xy", TENSORS)).keys() == TENSORS.keys()
