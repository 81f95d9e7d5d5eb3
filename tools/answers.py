"""Record visavis's answers over HTTP and on the command line, and compare two records, to check a refactoring.

    python tools/answers.py record --out before.json     # in the checkout before
    python tools/answers.py record --out after.json      # in the checkout after
    python tools/answers.py compare before.json after.json

It records the packages of PYTHONPATH, else those of the working directory, so that one copy of this script can record
any checkout. The example photos and the table of bad inputs are those of its own checkout.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from itertools import islice
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))  # where the odd inputs are

from answers_commands import command_answers
from answers_http import ONE_AT_A_TIME, SETTINGS, http_answers, other_model_answers
from answers_kept import Json, file_digests, kept_log
from answers_program import Program, ProgramError

DEFAULT_MODEL, OTHER_MODEL = "sface-128", "dlib-resnet29-128"
TOLERANCE = 1e-6  # between two numbers that count as equal
MOST_LINES = 24  # of one difference that are shown

Answers = dict[str, Json]


@dataclass(frozen=True, slots=True)
class Record:
    """All answers of one checkout by name, and the location of its package `embedder`."""

    package: str
    answers: Answers

    @classmethod
    def read(cls, path: Path) -> "Record":
        """Read a record from a file of `write`."""
        return cls(**json.loads(path.read_text("utf-8")))

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        content = {"package": self.package, "answers": self.answers}
        path.write_text(json.dumps(content, ensure_ascii=False) + "\n", "utf-8")


def record(program: Program) -> Record:
    """Record all answers. Raises ProgramError if the command cannot be found or the service does not start."""
    package = program.package()
    print(f"recording {package}, by {program.module}:{program.function}", flush=True)
    answers: Answers = {}
    with tempfile.TemporaryDirectory(prefix="visavis-answers-") as name:
        for key, answer in all_answers(program, package, Path(name).resolve()):
            if key in answers:
                raise ValueError(f"two answers have the name {key!r}; give one of them another")
            answers[key] = answer
    return Record(str(package), answers)


def all_answers(program: Program, package: Path, folder: Path) -> Iterator[tuple[str, Json]]:
    """Yield every answer with its name, the slowest last."""
    yield from bundle_digests(package)
    log = folder / "service.log"
    with program.serving(log, DEFAULT_MODEL, **SETTINGS) as url:
        yield from http_answers(url)
    yield "log of the service", kept_log(log.read_text("utf-8"), folder)
    with program.serving(log, OTHER_MODEL, **ONE_AT_A_TIME) as url:
        yield from other_model_answers(url)
    yield from command_answers(program, folder)


def bundle_digests(package: Path) -> Iterator[tuple[str, Json]]:
    """Return the digests of the files of each built-in model, wherever in the package its card is."""
    for card in sorted(package.rglob("card.json")):
        yield f"bundle {card.parent.name}", file_digests(card.parent)


def compare(before: Record, after: Record) -> int:
    """Print how many answers are equal and what differs; returns how many differ."""
    print(f"before: {before.package}\nafter:  {after.package}")
    names = list(before.answers | after.answers)
    differing = {name: diff for name in names if (diff := difference(name, before.answers, after.answers))}
    for name, lines in differing.items():
        print("\n".join(["", name, *lines]))
    print(f"\n{len(names) - len(differing)} of {len(names)} answers are equal, {len(differing)} differ")
    return len(differing)


def difference(name: str, before: Answers, after: Answers) -> list[str]:
    """Return a short unified diff of one answer, without lines where both are equal."""
    if name not in before or name not in after:
        return [f"    only in {'AFTER' if name in after else 'BEFORE'}"]
    old, new = in_lines(before[name]), in_lines(settled(before[name], after[name]))
    lines = list(unified_diff(old, new, "before", "after", n=1, lineterm=""))
    left_out = len(lines) - MOST_LINES
    return [f"    {line}" for line in islice(lines, MOST_LINES)] + [f"    ... {left_out} more lines"] * (left_out > 0)


def in_lines(answer: Json) -> list[str]:
    """Return an answer as indented JSON."""
    return json.dumps(answer, indent=1, ensure_ascii=False).splitlines()


def settled(before: Json, after: Json) -> Json:
    """Return `after`, with the numbers of `before` where both are equal within the tolerance."""
    if isinstance(before, float) and isinstance(after, float):
        return before if abs(before - after) <= TOLERANCE else after
    if isinstance(before, dict) and isinstance(after, dict):
        return {key: settled(before.get(key), value) for key, value in after.items()}
    if isinstance(before, list) and isinstance(after, list):
        alike = [settled(old, new) for old, new in zip(before, after, strict=False)]
        return [*alike, *after[len(alike) :]]
    return after


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Record the answers of visavis, and compare two records.")
    actions = parser.add_subparsers(dest="action", required=True)
    recording = actions.add_parser("record", help="record all answers")
    recording.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file for the answers, as JSON")
    recording.add_argument("--main", metavar="MODULE:FUNCTION", help="function of `visavis` (default: the entry point)")
    comparing = actions.add_parser("compare", help="print the differences; exit status 1 if there are any")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    return parser.parse_args()


def main() -> int:
    """Record or compare."""
    asked = arguments()
    if asked.action == "compare":
        return 1 if compare(Record.read(asked.before), Record.read(asked.after)) else 0
    try:
        recorded = record(Program.named(asked.main))
    except ProgramError as error:
        sys.exit(f"answers: {error}")
    recorded.write(asked.out)
    print(f"{len(recorded.answers)} answers written to {asked.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
