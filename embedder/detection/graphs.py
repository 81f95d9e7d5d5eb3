"""The cascade's networks as ONNX graphs with the weights of mtcnn.safetensors; tools/export_detection.py makes them."""

from pathlib import Path

PROPOSAL, REFINEMENT, OUTPUT = (Path(__file__).parent / f"{name}.onnx" for name in ("proposal", "refinement", "output"))
