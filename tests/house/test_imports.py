"""What import-linter cannot say: who may name facenet_pytorch, that nothing reads a pickle, that doors are used."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

PROJECT = Path(__file__).resolve().parents[2]
MAY_NAME_FACENET_PYTORCH = {
    "embedder/backbones/inception_resnet.py",
    "tools/make_detector.py",
    "benchmarks/detection.py",  # what is measured against
}
PICKLES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
ROOMS = ("visavis", "embedder", "gallery", "service", "train")
LOADERS = {"torch.load", "torch.jit.load", "numpy.load", "np.load"}


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (PROJECT / folder).rglob("*.py"))


def names_in(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported, also through a string (`find_spec`), and every dotted name that is used."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module
                yield from (f"{module}.{alias.name}" for alias in node.names)
            case ast.Attribute():
                yield ast.unparse(node)
            case ast.Constant(value=str(text)) if text.replace(".", "").isidentifier():
                yield text


def names_of(path: Path) -> set[str]:
    return set(names_in(ast.parse(path.read_text(encoding="utf-8"))))


def imports_of(path: Path) -> Iterator[ast.ImportFrom]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node


def reads_pickles(names: set[str]) -> bool:
    return bool(LOADERS & names) or any(name.partition(".")[0] in PICKLES for name in names)


def test_facenet_pytorch_is_named_only_where_its_weights_or_its_network_are_taken_from() -> None:
    naming = {
        str(path.relative_to(PROJECT))
        for path in sources("embedder", "gallery", "service", "train", "tools", "benchmarks")
        if any(name.partition(".")[0] == "facenet_pytorch" for name in names_of(path))
    }
    assert naming <= MAY_NAME_FACENET_PYTORCH


def imports_openvino(path: Path) -> bool:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import() if any(alias.name.partition(".")[0] == "openvino" for alias in node.names):
                return True
            case ast.ImportFrom(module=str(module), level=0) if module.partition(".")[0] == "openvino":
                return True
    return False


def test_openvino_is_imported_only_where_its_reporter_is_kept_from_reporting() -> None:
    rooms = sources("embedder", "gallery", "service", "train", "tools", "benchmarks")
    importing = [str(path.relative_to(PROJECT)) for path in rooms if imports_openvino(path)]
    assert importing == ["embedder/runtime/openvino.py"]


def test_the_cores_of_a_process_are_counted_in_one_place() -> None:
    counting = [path for path in sources(*ROOMS) if "sched_getaffinity" in path.read_text(encoding="utf-8")]
    assert [str(path.relative_to(PROJECT)) for path in counting] == ["embedder/runtime/runtime.py"]


def test_nothing_that_serves_reads_a_pickle() -> None:
    assert [
        str(path.relative_to(PROJECT)) for path in sources("embedder", "service") if reads_pickles(names_of(path))
    ] == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib.numpy_pickle",
        "import torch\nweights = torch.load('x.pt', weights_only=True)",
        "from torch import load",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "importlib.import_module('pickle')",
    ],
)
def test_a_file_that_reads_a_pickle_is_found(source: str) -> None:
    assert reads_pickles(set(names_in(ast.parse(source))))


def test_a_file_that_only_speaks_of_pickles_is_not_taken_for_one_that_reads_them() -> None:
    assert not reads_pickles(
        set(names_in(ast.parse('"""Not a pickle."""\nfrom safetensors.torch import load\nload(b"")')))
    )


def name_of(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_by(path: Path, modules: set[str]) -> Iterator[str]:
    """Our modules that a file imports, at its head or later, for types or to run."""
    package = name_of(path).split(".")[: None if path.name == "__init__.py" else -1]
    for node in imports_of(path):
        above = [*package[: len(package) - node.level + 1]] if node.level else []
        origin = ".".join([*above, *([node.module] if node.module else [])])
        for alias in node.names:
            named = f"{origin}.{alias.name}"
            yield from {named if named in modules else origin} & modules


def circle_in(graph: dict[str, set[str]]) -> tuple[str, ...]:
    """Names that import each other in a circle, or nothing where there is no circle."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return tuple(error.args[1])
    return ()


def file_imports() -> dict[str, set[str]]:
    files = sources(*ROOMS)
    modules = {name_of(path) for path in files}
    return {name_of(path): set(imported_by(path, modules)) - {name_of(path)} for path in files}


def test_no_two_files_import_each_other_by_any_detour() -> None:
    assert circle_in(file_imports()) == ()


def is_within(folder: str, other: str) -> bool:
    return f"{folder}.".startswith(f"{other}.")


def test_no_two_folders_import_each_other_by_any_detour() -> None:
    """A folder and the one that it lies in are no circle: files beside a folder may use it, and be used by it."""
    folder_of = {name_of(path): ".".join(path.relative_to(PROJECT).parent.parts) for path in sources(*ROOMS)}
    folders: dict[str, set[str]] = {}
    for module, imported in file_imports().items():
        here, theirs = folder_of[module], {folder_of[each] for each in imported}
        apart = {each for each in theirs if not is_within(each, here) and not is_within(here, each)}
        folders.setdefault(here, set()).update(apart)
    assert circle_in(folders) == ()


def test_a_circle_is_found() -> None:
    assert set(circle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}


def doors() -> set[str]:
    """The packages that other rooms may import from: those that list their names, and the client."""
    listed = {path.parent.relative_to(PROJECT) for room in ROOMS for path in (PROJECT / room).rglob("__init__.pyi")}
    return {".".join(folder.parts) for folder in listed} | {"service.client"}


def test_nobody_imports_past_the_door_of_a_room_not_even_inside_it_where_imports_are_relative() -> None:
    past_the_door = [
        f"{path.relative_to(PROJECT)}:{node.lineno} from {node.module}"
        for path in sources(*ROOMS)
        for node in imports_of(path)
        if node.level == 0 and (node.module or "").partition(".")[0] in ROOMS and node.module not in doors()
    ]
    assert past_the_door == []


@pytest.mark.parametrize("door", sorted(doors()))
def test_every_name_that_a_door_lists_can_be_imported_from_it(door: str) -> None:
    package = import_module(door)
    assert [name for name in package.__all__ if getattr(package, name, None) is None] == []
    assert not {name for name in package.__all__ if isinstance(getattr(package, name), ModuleType)}
