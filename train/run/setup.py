"""Build everything that the training loop needs from a run file, and refuse settings that cannot work."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import torch
from accelerate import Accelerator

from embedder import EmbeddingNet, Progress, no_progress, show_progress

from ..augmentation import Augmenter
from ..errors import LossError, TrainingError
from ..learning.batches import BatchSource, ChipBatchSource, FeatureBatchSource, LabeledChips
from ..learning.checkpoint import TrainingState
from ..learning.distributed import share_norms
from ..learning.guard import CollapseGuard
from ..learning.learner import Learner
from ..learning.loop import TrainingSetup
from ..learning.optimizer import HEAD, build_optimizer, freeze, frozen_stages
from ..learning.sampler import PKSampler, Share
from ..learning.validation import ChipValidation, FeatureValidation, ValidationResult
from ..learning.weight_averaging import L2SP, WeightAverage, Weights, weights_of
from ..losses.build import build_losses
from ..run_file import Distillation, Flip, MetricLossTerm, RunFile, only_flip
from .folder import RunFolder
from .network import BuiltNetwork, build_run_network, bundle_named
from .people import TrainingPeople, people_of
from .precomputed import features_of, teacher_embeddings, teachers_of


@dataclass(frozen=True, slots=True, eq=False)
class AssembledRun:
    """A training setup, and the parts needed after training."""

    course: TrainingSetup
    built: BuiltNetwork
    people: TrainingPeople
    start: Weights  # of the network, before training
    augmenter: Augmenter  # of the network's input; if only the head is trained, chips are at most flipped


def assemble_run(run: RunFile, folder: RunFolder, accelerator: Accelerator) -> AssembledRun:
    """Assemble a run. Raises DataError, BundleError, LossError, SamplingError and TrainingError."""
    _require_room_for_memories(run)
    people = people_of(run)
    _require_smaller_pictures(run, people.data.alignment.chip_size_px)
    share = Share(accelerator.process_index, accelerator.num_processes)
    sampler = PKSampler(people.labels, run.sampling.people, run.sampling.images, run.seed, share)
    torch.manual_seed(run.seed)
    generator = torch.Generator().manual_seed(run.seed)
    built = build_run_network(run.network, people.data.alignment, generator)
    _require_teachers_within_reach(run, built)
    frozen = frozen_stages(built.network, run.network)
    freeze(built.network, frozen)
    head_alone = frozen == set(built.network.stages()) - {HEAD}
    if accelerator.num_processes > 1:
        share_norms(built.network)
    learner = _learner(run, built, people, generator, share, head_alone=head_alone).to(accelerator.device)
    start = weights_of(built.network)
    if accelerator.is_main_process:
        folder.require_room(sum(tensor.nbytes for tensor in start.values()))
    progress: Progress = show_progress if accelerator.is_main_process else no_progress
    course = TrainingSetup(
        run=run,
        state=TrainingState(
            learner,
            build_optimizer(learner, run.network, run.optimizer),
            WeightAverage(learner.network, run.loop.ema),
        ),
        feed=_feed(run, built, people, sampler, progress, head_alone=head_alone),
        look=_look(built, people, progress, head_alone=head_alone),
        pull=L2SP(learner.network, start, run.optimizer.pull),
        guard=CollapseGuard(run.guard),
        frozen=frozen,
        accelerator=accelerator,
        checkpoint=folder.checkpoint,
        best=folder.best,
        clock=monotonic,
        made_of=_made_of(run, built, people),
    )
    return AssembledRun(course, built, people, start, _augmenter(run, built, head_alone=head_alone))


def _made_of(run: RunFile, built: BuiltNetwork, people: TrainingPeople) -> dict[str, str]:
    teachers = {f"the teacher {name}": bundle_named(name).card.digest for name in teachers_of(run.losses)}
    return {
        "the chips to learn from": people.data.digest,
        "the chips of people held out": people.held_out.data.digest,
        "what the network began with": str(built.started_from),
    } | teachers


def _require_room_for_memories(run: RunFile) -> None:
    """Refuse a memory before training that its loss would refuse at the first step."""
    n_faces = run.sampling.people * run.sampling.images
    sizes = [term.memory for term in run.losses if isinstance(term, MetricLossTerm) and term.memory]
    if sizes and min(sizes) < n_faces:
        raise LossError(
            f"a batch of {n_faces} faces does not fit into a memory of {min(sizes)} embeddings: raise losses.memory"
        )


def _require_smaller_pictures(run: RunFile, chip_px: int) -> None:
    """Refuse a low-resolution augmentation with a size above the chips' size."""
    largest = run.augmentation.low_resolution.size_px[1]
    if largest > chip_px and run.augmentation.low_resolution.probability > 0:
        raise TrainingError(
            f"augmentation.low_resolution.size_px goes up to {largest}, but the chips have {chip_px} px: "
            f"set {chip_px} or less"
        )


