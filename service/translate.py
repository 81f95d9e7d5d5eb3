"""The embedder's records -> what travels over HTTP. Decides nothing."""

from fastapi import Request

from embedder import Box, Comparison, Distances, Face, ModelIdentity, Sample, SampleError, Timings

from . import wire
from .problems import problem_of


def request_id(request: Request) -> str:
    """Return the id under which this request is logged and answered."""
    return str(request.state.request_id)


def face(found: Face) -> wire.Face:
    """Translate a detected face."""
    return wire.Face(box=_box(found.box), landmarks=list(found.landmarks), score=found.score)


def sample(chosen: Sample) -> wire.Sample:
    """Translate the face that was compared."""
    return wire.Sample(
        box=_box(chosen.face.box),
        landmarks=list(chosen.face.landmarks),
        score=chosen.face.score,
        choice=chosen.choice,
        n_faces=chosen.n_faces,
    )


def verdict(comparison: Comparison) -> wire.Verdict:
    """Translate a comparison, without what is the same for a whole answer."""
    return wire.Verdict(
        same=comparison.same,
        distance=comparison.distance,
        threshold=comparison.threshold,
        operating_point=comparison.operating_point,
        probe=sample(comparison.probe),
        reference=sample(comparison.reference),
    )


def many_result(result: Comparison | SampleError) -> wire.ManyResult:
    """Translate one reference's result; the key that does not apply stays unset and is not sent."""
    if isinstance(result, SampleError):
        return wire.ManyResult(problem=problem_of(result))
    return wire.ManyResult(verdict=verdict(result))


def distance_results(distances: Distances) -> list[wire.DistanceResult]:
    """Translate the distances of embeddings."""
    return [wire.DistanceResult(same=each < distances.threshold, distance=each) for each in distances.distances]


def model(identity: ModelIdentity) -> wire.ModelIdentity:
    """Translate the identity of the model that answered."""
    return wire.ModelIdentity(name=identity.name, digest=identity.digest, card_digest=identity.card_digest)


def timings(spent: Timings, total_ms: float) -> wire.Timings:
    """Translate where the time went, to the hundredth of a millisecond."""
    return wire.Timings(
        decode=round(spent.decode, 2),
        detect=round(spent.detect, 2),
        embed=round(spent.embed, 2),
        total=round(total_ms, 2),
    )


def _box(box: Box) -> wire.Box:
    return wire.Box(x=box.x, y=box.y, width=box.width, height=box.height)
