"""The card of a model that was just learnt: all that is known of it before anything was measured."""

from .bundle import sha256_of
from .card import Alignment, Architecture, DetectorFacts, ModelCard, Preprocessing, Provenance, embedding_digest
from .training import TrainingRecord


def new_card(  # noqa: PLR0913 - one for each part of a card
    *,
    name: str,
    summary: str,
    limits: tuple[str, ...],
    architecture: Architecture,
    preprocessing: Preprocessing,
    alignment: Alignment,
    detector: DetectorFacts,
    provenance: Provenance,
    weights: bytes,
    graph: bytes | None = None,
    training: TrainingRecord | None = None,
) -> ModelCard:
    """Return a card without operating points, for the bytes of weights and graph. Raises pydantic's ValidationError."""
    weights_sha256 = sha256_of(weights)
    return ModelCard(
        format="visavis-bundle/1",
        name=name,
        summary=summary,
        limits=limits,
        architecture=architecture,
        preprocessing=preprocessing,
        alignment=alignment,
        detector=detector,
        metric="euclidean",
        operating_points=(),
        default_point=None,
        provenance=provenance,
        training=training,
        weights_sha256=weights_sha256,
        graph_sha256=None if graph is None else sha256_of(graph),
        digest=embedding_digest(weights_sha256, architecture, preprocessing, alignment, detector),
    )
