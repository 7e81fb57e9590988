"""What the recipes train with, where PyTorch is installed: it is no dependency of premodel or of its tests."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: it is for recipes only")
onnx = pytest.importorskip("onnx", reason="onnx is not installed: it is for recipes only")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from recipes.cifar10.data import Augmented, Images  # noqa: E402
from recipes.cifar10.networks import Mirrored  # noqa: E402
from recipes.common.export import check_onnx, count_macs, count_parameters, export_onnx  # noqa: E402
from recipes.common.train import Restart, Schedule  # noqa: E402


def images(count: int) -> Images:
    """Image i is all of colour i."""
    pixels = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, 32, 32, 3).contiguous()
    return Images(pixels, torch.arange(count) % 10)


def test_one_cycle_by_hand() -> None:
    schedule = Schedule(10, peak_lr=0.5, warmup_fraction=0.2)
    assert schedule.all_epochs == 10
    assert [schedule.lr(epochs) for epochs in (0, 1, 2, 6, 10)] == pytest.approx([0, 0.25, 0.5, 0.25, 0])


def test_a_restart_is_a_second_cycle() -> None:
    schedule = Schedule(10, peak_lr=0.5, warmup_fraction=0.2, restart=Restart(5, peak_lr=0.1))
    assert schedule.all_epochs == 15
    assert [schedule.lr(epochs) for epochs in (2, 10, 10.5, 11, 13, 15)] == pytest.approx([0.5, 0, 0.05, 0.1, 0.05, 0])


def test_mirrored_is_the_mean_of_both() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 4 * 4, 5))
    inputs = torch.randn(2, 3, 4, 4)
    expected = (network(inputs) + network(inputs.flip(3))) / 2
    torch.testing.assert_close(Mirrored(network)(inputs), expected)
    torch.testing.assert_close(Mirrored(network)(inputs.flip(3)), expected)


def test_targets_are_mixed_by_the_area_that_was_replaced() -> None:
    batches = Augmented(images(40), batch_size=40, seed=0, shift=0, mix_from=1)
    before, labels = next(iter(batches(0, torch.Generator().manual_seed(3))))
    assert labels.ndim == 1, "not before its epoch"
    mixed = 0
    for seed in range(40):
        inputs, targets = next(iter(batches(1, torch.Generator().manual_seed(seed))))
        if targets.ndim == 1:
            continue
        mixed += 1
        assert targets.sum(1).tolist() == pytest.approx([1.0] * 40)
        for one, target in zip(inputs, targets, strict=True):
            colours, pixels = one[0].unique(return_counts=True)
            shares = torch.zeros(10)
            for colour, count in zip(colours, pixels, strict=True):
                (row,) = torch.isclose(before[:, 0, 0, 0], colour).nonzero()[0]
                shares[labels[row]] += count / 1024
            torch.testing.assert_close(target, shares, atol=1e-5, rtol=0)
    assert 10 <= mixed <= 30, "about half of the batches"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the exporter, about itself
@pytest.mark.parametrize(("bits", "tolerance"), [(32, 1e-5), (16, 1e-3), (8, 2e-2)])
def test_narrow_weights_compute_the_same_and_count_the_same(bits: int, tolerance: float, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 16, 3), torch.nn.ReLU(), torch.nn.AdaptiveMaxPool2d(1), torch.nn.Flatten()]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(16, 10)).eval()
    with torch.no_grad():
        layers[0].weight[0] = 0  # an output whose largest weight is none
    path = tmp_path / "network.onnx"
    export_onnx(network, path, (1, 3, 8, 8), weight_bits=bits)
    assert check_onnx(path, network, torch.rand(4, 3, 8, 8), tolerance=tolerance) <= tolerance
    assert count_parameters(path) == 3 * 9 * 16 + 16 + 16 * 10 + 10
    assert count_macs(path) == 6 * 6 * 16 * 27 + 16 * 10
    weights = [
        one
        for one in onnx.load(str(path)).graph.initializer
        if one.name.endswith("weight_narrow" if bits < 32 else "weight")
    ]
    assert {8 * len(one.raw_data) // math.prod(one.dims) for one in weights} == {bits}
