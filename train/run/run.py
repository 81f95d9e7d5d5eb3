"""Run a training from its run file: set it up, train, and write the bundle."""

import json
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import gather_object
from numpy.random import default_rng

from embedder import EmbeddingNet

from ..augmentation import sheet
from ..data.description import sole_use
from ..errors import TrainingError
from ..learning.checkpoint import read_tensors
from ..learning.distributed import from_first, in_all, name_of
from ..learning.learner import build_accelerator, chosen_precision, keep_freed_memory
from ..learning.loop import TrainingCounters, TrainingLoop, TrainingSetup
from ..learning.weight_averaging import interpolate_weights
from ..logging.progress import RunLogger, no_loggers, run_loggers
from ..run_file import RunFile
from .finish import RunResult, ValidatedEers, finish_run
from .folder import RunFolder, differences
from .provenance import environment, versions, weights_with_card
from .setup import AssembledRun, assemble_run

N_PICTURES = 64  # on the sheet of augmented chips


def run_training(run: RunFile, out: Path, *, resume: bool) -> RunResult | None:
    """Start or resume a run in the folder `out`; returns None in all processes but the first.

    Raises DataError, BundleError, LossError, SamplingError, TrainingError, Collapsed and ReportError.
    """
    keep_freed_memory()
    accelerator, folder = build_accelerator(run.loop), RunFolder(out)
    with ExitStack() as held:
        from_first(accelerator, lambda: _claim(run, folder, held, resume=resume))
        return _go(run, folder, accelerator, resume=resume)


def _claim(run: RunFile, folder: RunFolder, held: ExitStack, *, resume: bool) -> None:
    held.enter_context(sole_use(folder.path))
    (folder.resume if resume else folder.begin)(run)


def _go(run: RunFile, folder: RunFolder, accelerator: Accelerator, *, resume: bool) -> RunResult | None:
    assembled = in_all(accelerator, lambda: assemble_run(run, folder, accelerator))
    _require_equal_processes(run, assembled.course)
    if accelerator.is_main_process and not resume:
        _note(run, folder, assembled, accelerator)
    counters = _counters(assembled.course) if resume else TrainingCounters()
    with _logger(run, folder, assembled, counters.step if resume else None) as logger:
        counters = TrainingLoop(assembled.course, logger, counters).run()
    accelerator.end_training()
    if not accelerator.is_main_process:
        return None
    network = _learnt(run, folder, assembled)
    kept_step = counters.best_step if run.validation.keep == "best" else counters.step
    eers = ValidatedEers(counters.first_eer, assembled.course.look(network).eer, kept_step)
    return finish_run(folder, run, weights_with_card(run, assembled, network, counters), assembled.people, eers)


def _require_equal_processes(run: RunFile, course: TrainingSetup) -> None:
    """Raise TrainingError in all processes if one has other data, settings or versions than the first."""
    settings = run.model_dump(mode="json", exclude={"data": {"train", "validation"}})  # a machine's own paths
    facts = {"run file": settings, "data": dict(course.made_of), "versions": versions()}
    everyone = gather_object([(name_of(course.accelerator), facts)])
    for name, theirs in everyone:
        differing = [
            f"{key} is {value} there, {first} here" for key, first, value in differences(everyone[0][1], theirs)
        ]
        if differing:
            raise TrainingError(
                f"{name} differs from the first process ({'; '.join(differing[:3])}); give all processes "
                "the same data, run file and versions"
            )


def _logger(
    run: RunFile, folder: RunFolder, assembled: AssembledRun, resumed_from: int | None
) -> AbstractContextManager[RunLogger]:
    if not assembled.course.accelerator.is_main_process:
        return no_loggers()
    return run_loggers(folder.path, run.loop, assembled.course.state.learner.losses.names, resumed_from)


def _note(run: RunFile, folder: RunFolder, assembled: AssembledRun, accelerator: Accelerator) -> None:
    """Write the environment and a sheet of augmented chips into the run's folder."""
    precision = chosen_precision(run.loop.precision)
    folder.write(folder.environment, environment(precision, accelerator.num_processes).encode())
    people = assembled.people
    generator = default_rng(run.seed)
    chosen = people.positions[generator.permutation(len(people.positions))[:N_PICTURES]]
    folder.write(folder.chips, sheet(assembled.augmenter(people.data.chips(chosen), generator)))


def _counters(course: TrainingSetup) -> TrainingCounters:
    """Restore the state of an interrupted run. Raises TrainingError if its inputs have changed."""
    stored = from_first(course.accelerator, lambda: read_tensors(course.checkpoint))
    facts = json.loads(stored.facts)
    changed = [name for name, digest in course.made_of.items() if facts["made_of"].get(name) != digest]
    if changed:
        raise TrainingError(
            f"{course.checkpoint.parent}: {' and '.join(changed)} changed since the run started; restore the original, "
            "or start a new run in another --out"
        )
    course.state.load(stored)
    course.guard.load(facts["guard"])
    return TrainingCounters(**facts["counters"])


def _learnt(run: RunFile, folder: RunFolder, assembled: AssembledRun) -> EmbeddingNet:
    """Return the network to keep: the best or the last, blended with its initial weights if `loop.blend` < 1.

    Raises TrainingError if its weights are not finite.
    """
    network = assembled.course.state.average.network
    if run.validation.keep == "best":
        network.load_state_dict(read_tensors(folder.best).tensors)
    interpolate_weights(network, assembled.start, run.loop.blend)
    if not all(bool(each.isfinite().all()) for each in network.state_dict().values()):
        raise TrainingError(
            f"{folder.path}: the network's weights are not finite numbers any more; lower optimizer.rate, and leave "
            "guard.is_on at true, which stops such a run early"
        )
    return network.eval()
