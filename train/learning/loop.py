"""The training loop: steps, validation and checkpoints, until the run is complete, stops early or collapses."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from accelerate import Accelerator

from embedder import EmbeddingNet

from ..logging.csv_log import StepRecord, ValidationRecord
from ..logging.progress import RunLength, RunLogger
from ..run_file import RunFile
from .batches import Batch, BatchSource, prefetch
from .checkpoint import TrainingState, write_tensors
from .distributed import from_first
from .guard import CollapseGuard, health_of
from .learner import StepOutput
from .optimizer import factor, set_training
from .validation import ValidationResult
from .weight_averaging import L2SP


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSetup:
    """Everything that the loop needs."""

    run: RunFile
    state: TrainingState
    feed: BatchSource
    look: Callable[[EmbeddingNet], ValidationResult]  # validation on people held out
    pull: L2SP
    guard: CollapseGuard
    frozen: frozenset[str]
    accelerator: Accelerator
    checkpoint: Path
    best: Path
    clock: Callable[[], float]  # seconds, from any start
    made_of: Mapping[str, str]  # digests of all inputs, by a readable name; must not change before a resume


@dataclass(frozen=True, slots=True)
class TrainingCounters:
    """The progress of a run and its best result."""

    step: int = 0  # completed steps
    seconds: float = 0.0
    first_eer: float | None = None  # before the first step; None also for a run that an older version started
    best_eer: float | None = None
    best_step: int = 0
    looks_since_best: int = 0
    looked_at: int | None = None  # the step of the last validation

    def after(self, found: ValidationResult, *, is_best: bool) -> "TrainingCounters":
        """Count one more validation."""
        first_eer = found.eer if self.looked_at is None else self.first_eer
        counted = replace(self, first_eer=first_eer, looked_at=self.step)
        if is_best:
            return replace(counted, best_eer=found.eer, best_step=self.step, looks_since_best=0)
        return replace(counted, looks_since_best=self.looks_since_best + 1)


class TrainingLoop:
    """Runs a training to its end. All mutable state is here, and in the setup's state and guard."""

    def __init__(self, course: TrainingSetup, logger: RunLogger, counters: TrainingCounters) -> None:
        self._course, self._logger, self.counters = course, logger, counters
        self._length = RunLength.of(course.run.loop)
        self._since = 0.0  # clock time at 0 s of the run; set before the first step
        self._rated = counters
        self._module, self._optimizer = course.accelerator.prepare(course.state.learner, course.state.optimizer)

    def run(self) -> TrainingCounters:
        """Train to the end. Raises Collapsed, and TrainingError if a checkpoint cannot be written."""
        if self.counters.looked_at is None:  # not resumed: the first checkpoint follows the first validation
            self._begin()
        self._since = self._course.clock() - self.counters.seconds
        set_training(self._course.state.learner.network, self._course.frozen)
        with prefetch(self._course.feed, self._course.accelerator.device) as feed:
            while not self._is_tired() and (share := self._share()) < 1:
                self._step(feed.batch(self.counters.step), share)
                self._regularly()
        if self.counters.looked_at != self.counters.step:
            self._look()
        self._save()
        return self.counters

    def _begin(self) -> None:
        """Validate the initial network, and write a first checkpoint, which shows that writing works."""
        self._look()
        self._save()

    def _is_tired(self) -> bool:
        patience = self._course.run.validation.patience
        return patience is not None and self.counters.looks_since_best >= patience

    def _share(self) -> float:
        """Return the completed share of the run; in a timed run all processes use the first one's clock."""
        share = self._length.share(self.counters.step, self._seconds())
        return share if self._length.seconds is None else from_first(self._course.accelerator, lambda: share)

    def _step(self, batch: Batch, share: float) -> None:
        course, step = self._course, self.counters.step
        rate = course.run.optimizer.rate * factor(course.run.schedule, share)
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        learnt: StepOutput = self._module(batch.to(course.accelerator.device), step)
        self._optimizer.zero_grad()
        course.accelerator.backward(learnt.loss.total)
        norm = course.accelerator.clip_grad_norm_(self._module.parameters(), course.run.loop.clip)
        self._optimizer.step()
        course.pull.step(self._optimizer.param_groups)
        course.state.average.update()
        self.counters = replace(self.counters, step=step + 1, seconds=self._seconds())
        if step % course.run.guard.every == 0:
            self._check(batch, learnt, rate, float(norm))

    def _check(self, batch: Batch, learnt: StepOutput, rate: float, norm: float) -> None:
        """Measure and log the health of the embeddings. Raises Collapsed."""
        health = health_of(learnt.embeddings.detach().cpu(), batch.labels.cpu())
        self._logger.step(
            StepRecord(
                step=self.counters.step,
                seconds=self.counters.seconds,
                rate_faces_s=self._rate(len(batch.labels)),
                loss=float(learnt.loss.total.detach()),
                parts=learnt.loss.parts,
                learning_rate=rate,
                gradient_norm=norm,
                active_share=learnt.loss.active_share,
                positive_distance=health.positive_distance,
                negative_distance=health.negative_distance,
                effective_rank=health.effective_rank,
                least_variance=health.least_variance,
            )
        )
        self._course.guard.look(self.counters.step, health, learnt.loss)

    def _regularly(self) -> None:
        run, step = self._course.run, self.counters.step
        if step % run.validation.every == 0:
            self._look()
            set_training(self._course.state.learner.network, self._course.frozen)
        if step % run.loop.checkpoint_every == 0 and not self._course.guard.is_worried:
            self._save()  # a collapsed state must not replace the last healthy checkpoint

    def _look(self) -> None:
        """Validate in the first process, and use its result in all, so that they stop together."""
        course = self._course
        found = from_first(course.accelerator, lambda: course.look(course.state.average.network))
        is_best = self.counters.best_eer is None or found.eer < self.counters.best_eer
        self.counters = self.counters.after(found, is_best=is_best)
        self._logger.validation(
            ValidationRecord(
                step=self.counters.step,
                seconds=self.counters.seconds,
                eer=found.eer,
                fnmr_at_1_percent=found.fnmr,
                n_genuine=found.n_genuine,
                n_impostor=found.n_impostor,
                is_best=is_best,
            )
        )
        if is_best and course.run.validation.keep == "best" and course.accelerator.is_main_process:
            write_tensors(course.best, course.state.average.network.state_dict(), facts="")

    def _save(self) -> None:
        course = self._course
        if course.accelerator.is_main_process:
            facts = {
                "counters": asdict(self.counters),
                "guard": course.guard.to_dict(),
                "made_of": dict(course.made_of),
            }
            course.state.save(course.checkpoint, json.dumps(facts))

    def _rate(self, n_faces: int) -> float:
        """Return the faces per second since the last call, for batches of `n_faces`."""
        before, self._rated = self._rated, self.counters
        n_steps, seconds = self.counters.step - before.step, self.counters.seconds - before.seconds
        return n_steps * n_faces / max(seconds, 1e-9)

    def _seconds(self) -> float:
        return self._course.clock() - self._since
