"""The first paragraph of the report: what was compared, and how it came out, for a reader who reads nothing else."""

from collections.abc import Iterator, Sequence

from ..as_text import SOURCES
from ..record import ClaimCheck, Evaluation
from ..words import DECIDES, rate_text

FACES = {
    "dominant": "the one face that stands out in each photo",
    "only": "the only face of each photo",
    "largest": "the largest face of each photo",
    "center": "the face nearest the centre of each photo",
}


def opening(found: Evaluation) -> tuple[str, str]:
    """Return what was compared, and the verdict."""
    return " ".join(_compared(found)), " ".join(_verdict(found))


def _compared(found: Evaluation) -> Iterator[str]:
    data, figures = found.data, found.figures
    yield (
        f"{found.model.name} made {figures.n_genuine:,} genuine comparisons (of one person) and {figures.n_impostor:,} "
        f"impostor ones (of two) between {data.n_photos:,} photos of {data.n_identities:,} people, taking "
        f"{FACES[data.face]}."
    )
    yield _failures(found)
    if found.refusals is not None:
        yield (
            f"Photos refused for low quality: {len(found.refusals.photos):,}, which leaves out "
            f"{found.refusals.n_comparisons:,} comparisons."
        )


def _verdict(found: Evaluation) -> Iterator[str]:
    figures = found.figures
    yield (
        f"At the threshold {found.threshold.value:.5g} ({SOURCES[found.threshold.source]}) it wrongly accepts "
        f"{rate_text(figures.fmr.value)} of the impostor comparisons (FMR{_one_in(figures.fmr.value)}) and wrongly "
        f"rejects {rate_text(figures.fnmr.value)} of the genuine ones (FNMR{_one_in(figures.fnmr.value)})."
    )
    if figures.eer.value is not None:
        yield f"Where both errors are equally frequent, each is {rate_text(figures.eer.value)} (EER)."
    yield f"What decides is {DECIDES[found.scores]}."
    yield claims_in_words(found.claims)


def claims_in_words(claims: Sequence[ClaimCheck]) -> str:
    """Say whether what the card claims holds here."""
    if not claims:
        return "The model's card claims no error rates."
    phrases = {
        True: "it holds at {}",
        False: "it does not hold at {}",
        None: "there is too little to say at {}",
    }
    names = {kind: [each.point.name for each in claims if each.holds is kind] for kind in phrases}
    said = [phrases[kind].format(_listed(names[kind])) for kind in phrases if names[kind]]
    return f"As for the FMR that the model's card claims: {'; '.join(said)}."


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _failures(found: Evaluation) -> str:
    n = len(found.failures.photos)
    if not n:
        return "It found a usable face in every photo."
    photos = "one photo" if n == 1 else f"{n:,} photos"
    return f"It found no usable face in {photos}, so {found.failures.n_comparisons:,} comparisons are left out."


def _one_in(share: float | None) -> str:
    """Return a small share as one in so many."""
    return f"; 1 in {1 / share:,.0f}" if share and share < 0.1 else ""  # noqa: PLR2004 - above, a percentage is plainer
