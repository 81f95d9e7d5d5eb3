"""The detector's two networks as ONNX files with their weights inside; tools/make_detector.py makes them."""

from pathlib import Path

YUNET, ONET = (Path(__file__).parent / f"{name}.onnx" for name in ("yunet", "onet"))
