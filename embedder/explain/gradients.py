"""Which places of a face bring it nearer to another one, by the network's own gradients: to compare with covering.

Source: Sundararajan et al., "Axiomatic Attribution for Deep Networks" (integrated gradients), 2017, by captum; from the
face without its features to the face. Needs torch.
"""

import numpy as np
import torch
from captum.attr import IntegratedGradients
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..network import EmbeddingNet
from ..types import Pixels
from .occlusion import SaliencyMap, blur_chip, scaled

N_STEPS = 16  # of the way from the one to the other
_N_PLACES = 15  # along each side: single pixels tell nothing


def gradient_map(chip: Pixels, other: NDArray[np.float32], network: EmbeddingNet) -> SaliencyMap:
    """Of a chip (side, side, 3) compared with the embedding of another face, (128,); the network is in eval mode."""
    reference = torch.from_numpy(other)

    def distance(chips: Tensor) -> Tensor:  # (n, side, side, 3), as floats
        apart: Tensor = torch.linalg.vector_norm(network(chips) - reference, dim=1)
        return apart

    given, start = (torch.from_numpy(part.astype(np.float32))[None] for part in (chip, blur_chip(chip)))
    found = IntegratedGradients(distance).attribute(given, start, n_steps=N_STEPS, internal_batch_size=N_STEPS)
    toward = Image.fromarray(-found[0].sum(dim=2).numpy())  # (side, side)
    places = toward.resize((_N_PLACES, _N_PLACES), Image.Resampling.BOX)
    return scaled(np.asarray(places.resize(toward.size, Image.Resampling.BICUBIC)))
