"""Convert the embedder's records to the models of the HTTP answers. Decides nothing."""

from dataclasses import asdict, fields

from fastapi import Request
from PIL import Image

from embedder import (
    Box,
    Comparison,
    Embedding,
    EmbeddingBatch,
    Face,
    Grade,
    Judgement,
    ModelIdentity,
    OperatingPoint,
    QualityChoice,
    Sample,
    SampleError,
    Timings,
    data_uri,
    png,
)
from embedder.explain import (
    Drawing,
    ExplainedFace,
    Explanation,
    FeatureMaps,
    Layer,
    NetworkDescription,
    ProbeReference,
    Saliency,
)

from . import wire
from .problems import problem_of


def request_id(request: Request) -> str:
    """Return the request's id, which its log line and its answer have."""
    return str(request.state.request_id)


def face(found: Face) -> wire.Face:
    """Convert a detected face."""
    return wire.Face(box=_box(found.box), landmarks=list(found.landmarks), score=found.score, rotation=found.rotation)


def sample(chosen: Sample) -> wire.Sample:
    """Convert the selected face."""
    return wire.Sample(
        **dict(face(chosen.face)),
        choice=chosen.choice,
        n_faces=chosen.n_faces,
        quality=quality(chosen),
    )


def quality(chosen: Sample) -> wire.Quality:
    """Convert a photo's quality; the fields of the card's penalty are null if it has none."""
    rule = dict.fromkeys(field.name for field in fields(Grade)) if chosen.grade is None else asdict(chosen.grade)
    no_longer_known = {"embedding_length": None}  # the key stays for one release
    cover = {"covered": chosen.quality.covered, "covered_part": chosen.quality.covered_part}
    return wire.Quality.model_validate(asdict(chosen.quality) | cover | no_longer_known | rule)


def verdict(comparison: Comparison, asked: QualityChoice) -> wire.Verdict:
    """Convert a comparison, without the fields of the whole answer; `asked` is the request's `quality`."""
    return wire.Verdict(
        **dict(judgement(comparison)),
        operating_point=operating_point(comparison.operating_point),
        prior=comparison.prior,
        quality=asked,
        probe=sample(comparison.probe),
        reference=sample(comparison.reference),
        notes=list(comparison.notes),
    )


def many_result(result: Comparison | SampleError, asked: QualityChoice) -> wire.ManyResult:
    """Convert the result of one reference; the key that does not apply stays unset and is not sent."""
    if isinstance(result, SampleError):
        return wire.ManyResult(problem=problem_of(result))
    return wire.ManyResult(verdict=verdict(result, asked))


def embedding(found: Embedding, *, total_ms: float, asked_as: str) -> wire.EmbeddingResponse:
    """Convert the embedding of one face."""
    return wire.EmbeddingResponse(
        embedding=found.vector.tolist(),
        sample=sample(found.sample),
        model=model(found.model),
        timings_ms=timings(found.timings_ms, total_ms),
        request_id=asked_as,
    )


def embeddings(batch: EmbeddingBatch, *, total_ms: float, asked_as: str) -> wire.EmbedAllResponse:
    """Convert the embeddings of several faces or images."""
    return wire.EmbedAllResponse(
        faces=_embedded_faces(batch),
        problems=_image_problems(batch),
        model=model(batch.model),
        timings_ms=timings(batch.timings_ms, total_ms),
        request_id=asked_as,
    )


def _embedded_faces(batch: EmbeddingBatch) -> list[wire.EmbeddedFace]:
    return [
        wire.EmbeddedFace(
            **dict(face(each.sample.face)),
            image=place,
            quality=quality(each.sample),
            embedding=each.vector.tolist(),
        )
        for place, result in enumerate(batch.results)
        if not isinstance(result, SampleError)
        for each in result
    ]


def _image_problems(batch: EmbeddingBatch) -> list[wire.ImageProblem]:
    return [
        wire.ImageProblem.model_validate(problem_of(result).model_dump(exclude_unset=True) | {"image": place})
        for place, result in enumerate(batch.results)
        if isinstance(result, SampleError)
    ]


def operating_point(point: OperatingPoint | None) -> wire.OperatingPoint | None:
    """Convert the operating point; None if the request set the threshold itself."""
    return None if point is None else wire.OperatingPoint.model_validate(point.model_dump())


def judgement(judged: Judgement) -> wire.Judgement:
    """Convert the judgement of one distance."""
    return wire.Judgement.model_validate(judged, from_attributes=True)


def model(identity: ModelIdentity) -> wire.ModelIdentity:
    """Convert the identity of the model."""
    return wire.ModelIdentity(name=identity.name, digest=identity.digest, card_digest=identity.card_digest)


def layers(description: NetworkDescription, identity: ModelIdentity) -> wire.LayersResponse:
    """Convert a network's layers."""
    return wire.LayersResponse(
        layers=[layer(each) for each in description.layers],
        total_macs=description.total_macs,
        total_parameters=description.total_parameters,
        stored_parameters=description.stored_parameters,
        model=model(identity),
    )


def layer(described: Layer) -> wire.Layer:
    """Convert one layer."""
    return wire.Layer.model_validate(described, from_attributes=True)


def maps(made: FeatureMaps, drawing: Drawing, asked_as: str) -> wire.MapsResponse:
    """Convert feature maps and their picture."""
    return wire.MapsResponse(
        layer=layer(made.layer),
        maps=[wire.Response(channel=each.channel, peak=each.peak, mean=each.mean) for each in made.responses],
        columns=drawing.columns,
        cell_px=drawing.cell_px,
        scale=made.scale,
        colors=[f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in drawing.colors],
        picture=data_uri("png", drawing.png),
        sample=sample(made.chip.sample),
        model=model(made.model),
        request_id=asked_as,
    )


def explanation(found: Explanation, asked: QualityChoice, *, total_ms: float, asked_as: str) -> wire.ExplainResponse:
    """Convert a comparison and its explanation."""
    comparison = found.comparison
    return wire.ExplainResponse(
        **dict(verdict(comparison, asked)),
        model=model(comparison.model),
        timings_ms=timings(comparison.timings_ms, total_ms),
        request_id=asked_as,
        chips=wire.Chips(probe=_chip(found.sides.probe), reference=_chip(found.sides.reference)),
        channels=[wire.ChannelShare.model_validate(each, from_attributes=True) for each in found.channels],
        saliency=None if found.saliency is None else _saliencies(found.saliency),
    )


def _chip(side: ExplainedFace) -> wire.ChipPicture:
    return wire.ChipPicture(picture=data_uri("png", png(Image.fromarray(side.chip))), landmarks=list(side.landmarks))


def _saliencies(found: ProbeReference[Saliency]) -> wire.Saliencies:
    return wire.Saliencies(probe=_saliency(found.probe), reference=_saliency(found.reference))


def _saliency(found: Saliency) -> wire.Saliency:
    regions = [wire.RegionShare.model_validate(each, from_attributes=True) for each in found.regions]
    return wire.Saliency(map=found.coarse.tolist(), regions=regions)


def timings(spent: Timings, total_ms: float) -> wire.Timings:
    """Convert the timings, rounded to 0.01 ms."""
    return wire.Timings(
        decode=round(spent.decode, 2),
        detect=round(spent.detect, 2),
        embed=round(spent.embed, 2),
        total=round(total_ms, 2),
    )


def _box(box: Box) -> wire.Box:
    return wire.Box(x=box.x, y=box.y, width=box.width, height=box.height)
