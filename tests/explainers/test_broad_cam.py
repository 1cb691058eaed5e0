"""BroadCAM's fit against scikit-learn and the whole system written out; the maps of a fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softcam.common import SoftCAMError
from softcam.explainers.broad_cam import BroadFit, broad_cam, fit_broad_cam, fold_weights
from tests.explainers.sixteen import black_box, features, near, pictures

LABELS = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3, 3, 1, 0, 2])


def written_out(x: np.ndarray, y: np.ndarray, alpha: float, step: int) -> np.ndarray:
    """The authors' steps with scikit-learn's ridge, offsets and scales included: (C, D)."""
    linear = pytest.importorskip("sklearn.linear_model")

    def ridge(a: np.ndarray) -> np.ndarray:  # Ridge(normalize=True) of old
        length = np.linalg.norm(a - a.mean(0), axis=0)
        fitted = linear.Ridge(alpha=alpha, fit_intercept=True, solver="svd").fit(a / length, y)
        return fitted.coef_.T / length[:, None]

    scale = x.std(0)
    z = (x - x.mean(0)) / scale
    first = ridge(z) / scale[:, None]
    groups = int((first > 0).sum(0).min() / step)
    mixing = np.zeros((x.shape[1], 0))
    for c in range(y.shape[1]):
        order = np.flip(np.argsort(first[:, c]))
        own = np.zeros((x.shape[1], groups))
        for j in range(groups):
            own[order[j * step : (j + 1) * step], j] = 1 / step
        mixing = np.column_stack([mixing, own * first[:, [c]]])
    h = z @ mixing
    offset, size = h.min(0), np.abs(h).max(0)
    joint = ridge(np.column_stack([z, (h - offset) / size]))
    direct, enhanced = joint[: len(scale)], joint[len(scale) :]
    return ((direct + (mixing / size) @ enhanced) / scale[:, None]).T


@pytest.mark.parametrize("n", [12, 60])  # fewer and more images than channels
@pytest.mark.parametrize(("step", "groups"), [(256, False), (2, True)])
@pytest.mark.parametrize("alpha", [0.3, 50.0])
def test_equals_the_system_written_out(n: int, step: int, groups: bool, alpha: float) -> None:
    draw = np.random.default_rng(3)
    x = draw.normal(2, 1, (n, 16)) * draw.uniform(0.5, 3, 16)
    y = np.eye(3)[np.arange(n) % 3]
    found = fold_weights(torch.from_numpy(x), torch.from_numpy(y), alpha, step)
    assert near(found, written_out(x, y, alpha, step), 1e-9)
    plain = fold_weights(torch.from_numpy(x), torch.from_numpy(y), alpha, 256)
    assert torch.allclose(found, plain) != groups, "the enhancement features changed nothing"


def test_the_fit_reads_pooled_features_and_not_the_head() -> None:
    model, images = black_box(), pictures(12)
    fit = fit_broad_cam(model, images, LABELS, batch_size=5)
    pooled = torch.from_numpy(features(model, images).mean((2, 3)))
    expected = fold_weights(pooled, torch.eye(4, dtype=torch.float64)[LABELS], 50.0)
    assert near(fit.weights, expected.numpy()) and fit.images == 12
    model.net.fc.weight.data.normal_()
    assert torch.equal(fit.weights, fit_broad_cam(model, images, LABELS, batch_size=5).weights)


def test_maps_are_weighted_features_signed() -> None:
    model, images = black_box(), pictures(12)
    method = broad_cam(fit_broad_cam(model, images, LABELS))
    assert method.experimental and method.all_classes is not None
    logits, maps = method.all_classes(model, images)
    weights = fit_broad_cam(model, images, LABELS).weights.double().numpy()
    assert near(maps, np.einsum("cd,bdhw->bchw", weights, features(model, images)))
    assert torch.allclose(logits, model(images), atol=1e-6) and (maps < 0).any()
    own = method(model, images, LABELS)
    assert torch.equal(own, maps[torch.arange(12), LABELS]) and not own.requires_grad


def test_a_channel_that_names_its_class_weighs_most() -> None:
    draw = torch.Generator().manual_seed(0)
    y = torch.eye(2, dtype=torch.float64)[torch.arange(40) % 2]
    x = torch.rand(40, 6, generator=draw, dtype=torch.float64)
    x[:, 4] += y[:, 1]
    x[:, 2] = 1.0  # says nothing
    weights = fold_weights(x, y, 1.0)
    assert int(weights[1].argmax()) == 4 and int(weights[0].argmin()) == 4
    assert float(weights[:, 2].abs().max()) == 0


def test_what_a_fit_and_its_maps_refuse() -> None:
    model, images = black_box(), pictures(4)
    with pytest.raises(SoftCAMError, match="two classes"):
        fit_broad_cam(model, images, torch.zeros(4, dtype=torch.long))
    with pytest.raises(SoftCAMError, match=r"shape \(4,\)"):
        fit_broad_cam(model, images, LABELS)
    with pytest.raises(SoftCAMError, match="classes 0 to 3"):
        fit_broad_cam(model, images, torch.tensor([0, 1, 2, 4]))
    with pytest.raises(SoftCAMError, match="alpha"):
        fit_broad_cam(model, images, LABELS[:4], alpha=-1.0)
    with pytest.raises(SoftCAMError, match="3 classes and 16 channels, the model 4 and 16"):
        broad_cam(BroadFit(torch.zeros(3, 16), 1.0, 4))(model, images, LABELS[:4])
