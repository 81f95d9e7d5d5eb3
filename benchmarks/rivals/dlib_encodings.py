"""Encode photos as `face_recognition` does, by dlib's own detector and landmarks, and print them as CSV.

Run by an interpreter that has dlib: python dlib_encodings.py FOLDER PHOTO ... (FOLDER contains dlib's two .dat files).
Prints a line for each photo in which a face is found: its path and the 128 numbers of the first face.
"""

import csv
import sys
from pathlib import Path

from dlib_pipeline import DlibPipeline, NoFace


def main() -> None:
    pipeline, writer = DlibPipeline(Path(sys.argv[1])), csv.writer(sys.stdout)
    for photo in sys.argv[2:]:
        try:
            writer.writerow([photo, *pipeline.encoding(Path(photo).read_bytes()).tolist()])
        except NoFace:
            continue


if __name__ == "__main__":
    main()
