"""The atlas of a model's channels: statistics over many faces. It contains none of the faces."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ...image_formats import data_uri, jpeg
from ...types import Chips, ModelIdentity, Pixels
from ..explanation import Sentence
from .faces import SMALL_QUALITY, AtlasFaces
from .statistics import Floats, between_over_within, correlations, effective_dimension
from .traits import Trait

WEAK = 0.2  # an |r| below it leaves at least 96% of the channel's variance unexplained

NOTHING = Sentence("no measured trait explains it", "没有任何已测特征能解释它")


@dataclass(frozen=True, slots=True)
class Correlation:
    """The correlation of a channel with a trait; the interval holds for all channels and traits at once."""

    trait: Trait
    r: float
    low: float
    high: float

    @property
    def is_sure(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


def sentence_of(correlations: list[Correlation]) -> Sentence:
    """Name the strongest correlation whose interval excludes 0, if there is one."""
    sure = [each for each in correlations if each.is_sure]
    if not sure:
        return NOTHING
    most = max(sure, key=lambda each: abs(each.r))
    interval = f"r = {most.r:.2f} [{most.low:.2f}, {most.high:.2f}]"
    is_weak = abs(most.r) < WEAK
    rises, up = ("rises", "升高") if most.r > 0 else ("falls", "降低")
    weakly, barely = (" weakly", "略有") if is_weak else ("", "")
    return Sentence(
        f"{rises}{weakly} with {most.trait.en}, {interval}", f"随{most.trait.zh}增大而{barely}{up}，{interval}"
    )


N_BINS = 40
MOST_TOGETHER = 128  # channels whose correlations with each other are told, because their number grows with the square
PICTURE_PX = 75  # side of the mean face and the maximising pictures


@dataclass(frozen=True, slots=True, eq=False)
class ChannelHistogram:
    """The distribution of a channel's values over the faces."""

    low: float
    high: float
    counts: tuple[int, ...]  # in bins of equal width


@dataclass(frozen=True, slots=True, eq=False)
class Channel:
    """The statistics of one channel."""

    channel: int
    sentence: Sentence
    correlations: tuple[Correlation, ...]  # with every trait
    mean: float
    deviation: float
    histogram: ChannelHistogram
    between_over_within: float  # variance between people over that within a person; NaN = unknown
    looks_at: Floats  # (places, places): the mean change when each place is occluded
    maximising: str  # data: URI of a JPEG

    @property
    def is_ratio_known(self) -> bool:
        """Whether any person has two faces, so that the ratio could be measured."""
        return not np.isnan(self.between_over_within)

    @property
    def strongest_first(self) -> list[Correlation]:
        """The known correlations, the strongest first."""
        return sorted((each for each in self.correlations if not np.isnan(each.r)), key=lambda each: -abs(each.r))

    @property
    def strength(self) -> float:
        """The largest |r| among correlations whose interval excludes 0; 0 = there is none."""
        return max((abs(each.r) for each in self.correlations if each.is_sure), default=0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Atlas:
    """The statistics of all channels of a model."""

    model: ModelIdentity
    n_faces: int
    n_people: int
    failed: dict[str, int]  # photos without a usable face, by the error's code
    effective_dimension: float
    together: Floats  # (k, k): correlations between the channels `most_varied`, Pearson's r
    most_varied: tuple[int, ...]  # the channels with the largest deviations, in order; all if there are up to 128
    mean_face: str  # data: URI of a JPEG
    channels: tuple[Channel, ...]


def atlas_of(
    faces: AtlasFaces, traits: Sequence[Trait], looks_at: Floats, pictures: Chips, model: ModelIdentity
) -> Atlas:
    """Compute the atlas from measured faces; `traits` name the columns of `faces.traits`."""
    vectors = faces.vectors.astype(np.float64)
    found = correlations(vectors, faces.traits, faces.people, np.random.default_rng(0))
    ratios = between_over_within(vectors, faces.people)
    most_varied = np.sort(np.argsort(-vectors.std(axis=0), kind="stable")[:MOST_TOGETHER])
    channels = []
    for channel, values in enumerate(vectors.T):
        measured = tuple(
            Correlation(trait, *map(float, part))
            for trait, *part in zip(traits, found.r[channel], found.low[channel], found.high[channel], strict=True)
        )
        channels.append(
            Channel(
                channel,
                sentence_of(list(measured)),
                measured,
                float(values.mean()),
                float(values.std()),
                _histogram(values),
                float(ratios[channel]),
                looks_at[channel],
                jpeg_uri(pictures[channel]),
            )
        )
    return Atlas(
        model,
        len(vectors),
        len(np.unique(faces.people)),
        dict(faces.failed),
        effective_dimension(vectors),
        np.corrcoef(vectors.T[most_varied]).reshape(len(most_varied), -1),
        tuple(most_varied.tolist()),
        jpeg_uri(faces.mean),
        tuple(channels),
    )


def atlas_record(atlas: Atlas) -> dict[str, object]:
    """Convert the atlas to a JSON object. It contains no face of a person, no name and no path."""
    return {
        "model_digest": atlas.model.digest,
        "model": atlas.model.name,
        "n_faces": atlas.n_faces,
        "n_people": atlas.n_people,
        "failed": atlas.failed,
        "effective_dimension": round(atlas.effective_dimension, 2),
        "mean_face": atlas.mean_face,
        "together": [[round(float(r), 2) for r in row] for row in atlas.together],
        "channels": [_channel_record(channel) for channel in atlas.channels],
    } | ({"together_of": list(atlas.most_varied)} if len(atlas.most_varied) < len(atlas.channels) else {})


def _channel_record(channel: Channel) -> dict[str, object]:
    ratio, spread = channel.between_over_within, channel.histogram
    return {
        "channel": channel.channel,
        "sentence": {"en": channel.sentence.en, "zh": channel.sentence.zh},
        "mean": round(channel.mean, 5),
        "deviation": round(channel.deviation, 5),
        "histogram": {"low": round(spread.low, 5), "high": round(spread.high, 5), "counts": list(spread.counts)},
        "between_over_within": None if np.isnan(ratio) else round(ratio, 3),
        "correlations": [
            {
                "trait": each.trait.name,
                "en": each.trait.en,
                "zh": each.trait.zh,
                "r": _known(each.r),
                "low": _known(each.low),
                "high": _known(each.high),
            }
            for each in channel.correlations
        ],
        "looks_at": [[round(float(change), 5) for change in row] for row in channel.looks_at],
        "maximising": channel.maximising,
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)


def _histogram(values: Floats) -> ChannelHistogram:
    counts, edges = np.histogram(values, N_BINS)
    return ChannelHistogram(float(edges[0]), float(edges[-1]), tuple(map(int, counts)))


def jpeg_uri(pixels: Pixels) -> str:
    """Encode a reduced picture as a data URI."""
    small = Image.fromarray(pixels).resize((PICTURE_PX, PICTURE_PX), Image.Resampling.LANCZOS)
    return data_uri("jpeg", jpeg(small, SMALL_QUALITY))
