"""The card of a network that a test has just made: about the weights' bytes, and the graph's where there is one."""

from embedder import (
    Alignment,
    Architecture,
    ModelCard,
    Preprocessing,
    Provenance,
    TrainingRecord,
    built_in_detector,
    new_card,
    read_bundle,
)


def learnt_card(
    weights: bytes,
    architecture: Architecture,
    preprocessing: Preprocessing,
    training: TrainingRecord | None = None,
    graph: bytes | None = None,
    alignment: Alignment | None = None,
) -> ModelCard:
    return new_card(
        name="just-learnt",
        summary="A network of the tests.",
        limits=("tells nobody from anybody",),
        architecture=architecture,
        preprocessing=preprocessing,
        alignment=alignment or read_bundle().card.alignment,
        detector=built_in_detector(),
        provenance=Provenance(
            license="CC0-1.0", source="tests", source_sha256=None, trained_on="nobody", stored_parameters=1
        ),
        weights=weights,
        graph=graph,
        training=training,
    )
