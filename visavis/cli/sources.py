"""From the command line's --pairs, --protocol, --csv or --identities to a `Protocol`."""

from dataclasses import dataclass
from pathlib import Path

import click

from train import CfpKind, Protocol, read_cfp, read_csv, read_identities, read_lfw


@dataclass(frozen=True, slots=True)
class ProtocolOptions:
    """Where the user says the photos and their comparisons are; what does not apply is None."""

    pairs: Path | None = None
    images: Path | None = None
    identities: Path | None = None
    csv: Path | None = None
    protocol: CfpKind | None = None

    def read(self) -> Protocol:
        """Read it. Raises click.UsageError where it is not one source, ProtocolError where the files do not hold it."""
        given = [name for name in ("pairs", "protocol", "csv", "identities") if getattr(self, name) is not None]
        if len(given) > 1:
            raise click.UsageError(f"give one source of photos, not {' and '.join(f'--{name}' for name in given)}")
        if self.pairs is not None:
            return read_lfw(self.pairs, self._images("pairs"))
        if self.protocol is not None:
            return read_cfp(self.protocol, self._images("protocol"))
        if self.csv is not None:
            return read_csv(self.csv, self.images)
        if self.identities is not None:
            return read_identities(self._alone(self.identities))
        raise click.UsageError("say where the photos are: --identities DIR, or --pairs FILE --images DIR")

    @property
    def name(self) -> str:
        """What the photos are called, where the user does not say."""
        given = self.identities or self.csv or self.pairs
        return given.stem if given is not None else str(self.protocol)

    def tuning(self, pairs: Path) -> Protocol:
        """Read other pairs of the same photos, to choose the threshold on."""
        return read_lfw(pairs, self.identities or self._images("threshold-pairs"))

    def _images(self, name: str) -> Path:
        if self.images is None:
            raise click.UsageError(f"--{name} needs --images DIR, the folder that holds its photos")
        return self.images

    def _alone(self, identities: Path) -> Path:
        if self.images is not None:
            raise click.UsageError("--identities names the folder of photos itself; leave --images out")
        return identities
