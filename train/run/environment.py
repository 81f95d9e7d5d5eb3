"""What a run was computed with, so that its figures can be understood later."""

import json
import os
import platform
from importlib.metadata import version

import torch

LIBRARIES = (
    "visavis",
    "torch",
    "torchvision",
    "pytorch-metric-learning",
    "accelerate",
    "numpy",
    "pillow",
    "safetensors",
    "scikit-learn",
)


def versions() -> dict[str, str]:
    """Version of each library that decides what is learnt."""
    return {name: version(name) for name in LIBRARIES}


def environment(precision: str, n_processes: int) -> str:
    """Describe it as JSON."""
    capabilities = torch.cpu.get_capabilities()
    facts = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": capabilities.get("cpu_name", platform.processor()),
        "instructions": sorted(
            name for name in ("avx2", "avx512_f", "avx512_bf16", "amx_bf16") if capabilities.get(name)
        ),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": n_processes,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "precision": precision,
        "libraries": versions(),
    }
    return json.dumps(facts, indent=2) + "\n"
