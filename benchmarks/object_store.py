"""`visavis embed --out` over the same photos in a folder, as objects, and in tar archives on an S3 server on loopback.

Usage: python benchmarks/object_store.py --data DIR [--photos N]. DIR contains lfw-view1/lfw. The server is moto's, in
this process: it takes processor time of its own, so that what a store costs is less than is shown here. Each run takes
its turn twice, and the quicker one counts. Prints photos per second, and whether all runs have the same rows.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import boto3
import numpy as np
from moto.server import ThreadedMotoServer

from embedder.bulk import output_folder, read_faces

VISAVIS = Path(sys.executable).parent / "visavis"
BUCKET, KEY = "photos", "benchmark"
IN_A_TAR = 100
TURNS = 2


@dataclass(frozen=True)
class Run:
    """Where photos come from and where embeddings go."""

    name: str
    source: str
    out: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=500)
    asked = parser.parse_args()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        with tempfile.TemporaryDirectory() as folder:
            compare(sorted((asked.data / "lfw-view1" / "lfw").rglob("*.jpg"))[: asked.photos], Path(folder), host, port)
    finally:
        server.stop()


def compare(photos: list[Path], folder: Path, host: str, port: int) -> None:
    os.environ |= {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": KEY}
    store = boto3.client("s3", region_name="us-east-1")
    store.create_bucket(Bucket=BUCKET)
    (folder / "photos").mkdir()
    for photo in photos:
        (folder / "photos" / photo.name).symlink_to(photo.resolve())
        store.put_object(Bucket=BUCKET, Key=f"in/{photo.name}", Body=photo.read_bytes())
    for start in range(0, len(photos), IN_A_TAR):
        store.put_object(Bucket=BUCKET, Key=f"tars/{start:06}.tar", Body=tar_of(photos[start : start + IN_A_TAR]))
    runs = [
        Run("a folder", str(folder / "photos"), str(folder / "out-{}")),
        Run("objects", f"s3://{BUCKET}/in", f"s3://{BUCKET}/out-{{}}"),
        Run("tar archives", f"s3://{BUCKET}/tars/*.tar", f"s3://{BUCKET}/out-tars-{{}}"),
    ]
    rates = [max(each) for each in zip(*([rate(run, turn) for run in runs] for turn in range(TURNS)), strict=True)]
    for run, photos_s in zip(runs, rates, strict=True):
        print(f"{run.name}: {photos_s:.1f} photos/s, {photos_s / rates[0]:.2f} of a folder's")
    local, *others = (vectors(run.out.format(0)) for run in runs)
    apart = max(np.abs(local - other).max() for other in others)
    print(f"{len(photos):,} photos, {len(local):,} embeddings in each; they differ by {apart:.1e} at most")


def tar_of(photos: list[Path]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for photo in photos:
            archive.add(photo.resolve(), photo.name)
    return file.getvalue()


def rate(run: Run, turn: int) -> float:
    """Photos per second of a run, without its start and end."""
    command = [VISAVIS, "embed", run.source, "--out", run.out.format(turn), "--json"]
    told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)
    if told["failed"].get("not_readable"):
        sys.exit(f"{run.name}: {told['failed']['not_readable']} photos could not be read")
    return float(told["photos_s"])


def vectors(out: str) -> np.ndarray:
    """The embeddings of a run, (n, 128)."""
    return read_faces(output_folder(out)).vectors


if __name__ == "__main__":
    main()
