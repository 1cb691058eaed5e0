"""Score-CAM against NumPy, torchcam and pytorch-grad-cam; its chunks and its memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from softcam.explainers import class_maps, explain_with, features, score_cam
from softcam.wrappers import BlackBox
from tests.explainers.sixteen import Linear16, Sixteen, black_box, near, pictures
from tests.explainers.sixteen import features as features_of

TARGETS = torch.tensor([0, 3, 1])


def enlarged(z: np.ndarray, height: int, width: int, corners: bool) -> np.ndarray:
    """Bilinear, (..., h, w) to (..., height, width), with half-pixel centres or aligned corners."""

    def weights(small: int, large: int) -> np.ndarray:
        at = np.arange(large)
        at = at * (small - 1) / (large - 1) if corners else (at + 0.5) * small / large - 0.5
        at = at.clip(0, small - 1)
        return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(small)))  # (large, small)

    return np.asarray(weights(z.shape[-2], height) @ z @ weights(z.shape[-1], width).T)


def scaled(z: np.ndarray) -> np.ndarray:
    low, high = z.min((-2, -1), keepdims=True), z.max((-2, -1), keepdims=True)
    return np.asarray((z - low) / np.where(high > low, high - low, 1))


def by_definition(
    model: BlackBox, images: Tensor, targets: Tensor, *, first: str = "scale", corners: bool = False
) -> np.ndarray:
    """The formula in NumPy; only the logits of the masked images come from the network."""
    z, pixels = features_of(model, images), images.double().numpy()
    size = (images.shape[2], images.shape[3])
    if first == "scale":
        masks = enlarged(scaled(z), *size, corners)
    else:
        masks = scaled(enlarged(z, *size, corners))
    maps = []
    for i, target in enumerate(targets.tolist()):
        masked = torch.from_numpy(pixels[i] * masks[i][:, None]).float()
        with torch.no_grad():
            gain = (model(masked) - model(torch.zeros_like(images[:1])))[:, target]
        weight = np.exp(gain.double().numpy() - float(gain.max()))
        weight /= weight.sum()
        maps.append(np.maximum((weight[:, None, None] * z[i]).sum(0), 0))
    return np.stack(maps)


@pytest.mark.parametrize("kind", [Sixteen, Linear16])
@pytest.mark.parametrize("chunk", [5, 16, 1000])
def test_equals_numpy_whatever_the_chunk(
    kind: type[Sixteen], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, images = black_box(kind), pictures()
    monkeypatch.setattr(features, "CHUNK_PIXELS", chunk * images.shape[2] * images.shape[3])
    maps = explain_with("score-cam", model, images, TARGETS)
    assert near(maps, by_definition(model, images, TARGETS)) and (maps >= 0).all()
    _, every = class_maps("score-cam", model, images)
    for c in range(4):
        assert near(every[:, c], by_definition(model, images, torch.full((3,), c)))


def test_is_not_the_mean_of_the_channels() -> None:
    """With logits that hardly differ every weight would be 1 / 16 and any bug would pass."""
    model, images = black_box(), pictures()
    model.net.fc.weight.data *= 10
    maps = explain_with("score-cam", model, images, TARGETS)
    plain = np.maximum(features_of(model, images).mean(1), 0)
    assert near(maps, by_definition(model, images, TARGETS)) and not near(maps, plain, 0.05)


def test_a_constant_channel_masks_everything() -> None:
    model, images = black_box(), pictures()
    model.net.body[0].weight.data[3] = 0
    maps = explain_with("score-cam", model, images, TARGETS)
    assert near(maps, by_definition(model, images, TARGETS))


def test_equals_torchcam_on_the_same_model() -> None:
    from torchcam.methods import ScoreCAM

    model, images = black_box(), pictures()
    with ScoreCAM(model, "net.body", batch_size=7) as extractor, torch.no_grad():
        model(images)
        library = extractor(TARGETS.tolist(), normalized=False)[0]
    assert near(explain_with("score-cam", model, images, TARGETS), library.double().numpy())


# Which definition pytorch-grad-cam has: scaled after it is enlarged, with corners aligned.
DEFINITIONS = {
    ("scale", False): False,
    ("scale", True): False,
    ("enlarge", False): False,
    ("enlarge", True): True,
}


def test_where_pytorch_grad_cam_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pytorch_grad_cam")
    from pytorch_grad_cam import ScoreCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model, images = black_box(), pictures()
    model.net.fc.weight.data *= 10
    monkeypatch.setattr("tqdm.tqdm", lambda steps: steps)
    asked = [ClassifierOutputTarget(c) for c in TARGETS.tolist()]
    with ScoreCAM(model, [model.net.body]) as extractor:
        extractor(images, targets=asked)
        weights = extractor.get_cam_weights(
            images, None, asked, features_of(model, images).astype(np.float32), None
        )
    z = features_of(model, images)
    library = np.maximum((weights[:, :, None, None] * z).sum(1), 0)
    for (first, corners), same in DEFINITIONS.items():
        mine = by_definition(model, images, TARGETS, first=first, corners=corners)
        assert near(torch.from_numpy(library), mine) == same, (first, corners)
    ours = explain_with("score-cam", model, images, TARGETS)
    assert near(ours, library, 0.5), "the two are not even alike"


def test_a_network_that_gives_nan_has_no_map() -> None:
    """torchcam leaves NaN out of its sum, which would give zeros."""
    model, images = black_box(), pictures()
    images[1] = torch.nan
    maps = explain_with("score-cam", model, images, TARGETS)
    assert maps[1].isnan().all() and maps[[0, 2]].isfinite().all()


@pytest.mark.parametrize("images", [2, 6])
def test_no_pass_holds_more_than_a_chunk(images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What bounds the memory: batches do not grow with channels, classes or images."""
    model, x = black_box(), pictures(images)
    monkeypatch.setattr(features, "CHUNK_PIXELS", 4 * x.shape[2] * x.shape[3])
    seen: list[int] = []
    handle = model.net.fc.register_forward_hook(lambda m, i, out: seen.append(len(out)))
    score_cam.score_cam(model, x, torch.zeros(images, dtype=torch.long))
    masked = sum(seen)
    assert max(seen) <= 4 and masked == 16 * images + 2 * images  # and twice the plain images
    seen.clear()
    class_maps("score-cam", model, x)
    handle.remove()
    assert sum(seen) == masked + images, "the four classes do not share their passes"


def test_masks_are_enlarged_as_torch_does() -> None:
    """The oracle's own enlargement, against torch."""
    z = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0)).double()
    for corners in (False, True):
        torchs = F.interpolate(z, (20, 28), mode="bilinear", align_corners=corners)
        assert np.allclose(enlarged(z.numpy(), 20, 28, corners), torchs.numpy())
