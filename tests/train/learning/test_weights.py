"""Weights that are averaged, drawn back and blended: each against a plain loop."""

import pytest
import torch
from torch import nn

from train.learning.weight_averaging import L2SP, WeightAverage, interpolate_weights, weights_of


def small_net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def move(network: nn.Module, by: float) -> None:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(by)


def test_the_average_is_that_of_a_plain_loop_with_its_reach_growing_at_first() -> None:
    network = small_net()
    average = WeightAverage(network, 0.9)  # type: ignore[arg-type] # any module will do
    expected = None
    for step in range(200):
        move(network, 0.01)
        average.update()
        current = next(network.parameters()).detach().clone()
        decay = min(0.9, (1 + step) / (10 + step))
        expected = current if expected is None else decay * expected + (1 - decay) * current
    assert expected is not None
    torch.testing.assert_close(next(average.network.parameters()), expected)


def test_an_average_counts_batches_as_the_network_does_and_averages_its_statistics() -> None:
    network = small_net()
    average = WeightAverage(network, 0.9)  # type: ignore[arg-type]
    for _ in range(3):
        network(torch.randn(2, 3, 8, 8))
        average.update()
    ours, theirs = average.network.state_dict(), network.state_dict()
    assert ours["1.num_batches_tracked"] == 3
    assert not torch.equal(ours["1.running_mean"], theirs["1.running_mean"])


def test_without_decay_the_network_itself_is_kept() -> None:
    network = small_net()
    average = WeightAverage(network, 0)  # type: ignore[arg-type]
    move(network, 1)
    average.update()
    assert average.network is network
    assert average.state() == {}


def test_the_pull_takes_a_share_of_the_way_back_at_each_weights_own_rate() -> None:
    network = small_net()
    start = weights_of(network)
    pull = L2SP(network, start, strength=10.0)
    move(network, 1.0)
    weight, bias = list(network.parameters())[:2]
    stranger = nn.Parameter(torch.ones(3))
    pull.step([{"params": [weight, stranger], "lr": 0.01}, {"params": [bias], "lr": 0.05}])
    torch.testing.assert_close(network.state_dict()["0.weight"], start["0.weight"] + 0.9)
    torch.testing.assert_close(network.state_dict()["0.bias"], start["0.bias"] + 0.5)
    torch.testing.assert_close(network.state_dict()["1.weight"], start["1.weight"] + 1.0)
    assert torch.equal(stranger, torch.ones(3))


def test_a_pull_stronger_than_the_way_back_stops_at_the_start() -> None:
    network = small_net()
    start = weights_of(network)
    move(network, 1.0)
    L2SP(network, start, strength=1000.0).step([{"params": list(network.parameters()), "lr": 0.01}])
    torch.testing.assert_close(network.state_dict()["0.weight"], start["0.weight"])


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_a_blend_lies_between_start_and_end(share: float) -> None:
    network = small_net()
    start = weights_of(network)
    move(network, 1.0)
    network(torch.randn(2, 3, 8, 8))
    end = weights_of(network)
    interpolate_weights(network, start, share)
    for name, tensor in network.state_dict().items():
        expected = (1 - share) * start[name] + share * end[name] if tensor.is_floating_point() else end[name]
        torch.testing.assert_close(tensor, expected)
