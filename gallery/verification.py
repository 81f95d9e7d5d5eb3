"""Whether an image shows an enrolled person: a comparison with the nearest of the person's templates."""

from collections.abc import Sequence
from dataclasses import dataclass

from embedder import (
    ComparedFace,
    FaceCovered,
    FaceEmbedder,
    Judgement,
    ModelIdentity,
    OperatingPoint,
    Quality,
    Sample,
    Timings,
    VerifyOptions,
    decision_rule,
    require_a_common_part,
    require_quality,
)

from .errors import NoSuchTemplate
from .types import TemplateBlock


@dataclass(frozen=True, slots=True)
class PersonComparison:
    """Whether an image shows an enrolled person, with the facts behind the decision."""

    judgement: Judgement  # on the nearest template
    template: str  # its id
    operating_point: OperatingPoint | None  # the card's point that gave the threshold; None = the caller's own
    prior: float  # 0..1, probability of one person before seeing the photos
    probe: Sample
    model: ModelIdentity
    timings_ms: Timings


def compare_with_person(
    embedder: FaceEmbedder, image: bytes, templates: TemplateBlock, options: VerifyOptions
) -> PersonComparison:
    """Compare an image with a person's templates of the embedder's model.

    Raises NoSuchTemplate if there is none, OperatingPointUnavailable, ImageError, FaceError, LowQuality; FaceCovered if
    the same part of the face is covered in the image and in all templates.
    """
    if (
        templates.vectors.shape[1] != embedder.card.architecture.embedding_size
    ):  # none, or those of an import that states a wrong digest
        raise NoSuchTemplate("the person has no template of this model; enrol photos of the person")
    rule = decision_rule(embedder.card, options)
    probe = embedder.embed(image, face=options.face_of_probe)
    references = [
        ComparedFace(vector, Quality(*measures))
        for vector, measures in zip(templates.vectors, templates.qualities.tolist(), strict=True)
    ]
    usable = _usable(embedder, probe.sample.quality, references, options)
    face = ComparedFace(probe.vector, probe.sample.quality)
    judgements = list(rule.judge(face, [references[place] for place in usable]))
    place, nearest = min(zip(usable, judgements, strict=True), key=lambda each: _beyond_threshold(each[1]))
    return PersonComparison(
        judgement=nearest,
        template=templates.ids[place],
        operating_point=rule.operating_point,
        prior=rule.prior,
        probe=probe.sample,
        model=probe.model,
        timings_ms=probe.timings_ms,
    )


def _beyond_threshold(judgement: Judgement) -> float:
    """How far a template is beyond its threshold, which contains the pair's penalty unless it is the caller's own.

    So if any template matches, the nearest one does.
    """
    return judgement.distance - judgement.threshold


def _usable(
    embedder: FaceEmbedder, probe: Quality, references: Sequence[ComparedFace], options: VerifyOptions
) -> list[int]:
    """The places of the references that the probe may be compared with."""
    if options.quality == "ignore":
        return list(range(len(references)))
    require_quality(embedder.card.quality_penalties, probe)
    faults = [_common_fault(probe, each.quality) for each in references]
    if all(faults):
        raise next(each for each in faults if each is not None)
    return [place for place, fault in enumerate(faults) if fault is None]


def _common_fault(probe: Quality, reference: Quality | None) -> FaceCovered | None:
    try:
        if reference is not None:
            require_a_common_part(probe, reference)
    except FaceCovered as error:
        return error
    return None
