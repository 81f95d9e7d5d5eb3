"""The provenance of a run's weights: software environment, training record and model card."""

import json
import os
import platform
from hashlib import sha256
from importlib.metadata import version

import torch

from embedder import (
    EmbeddingNet,
    Provenance,
    TrainingRecord,
    embedding_graph,
    new_card,
    serialize_tensors,
    tensors_of,
)

from ..learning.loop import TrainingCounters
from ..run_file import Distillation, LossTerm, RunFile
from ..run_file_reading import to_json
from .finish import TrainedWeights
from .network import bundle_named
from .setup import AssembledRun

LIBRARIES = (
    "visavis",
    "torch",
    "torchvision",
    "pytorch-metric-learning",
    "accelerate",
    "numpy",
    "pillow",
    "safetensors",
    "scikit-learn",
)


def versions() -> dict[str, str]:
    """Return the version of each library that affects the training result."""
    return {name: version(name) for name in LIBRARIES}


def environment(precision: str, n_processes: int) -> str:
    """Describe the hardware and software as JSON."""
    capabilities = torch.cpu.get_capabilities()
    facts = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": capabilities.get("cpu_name", platform.processor()),
        "instructions": sorted(
            name for name in ("avx2", "avx512_f", "avx512_bf16", "amx_bf16") if capabilities.get(name)
        ),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": n_processes,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "precision": precision,
        "libraries": versions(),
    }
    return json.dumps(facts, indent=2) + "\n"


LIMITS = (
    "does not tell a live face from a photo of a photo",
    "how well it does on people and photos of another kind than it was trained and measured on is not known",
)


def weights_with_card(
    run: RunFile, assembled: AssembledRun, network: EmbeddingNet, counters: TrainingCounters
) -> TrainedWeights:
    """Serialize weights and graph, and build their card without operating points."""
    content = serialize_tensors(tensors_of(network))
    graph = embedding_graph(network, content)
    card = new_card(
        name=run.bundle.name,
        summary=run.bundle.summary or f"{assembled.built.architecture.backbone}, learnt by {_losses(run)}",
        limits=LIMITS,
        architecture=assembled.built.architecture,
        preprocessing=assembled.built.preprocessing,
        alignment=assembled.people.data.alignment,
        detector=assembled.people.data.detector,
        provenance=Provenance(
            license=run.bundle.license,
            source="learnt by visavis train",
            source_sha256=None,
            trained_on=run.bundle.trained_on,
            stored_parameters=sum(parameter.numel() for parameter in network.parameters()),
        ),
        weights=content,
        graph=graph,
        training=_training(run, assembled, counters),
    )
    return TrainedWeights(card, content, graph)


def _training(run: RunFile, assembled: AssembledRun, counters: TrainingCounters) -> TrainingRecord:
    people = assembled.people
    held_out = people.held_out
    return TrainingRecord(
        data_digest=people.data.digest,
        validation_digest=held_out.data.digest,
        n_identities=people.n_identities,
        n_images=len(people.positions),
        n_validation_identities=len(set(held_out.labels.tolist())),
        n_validation_images=len(held_out.positions),
        run_sha256="sha256:" + sha256(to_json(run).encode()).hexdigest(),
        seed=run.seed,
        steps=counters.step,
        minutes=round(counters.seconds / 60, 1),
        started_from=assembled.built.started_from,
        losses=tuple(map(_in_words, run.losses)),
        versions=versions(),
    )


def _losses(run: RunFile) -> str:
    return " and ".join(dict.fromkeys(term.kind for term in run.losses))


def _in_words(term: LossTerm) -> str:
    """Describe a term with all its settings."""
    facts = ", ".join(f"{key} {value}" for key, value in term.model_dump(exclude={"kind", "teacher"}).items())
    teacher = f", teacher {bundle_named(term.teacher).card.digest}" if isinstance(term, Distillation) else ""
    return f"{term.kind}: {facts}{teacher}"
