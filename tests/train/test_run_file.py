"""The run file: TOML with settings over it, every mistake told by its key."""

import os
from pathlib import Path

import pytest

from train.run_file import RunFile
from train.run_file_reading import RunFileError, read_json, read_run_file, to_json

LEAST = """
[data]
train = "chips"
[network]
backbone = "small"
[[losses]]
kind = "triplet"
[loop]
steps = 10
[bundle]
name = "ours"
license = "ours alone"
trained_on = "our own people"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(LEAST, encoding="utf-8")
    return path


def changed(file: Path, before: str, after: str) -> Path:
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")
    return file


def test_what_is_left_out_has_a_default(file: Path) -> None:
    run = read_run_file(file)
    assert (run.seed, run.sampling.people, run.losses[0].kind, run.data.held_out) == (0, 32, "triplet", 0.1)


def test_paths_in_the_file_start_from_its_folder_and_those_of_settings_from_the_working_folder(file: Path) -> None:
    assert read_run_file(file).data.train == file.parent / "chips"
    assert read_run_file(file, ["data.train=elsewhere"]).data.train == Path("elsewhere").resolve()


@pytest.mark.parametrize("name", ["network.start", "losses.0.teacher"])
@pytest.mark.parametrize("model", ["built-in", "sface-128", "dlib-resnet29-128"])
def test_a_built_in_bundle_is_named_by_a_word_and_others_by_a_path(file: Path, name: str, model: str) -> None:
    changed(file, 'kind = "triplet"', 'kind = "distillation"\nteacher = "other"')

    def found(setting: str) -> str | None:
        run = read_run_file(file, [f"{name}={setting}"])
        return run.network.start if name == "network.start" else run.losses[0].model_dump()["teacher"]

    assert found(model) == model
    assert found(f"./{model}") == str(Path(model).resolve())
    assert read_run_file(file).losses[0].model_dump()["teacher"] == str(file.parent / "other")


def test_a_built_in_model_is_named_in_the_file_itself_too(file: Path) -> None:
    changed(file, 'backbone = "small"', 'start = "dlib-resnet29-128"')
    changed(file, 'kind = "triplet"', 'kind = "distillation"\nteacher = "sface-128"')
    run = read_run_file(file)
    assert (run.network.start, run.losses[0].model_dump()["teacher"]) == ("dlib-resnet29-128", "sface-128")


def test_a_folder_may_have_a_number_for_a_name_and_a_teacher_of_a_setting_is_a_path_too(file: Path) -> None:
    assert read_run_file(file, ["data.train=2024"]).data.train == Path("2024").resolve()
    changed(file, 'kind = "triplet"', 'kind = "distillation"')
    assert read_run_file(file, ["losses.0.teacher=other"]).losses[0].model_dump()["teacher"] == str(
        Path("other").resolve()
    )
    assert read_run_file(file, ["data.train=~/chips"]).data.train == Path.home() / "chips"


@pytest.mark.parametrize("term", ["losses=[{TERM}]", "losses.0={TERM}"])
def test_paths_inside_a_table_of_a_setting_start_from_the_working_folder_too(file: Path, term: str) -> None:
    settings = [term.replace("TERM", "kind='distillation', teacher='other'"), "network={start='there'}"]
    run = read_run_file(file, settings)
    assert run.losses[0].model_dump()["teacher"] == str(Path("other").resolve())
    assert run.network.start == str(Path("there").resolve())


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("seed=7", 7),
        ("loop.steps=500", 500),
        ("optimizer.rate=1e-2", 1e-2),
        ("network.frozen=['stem', 'stage1']", ("stem", "stage1")),
        ("network.unit_length=false", False),
        ("losses.0.miner=hard", "hard"),
        ("augmentation.blur.probability=0", 0),
        ("network.rates={head = 2.0}", {"head": 2.0}),
    ],
)
def test_a_setting_overrules_the_file(file: Path, setting: str, value: object) -> None:
    found: object = read_run_file(file, [setting]).model_dump()
    for key in setting.partition("=")[0].split("."):
        found = found[int(key)] if isinstance(found, list | tuple) else found[key]  # type: ignore[index] # a dump
    assert found == value


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("steps = 10", "stepz = 10", "loop.stepz is not a key of a run file"),
        ("steps = 10", "", "set either loop.steps or loop.minutes"),
        ("steps = 10", "steps = 10\nminutes = 2", "set either loop.steps or loop.minutes"),
        ("steps = 10", "steps = -3", "loop.steps: Input should be greater than 0"),
        ('kind = "triplet"', 'kind = "tripled"', "losses.0"),
        ('kind = "triplet"', 'kind = "triplet"\nmargin = -1', "losses.0.margin: Input should be greater"),
        ('license = "ours alone"', "", "bundle.license is missing"),
        ('license = "ours alone"', 'license = ""', "bundle.license must state the licence"),
        ('backbone = "small"', "", "set network.backbone, or network.start"),
        ('train = "chips"', 'train = ""', "data.train: an empty path"),
        ('train = "chips"', 'train = "chips', "is not valid TOML"),
        ("[loop]", "[validation]\nkeep = 3\n[loop]", "validation.keep"),
        ("steps = 10", "steps = 10\nblend = 0.5", "need initial weights"),
        ("[loop]", "[optimizer]\npull = 1\n[loop]", "need initial weights"),
        ('name = "ours"', 'name = "Ours!"', "bundle.name must consist of lower-case letters"),
        ("[loop]", "[augmentation.blur]\nsigma_px = [3, 1]\n[loop]", "blur.sigma_px"),
    ],
)
def test_a_mistake_is_told_by_its_key(file: Path, before: str, after: str, told: str) -> None:
    with pytest.raises(RunFileError, match=r"run\.toml") as caught:
        read_run_file(changed(file, before, after))
    assert told in str(caught.value)


def test_a_mistake_in_one_loss_is_not_followed_by_a_complaint_that_there_is_none(file: Path) -> None:
    with pytest.raises(RunFileError) as caught:
        read_run_file(file, ["losses.0.margin=-1"])
    assert "at least 1 item" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("loop.steps", "needs key=value"),
        ("=3", "needs key=value"),
        ("losses.3.margin=1", "this is a list of 1"),
        ("losses.first.margin=1", "this is a list of 1"),
        ("loop.steps.more=1", "steps is a value"),
        ("loop.steps.more.still=1", "cannot set more inside a value"),
        ("nothing.here=1", "nothing is not a key"),
    ],
)
def test_a_setting_that_fits_nothing_is_refused(file: Path, setting: str, told: str) -> None:
    with pytest.raises(RunFileError) as caught:
        read_run_file(file, [setting])
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"), [(None, "cannot be read"), (b"\xff\xfe\x00", "is not UTF-8 text"), (b"", "data is missing")]
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "some.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunFileError, match=told):
        read_run_file(path)


def test_a_run_file_written_in_full_reads_back_as_it_was(file: Path, tmp_path: Path) -> None:
    run = read_run_file(file, ["losses.0.memory=64", "network.rates={stem = 0.1}"])
    path = tmp_path / "run.json"
    path.write_text(to_json(run), encoding="utf-8")
    assert read_json(path) == run


def test_what_was_written_and_then_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(RunFileError, match="start a new run"):
        read_json(path)
    with pytest.raises(RunFileError, match="cannot be read"):
        read_json(tmp_path / "none.json")


@pytest.mark.parametrize(
    "content", ["a = " + "[" * 10**5, "a = " + "9" * 10**5, "a = 1 #" + "x" * 2**20, "a.b" + ".c" * 10**4 + " = 1"]
)
def test_a_run_file_that_is_meant_to_hurt_is_refused_in_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(content)
    (tmp_path / "run.json").write_text(content.removeprefix("a = "))
    with pytest.raises(RunFileError) as refusal:
        read_run_file(tmp_path / "run.toml")
    assert len(str(refusal.value).splitlines()) == 1
    assert len(str(refusal.value)) < 1000
    with pytest.raises(RunFileError):
        read_json(tmp_path / "run.json")


def test_a_pipe_is_no_run_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.toml")
    for read in (read_run_file, read_json):
        with pytest.raises(RunFileError, match="not a regular file"):
            read(tmp_path / "run.toml")


def test_a_run_file_keeps_nothing_that_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="extra"):
        RunFile.model_validate({"data": {"train": "x", "colour": 1}})