def _require_teachers_within_reach(run: RunFile, built: BuiltNetwork) -> None:
    """Refuse teachers with embeddings that the student's cannot equal: of another size, or of any length (`mse`)."""
    n_channels = built.architecture.embedding_size
    for name in teachers_of(run.losses):
        if (of_teacher := bundle_named(name).card.architecture.embedding_size) != n_channels:
            raise LossError(
                f"the embeddings of the teacher {name} have {of_teacher} channels, and the student's {n_channels}: "
                f"set network.embedding_size to {of_teacher}"
            )
    exact = [term.teacher for term in run.losses if isinstance(term, Distillation) and term.measure == "mse"]
    for name in exact if built.architecture.unit_length else ():
        if not bundle_named(name).card.architecture.unit_length:
            raise LossError(
                f"unit-length embeddings cannot equal those of the teacher {name}, which can have any length: "
                'set network.unit_length to false, or losses.distillation.measure to "cosine"'
            )


def _learner(
    run: RunFile,
    built: BuiltNetwork,
    people: TrainingPeople,
    generator: torch.Generator,
    share: Share,
    *,
    head_alone: bool,
) -> Learner:
    losses = build_losses(
        run.losses,
        n_identities=people.n_identities,
        n_channels=built.architecture.embedding_size,
        unit_length=built.architecture.unit_length,
        generator=generator,
        n_branches=built.network.backbone.n_branches,
    )
    return Learner(built.network.to(memory_format=torch.channels_last), losses, head_alone=head_alone, share=share)


def _augmenter(run: RunFile, built: BuiltNetwork, *, head_alone: bool) -> Augmenter:
    settings = only_flip(run.augmentation.mirror) if head_alone else run.augmentation
    return Augmenter(settings, built.network.input_size_px, built.network.crop_px)


def _feed(
    run: RunFile,
    built: BuiltNetwork,
    people: TrainingPeople,
    sampler: PKSampler,
    progress: Progress,
    *,
    head_alone: bool,
) -> BatchSource:
    teachers = {
        name: teacher_embeddings(name, people.data, people.positions, progress) for name in teachers_of(run.losses)
    }
    faces = LabeledChips(people.data, people.positions, people.labels, teachers)
    if head_alone:
        features = features_of(built.network, people.data, people.positions, run.augmentation.mirror, progress)
        return FeatureBatchSource(faces, sampler, features, run.seed)
    return ChipBatchSource(faces, sampler, _augmenter(run, built, head_alone=False), run.seed)


def _look(
    built: BuiltNetwork, people: TrainingPeople, progress: Progress, *, head_alone: bool
) -> Callable[[EmbeddingNet], ValidationResult]:
    held_out, mirror = people.held_out, built.architecture.mirror
    if not head_alone:
        return ChipValidation(held_out.data, held_out.positions, held_out.labels, mirror)
    features = features_of(built.network, held_out.data, held_out.positions, Flip(probability=float(mirror)), progress)
    return FeatureValidation((features.upright, features.mirrored) if mirror else (features.upright,), held_out.labels)
