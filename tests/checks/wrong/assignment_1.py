"""Wrong answers to assignment 1, as students hand them in: `TASK__MISTAKE`, see `wrong_answers`."""

import numpy as np
import torch
from torch.nn import functional as F


def cam__relu_too_early(features, weight):
    return torch.relu(torch.einsum("cd,bdhw->bchw", weight, features))


def cam__pooled_too_early(features, weight):
    pooled = features.mean((2, 3))
    return (pooled @ weight.T)[:, :, None, None].expand(-1, -1, *features.shape[2:])


def cam__batch_mean(features, weight):
    maps = torch.einsum("cd,dhw->chw", weight, features.mean(0))
    return maps.expand(len(features), -1, -1, -1)


def cam__mean_for_sum(features, weight):
    return (weight[None, :, :, None, None] * features[:, None]).mean(2)


def cam__transposed_weight(features, weight):
    return torch.einsum("dc,bdhw->bchw", weight, features)


def cam__raises(features, weight):
    return weight @ features[:, :, 0, 0]


def cam__normalised_map(features, weight):
    maps = torch.einsum("cd,bdhw->bchw", weight, features)
    low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
    return (maps - low) / (high - low)


def cam__type(features, weight):
    return np.einsum("cd,bdhw->bchw", weight.numpy(), features.numpy())


def cam__axes_swapped(features, weight):
    return torch.einsum("cd,bdhw->bhwc", weight, features)


def cam__hidden_state(features, weight, seen=[]):  # noqa: B006
    seen.append(1)
    return torch.einsum("cd,bdhw->bchw", weight, features) + len(seen)


def cam__signature(features):
    return features


def cam__not_written(features, weight):
    raise NotImplementedError


def cam__sign(features, weight):
    return -torch.einsum("cd,bdhw->bchw", weight, features)


def evidence_maps__bias_forgotten(features, weight, bias):
    return torch.einsum("cd,bdhw->bchw", weight, features)


def evidence_maps__bias_shared_out(features, weight, bias):
    maps = torch.einsum("cd,bdhw->bchw", weight, features)
    cells = maps.shape[2] * maps.shape[3]
    return maps + (bias / cells)[None, :, None, None]


def evidence_maps__bias_in_one_cell(features, weight, bias):
    maps = torch.einsum("cd,bdhw->bchw", weight, features)
    maps[:, :, 0, 0] += bias
    return maps


def evidence_maps__bias_per_channel(features, weight, bias):
    products = weight[None, :, :, None, None] * features[:, None] + bias[:, None, None, None]
    return products.sum(2)


def evidence_maps__in_place(features, weight, bias):
    maps = torch.einsum("cd,bdhw->bchw", weight, features) + bias[:, None, None]
    features *= 0
    return maps


def evidence_maps__relu_too_early(features, weight, bias):
    return F.relu(torch.einsum("cd,bdhw->bchw", weight, features) + bias[:, None, None])


def evidence_maps__softmax_too_early(features, weight, bias):
    return (torch.einsum("cd,bdhw->bchw", weight, features) + bias[:, None, None]).softmax(1)


def evidence_maps__returns_none(features, weight, bias):
    torch.einsum("cd,bdhw->bchw", weight, features) + bias[:, None, None]


def evidence_maps__raises_sometimes(features, weight, bias):
    return torch.einsum("cd,bdhw->bchw", weight, features) + bias  # w is C, or it does not fit


def logits_from_maps__sum_for_mean(maps):
    return maps.sum((2, 3))


def logits_from_maps__max_for_mean(maps):
    return maps.amax((2, 3))


def logits_from_maps__wrong_axis(maps):
    return maps.mean((0, 1))


def logits_from_maps__wrong_axis__2(maps):
    return maps.mean((1, 2))


def logits_from_maps__one_axis_only(maps):
    return maps.mean(-1)


def logits_from_maps__relu_too_early(maps):
    return maps.clamp(min=0).mean((2, 3))


def logits_from_maps__batch_mean(maps):
    return maps.mean((0, 2, 3))


def logits_from_maps__probabilities(maps):
    return maps.mean((2, 3)).softmax(1)


def logits_from_maps__type(maps):
    return maps.mean((2, 3)).tolist()


def logits_from_maps__shape(maps):
    return maps.mean((2, 3), keepdim=True)


def logits_from_maps__factor(maps):
    return maps.sum((2, 3)) / 16  # the size of the maps in the notebook


def logits_from_maps__raises_sometimes(maps):
    images, classes = maps.shape[:2]
    return maps.reshape(images, classes, 16).mean(2)


def map_by_hand__bias_forgotten(numbers):
    maps = torch.einsum("cd,dhw->chw", numbers["weight"], numbers["features"])
    place = divmod(int(maps[1].argmax()), 4)
    return {"map": maps[1], "logits": maps.mean((1, 2)), "hottest": place}


def map_by_hand__sum_for_mean(numbers):
    maps = torch.einsum("cd,dhw->chw", numbers["weight"], numbers["features"])
    maps = maps + numbers["bias"][:, None, None]
    place = divmod(int(maps[1].argmax()), 4)
    return {"map": maps[1], "logits": maps.sum((1, 2)), "hottest": place}


def map_by_hand__wrong_class(numbers):
    maps = torch.einsum("cd,dhw->chw", numbers["weight"], numbers["features"])
    maps = maps + numbers["bias"][:, None, None]
    place = divmod(int(maps[0].argmax()), 4)
    return {"map": maps[0], "logits": maps.mean((1, 2)), "hottest": place}


def map_by_hand__row_and_column_swapped(numbers):
    maps = torch.einsum("cd,dhw->chw", numbers["weight"], numbers["features"])
    maps = maps + numbers["bias"][:, None, None]
    row, column = divmod(int(maps[1].argmax()), 4)
    return {"map": maps[1], "logits": maps.mean((1, 2)), "hottest": (column, row)}


def map_by_hand__not_written(numbers):
    return {"map": None, "logits": None, "hottest": None}


def map_by_hand__shape(numbers):
    return {"map": numbers["features"], "logits": [0, 0], "hottest": (0, 0)}


def upsample__corners_aligned(maps, size):
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=True)


def upsample__nearest(maps, size):
    return F.interpolate(maps, size=size)


def upsample__size_swapped(maps, size):
    return F.interpolate(maps, size=(size[1], size[0]), mode="bilinear")


def upsample__bicubic(maps, size):
    return F.interpolate(maps, size=size, mode="bicubic")


def upsample__half_pixel_error(maps, size):
    rows = (torch.arange(size[0]) * maps.shape[2] / size[0]).clamp(max=maps.shape[2] - 1)
    columns = (torch.arange(size[1]) * maps.shape[3] / size[1]).clamp(max=maps.shape[3] - 1)
    top, left = rows.long(), columns.long()
    bottom = (top + 1).clamp(max=maps.shape[2] - 1)
    right = (left + 1).clamp(max=maps.shape[3] - 1)
    y, x = (rows - top)[:, None], columns - left
    upper = maps[:, :, top][..., left] * (1 - x) + maps[:, :, top][..., right] * x
    lower = maps[:, :, bottom][..., left] * (1 - x) + maps[:, :, bottom][..., right] * x
    return upper * (1 - y) + lower * y
