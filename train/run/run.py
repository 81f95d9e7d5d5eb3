"""Run a training from its run file: set it up, train, and write the bundle."""

import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from accelerate import Accelerator
from numpy.random import default_rng

from embedder import EmbeddingNet

from ..augmentation import sheet
from ..data.description import sole_use
from ..errors import TrainingError
from ..learning.checkpoint import read_tensors
from ..learning.learner import build_accelerator, chosen_precision, keep_freed_memory
from ..learning.loop import TrainingCounters, TrainingLoop, TrainingSetup
from ..learning.weight_averaging import interpolate_weights
from ..logging.progress import RunLogger, no_loggers, run_loggers
from ..run_file import RunFile
from .finish import RunResult, ValidatedEers, finish_run
from .folder import RunFolder
from .provenance import environment, weights_with_card
from .setup import AssembledRun, assemble_run

N_PICTURES = 64  # on the sheet of augmented chips


def run_training(run: RunFile, out: Path, *, resume: bool) -> RunResult | None:
    """Start or resume a run in the folder `out`; returns None in all processes but the first.

    Raises DataError, BundleError, LossError, SamplingError, TrainingError, Collapsed and ReportError.
    """
    keep_freed_memory()
    accelerator = build_accelerator(run.loop)
    with sole_use(out) if accelerator.is_main_process else nullcontext():
        return _go(run, RunFolder(out), accelerator, resume=resume)


def _go(run: RunFile, folder: RunFolder, accelerator: Accelerator, *, resume: bool) -> RunResult | None:
    if accelerator.is_main_process:
        (folder.resume if resume else folder.begin)(run)
    accelerator.wait_for_everyone()
    assembled = assemble_run(run, folder, accelerator)
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
    facts = json.loads(read_tensors(course.checkpoint).facts)
    changed = [name for name, digest in course.made_of.items() if facts["made_of"].get(name) != digest]
    if changed:
        raise TrainingError(
            f"{course.checkpoint.parent}: {' and '.join(changed)} changed since the run started; restore the original, "
            "or start a new run in another --out"
        )
    course.state.load(course.checkpoint)
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
