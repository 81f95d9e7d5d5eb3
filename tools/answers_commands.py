"""The command lines that answers.py runs.

IN/ is a folder of photographs, OUT/ an empty one for what a command writes.
"""

import shlex
from collections.abc import Iterator
from pathlib import Path

from answers_kept import Json, file_digests, kept_output
from answers_program import Program, emptied
from odd_images import FACES, blurred, plain, truncated_jpeg, two_faces

SUBCOMMANDS = (
    "verify detect embed explain atlas serve prepare train evaluate calibrate model describe maps export "
    "import-dlib import-sface"
)
HELP = ("", "--help", "--version", *(f"{name} --help" for name in SUBCOMMANDS.split()))

SAME, DIFFERENT = "IN/001-neutral.jpg IN/001-smiling.jpg", "IN/001-neutral.jpg IN/005-neutral.jpg"
ANSWERED = (
    f"verify {SAME}",
    f"verify {SAME} --json",
    f"verify {DIFFERENT}",
    f"verify {SAME} --operating-point fmr=1e-4 --prior 0.01",
    f"verify {SAME} --model dlib-resnet29-128",
    f"verify {SAME} --runtime torch",
    "verify IN/two-faces.jpg IN/001-smiling.jpg --face largest --json",
    "verify IN/blurred.png IN/001-neutral.jpg --quality ignore",
    "detect IN/001-neutral.jpg IN/two-faces.jpg IN/nobody.png IN/missing.jpg",
    "detect IN/two-faces.jpg IN/cut.jpg --json",
    "embed IN/005-neutral.jpg IN/nobody.png",
    "embed IN/005-neutral.jpg IN/two-faces.jpg --json",
    f"explain {SAME}",
    f"explain {DIFFERENT} --json",
    f"explain {SAME} --method gradient --out OUT/pair.png",
    "describe",
    "describe --json",
    "describe --backbone small --svg OUT/network.svg",
    "maps IN/001-neutral.jpg --layer conv9 --out OUT/maps.png",
    "maps --kernels --layer conv1 --out OUT/kernels.png",
    "model",
    "model --json",
    "model --model dlib-resnet29-128",
    "evaluate --identities IN/people",
    "evaluate --identities IN/people --json",
)

REFUSED = (
    "verfy",
    "verify",
    "verify IN/001-neutral.jpg",
    f"verify {SAME} --sharp",
    f"verify {SAME} --face best",
    f"verify {SAME} --prior 2",
    f"verify {SAME} --operating-point strict",
    f"verify {SAME} --model IN",
    f"verify {SAME} --model dlib-resnet29-128 --precision int8",
    f"verify {SAME} --device cuda:99",
    "verify IN/missing.jpg IN/001-neutral.jpg",
    "verify IN/text.jpg IN/001-neutral.jpg",
    "verify IN/001-neutral.jpg IN/cut.jpg",
    "verify IN/001-neutral.jpg IN/nobody.png",
    "verify IN/two-faces.jpg IN/001-neutral.jpg",
    "verify IN/001-neutral.jpg IN/blurred.png",
    "explain IN/001-neutral.jpg IN/nobody.png",
    "describe --model sface-128 --backbone small",
    "maps --layer conv9",
    "maps IN/001-neutral.jpg --layer conv99 --out OUT/maps.png",
    "maps --kernels --layer pool --out OUT/kernels.png",
    "model --model nothing",
    "evaluate",
    "evaluate --identities IN/missing",
    "evaluate --identities IN/people --pairs IN/text.jpg",
    "calibrate --identities IN/people --out OUT/bundle",
    "prepare IN/missing --out OUT/chips",
    "train IN/missing.toml",
    "train IN/text.jpg",
    "export --format torch --out OUT/network",
    "atlas --identities IN/people --out IN",
    "import-dlib IN/text.jpg --out OUT/bundle",
    "import-sface IN/text.jpg --out OUT/bundle",
    "serve --port 99999",
    "serve --port 0 --model nothing",
)


def command_answers(program: Program, folder: Path) -> Iterator[tuple[str, Json]]:
    """Run each command line, with its files in `folder`, and yield its name and its result."""
    write_inputs(emptied(folder / "IN"))
    for line in (*HELP, *ANSWERED, *REFUSED):
        yield f"visavis {line}".rstrip(), command_answer(program, folder, line)


def command_answer(program: Program, folder: Path, line: str) -> Json:
    """Return exit status, stdout, stderr and the digests of the files that were written."""
    out = emptied(folder / "OUT")
    ended = program.run([_placed(word, folder) for word in shlex.split(line)])
    return {
        "exit status": ended.status,
        "stdout": kept_output(ended.stdout, folder),
        "stderr": kept_output(ended.stderr, folder),
        "files": file_digests(out),
    }


def _placed(word: str, folder: Path) -> str:
    return str(folder / word) if word == "IN" or word.startswith(("IN/", "OUT/")) else word


def write_inputs(folder: Path) -> None:
    """Write the photographs: the examples, the examples again in one folder per person, and some that are refused."""
    for photo in sorted(FACES.glob("*.jpg")):
        person = folder / "people" / photo.name.partition("-")[0]
        person.mkdir(parents=True, exist_ok=True)
        for place in (folder, person):
            (place / photo.name).write_bytes(photo.read_bytes())
    (folder / "two-faces.jpg").write_bytes(two_faces())
    (folder / "nobody.png").write_bytes(plain())
    (folder / "blurred.png").write_bytes(blurred(24))  # too poor for the default model
    (folder / "cut.jpg").write_bytes(truncated_jpeg())
    (folder / "text.jpg").write_text("not an image\n")
