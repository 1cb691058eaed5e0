"""An exact conversion is compared with the network as it was given: its weights and its hooks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.convert import to_softcam
from tests.test_swap import Mean


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("kind", ["weight norm", "pruned"])
def test_weights_behind_hooks_are_not_stale(kind: str) -> None:
    net, x = Mean().eval(), torch.rand(2, 3, 64, 48)
    if kind == "weight norm":
        nn.utils.weight_norm(net.fc)
        net.fc.weight_g.data.mul_(3)  # type: ignore[union-attr,operator]
    else:
        nn.utils.prune.random_unstructured(net.fc, "weight", 0.5)
        net.fc.weight_orig.data.mul_(-1)  # type: ignore[union-attr,operator]
    model = to_softcam(net)
    torch.testing.assert_close(model(x), net(x), rtol=1e-4, atol=1e-6)
    assert model.get_classifier().weight.requires_grad
    assert model.conversion is not None and "weight norm" in " ".join(model.conversion.notes)


def test_hooks_that_alter_the_logits_are_refused_and_others_noted() -> None:
    net = Mean()
    handle = net.fc.register_forward_hook(lambda module, args, out: out * 3 + 1)
    with pytest.raises(SoftCAMError, match=r"a forward hook alters its logits \(hooks on: fc\)"):
        to_softcam(net)
    handle.remove()
    net.body.register_forward_hook(lambda module, args, out: None)
    conversion = to_softcam(net).conversion
    assert conversion is not None and "hooks are left out (on: body)" in conversion.notes[-1]


def test_limits_that_only_its_own_weights_reach_are_refused() -> None:
    class Limited(Mean):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).clamp(-10, 10)

    net = Limited()
    with torch.no_grad():
        net.fc.weight.mul_(1000)  # type: ignore[union-attr,operator]
    with pytest.raises(SoftCAMError, match="cannot become a SoftCAM"):
        to_softcam(net)


@pytest.mark.parametrize("cells", [4, 6, 14])
def test_a_pool_of_one_size_is_compared_at_its_own_image_size(cells: int) -> None:
    """At a larger one it runs as well, and leaves the last rows of cells out."""

    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.pool = nn.Conv2d(3, 8, 32, 32), nn.AvgPool2d(cells)
            self.fc = nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.pool(torch.relu(self.body(x))).flatten(1))

    net, x = Fixed().eval(), torch.randn(2, 3, 32 * cells, 32 * cells)
    model = to_softcam(net)
    assert model.conversion is not None and model.conversion.kind == "exact"
    torch.testing.assert_close(model(x), net(x), rtol=1e-4, atol=1e-5)
    assert "takes no other size" in " ".join(model.conversion.notes)


def test_the_comparison_leaves_the_precision_of_what_is_made_alone() -> None:
    """In float64 it works on a copy."""

    class Far(Mean):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x * 1e-6 + 1)

    net = Far().eval()
    model, x = to_softcam(net), torch.rand(2, 3, 64, 48)
    assert {p.dtype for p in (*net.parameters(), *model.parameters())} == {torch.float32}
    torch.testing.assert_close(model(x), net(x), rtol=1e-4, atol=1e-6)
