"""Wrong answers to assignment 4, as students hand them in: `TASK__MISTAKE`, see `wrong_answers`."""

import math

import torch
from torch.nn import functional as F


def _large(maps, findings, mode="bilinear"):
    return F.interpolate(maps[:, None], size=findings.shape[1:], mode=mode)[:, 0]


def _hits(large, findings):
    marked = findings.flatten(1)
    flat = large.flatten(1)
    hit = marked[torch.arange(len(flat)), flat.argmax(1)]
    return hit & (flat.amax(1) > flat.amin(1))


def pointing_accuracy__empty_images_counted(maps, findings):
    return _hits(_large(maps, findings), findings).float().mean()


def pointing_accuracy__constant_is_hit(maps, findings):
    flat, marked = _large(maps, findings).flatten(1), findings.flatten(1)
    hit = marked[torch.arange(len(flat)), flat.argmax(1)]
    return hit[marked.any(1)].float().mean()


def pointing_accuracy__abs_for_maximum(maps, findings):
    hit = _hits(_large(maps.abs(), findings), findings)
    return hit[findings.flatten(1).any(1)].float().mean()


def pointing_accuracy__nearest(maps, findings):
    hit = _hits(_large(maps, findings, "nearest"), findings)
    return hit[findings.flatten(1).any(1)].float().mean()


def pointing_accuracy__any_maximum(maps, findings):
    large = _large(maps, findings)
    top = large.amax((1, 2), keepdim=True)
    hit = ((large == top) & findings).flatten(1).any(1) & (top > large.amin((1, 2), True)).flatten()
    return hit[findings.flatten(1).any(1)].float().mean()


def pointing_accuracy__not_enlarged(maps, findings):
    high, wide = findings.shape[1] // maps.shape[1], findings.shape[2] // maps.shape[2]
    hits = []
    for cells, marked in zip(maps, findings, strict=True):
        if marked.any():
            row, column = divmod(int(cells.argmax()), maps.shape[2])
            block = marked[row * high : (row + 1) * high, column * wide : (column + 1) * wide]
            hits.append(bool(block.any()))
    return sum(hits) / len(hits)


def pointing_accuracy__percent(maps, findings):
    hit = _hits(_large(maps, findings), findings)
    return 100 * hit[findings.flatten(1).any(1)].float().mean()


def pointing_accuracy__type(maps, findings):
    return _hits(_large(maps, findings), findings).float()


def activation_precision__relu_too_early(maps, findings):
    positive = _large(maps.clamp(min=0), findings)
    positive = positive - positive.amin((1, 2), keepdim=True)
    total = positive.sum((1, 2))
    share = (positive * findings).sum((1, 2)) / total
    return share.masked_fill((total == 0) | ~findings.flatten(1).any(1), math.nan)


def activation_precision__relu_forgotten(maps, findings):
    large = _large(maps, findings)
    share = (large * findings).sum((1, 2)) / large.sum((1, 2))
    return share.masked_fill(~findings.flatten(1).any(1), math.nan)


def activation_precision__zero_for_nan(maps, findings):
    positive = _large(maps, findings).clamp(min=0)
    positive = positive - positive.amin((1, 2), keepdim=True)
    return (positive * findings).sum((1, 2)) / (positive.sum((1, 2)) + 1e-12)


def activation_precision__minimum_forgotten(maps, findings):
    positive = _large(maps, findings).clamp(min=0)
    share = (positive * findings).sum((1, 2)) / positive.sum((1, 2))
    return share.masked_fill(~findings.flatten(1).any(1), math.nan)


def activation_precision__sensitivity(maps, findings):
    positive = _large(maps, findings).clamp(min=0)
    return (positive * findings).sum((1, 2)) / findings.sum((1, 2))


def activation_precision__normalised_map(maps, findings):
    large = _large(maps, findings)
    low, high = large.amin((1, 2), keepdim=True), large.amax((1, 2), keepdim=True)
    scaled = (large - low) / (high - low)
    share = (scaled * findings).sum((1, 2)) / scaled.sum((1, 2))
    return share.masked_fill(~findings.flatten(1).any(1), math.nan)


def activation_precision__abs_for_relu(maps, findings):
    size = _large(maps, findings).abs()
    share = (size * findings).sum((1, 2)) / size.sum((1, 2))
    return share.masked_fill(~findings.flatten(1).any(1), math.nan)


def activation_precision__pixels_counted(maps, findings):
    positive = _large(maps, findings) > 0
    share = (positive & findings).sum((1, 2)) / positive.sum((1, 2))
    return share.masked_fill(~findings.flatten(1).any(1), math.nan)


def activation_precision__nearest(maps, findings):
    positive = _large(maps, findings, "nearest").clamp(min=0)
    positive = positive - positive.amin((1, 2), keepdim=True)
    total = positive.sum((1, 2))
    share = (positive * findings).sum((1, 2)) / total
    return share.masked_fill((total == 0) | ~findings.flatten(1).any(1), math.nan)


def activation_precision__batch_mean(maps, findings):
    positive = _large(maps, findings).clamp(min=0)
    positive = positive - positive.amin((1, 2), keepdim=True)
    share = (positive * findings).sum((1, 2)) / positive.sum((1, 2))
    return share[findings.flatten(1).any(1)].nanmean()


def pointing_chance__empty_images_counted(findings):
    return findings.float().mean()


def pointing_chance__pixels_for_share(findings):
    area = findings.float().sum((1, 2))
    return area[area > 0].mean()


def pointing_chance__one_pixel(findings):
    return 1 / findings[0].numel()


def pointing_chance__box_for_finding(findings):
    shares = []
    for marked in findings:
        if marked.any():
            rows, columns = marked.any(1).nonzero(), marked.any(0).nonzero()
            box = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
            shares.append(box / marked.numel())
    return sum(shares) / len(shares)


def pointing_chance__type(findings):
    share = findings.float().mean((1, 2))
    return share[share > 0]


def pooled_finding__max_for_mean(findings, shape):
    return F.adaptive_max_pool2d(findings.float()[:, None], shape)[:, 0]


def pooled_finding__subsampled(findings, shape):
    return F.interpolate(findings.float()[:, None], size=shape)[:, 0]


def pooled_finding__subsampled__2(findings, shape):
    return F.interpolate(findings.float()[:, None], size=shape, mode="bilinear")[:, 0]


def pooled_finding__binarised(findings, shape):
    return F.adaptive_avg_pool2d(findings.float()[:, None], shape)[:, 0].round()


def pooled_finding__size_swapped(findings, shape):
    return F.adaptive_avg_pool2d(findings.float()[:, None], shape)[:, 0].transpose(1, 2)


def pooled_finding__sum_for_mean(findings, shape):
    high, wide = findings.shape[1] // shape[0], findings.shape[2] // shape[1]
    return F.avg_pool2d(findings.float()[:, None], (high, wide), divisor_override=1)[:, 0]


def pooled_finding__type(findings, shape):
    high, wide = findings.shape[1] // shape[0], findings.shape[2] // shape[1]
    return F.max_pool2d(findings.float()[:, None], (high, wide))[:, 0] > 0


def between_floor_and_ceiling__clipped(value, floor, ceiling):
    if ceiling <= floor:
        return math.nan
    return min(max((value - floor) / (ceiling - floor), 0), 1)


def between_floor_and_ceiling__floor_forgotten(value, floor, ceiling):
    return value / ceiling


def between_floor_and_ceiling__nan_forgotten(value, floor, ceiling):
    if ceiling == floor:
        return math.nan
    return (value - floor) / (ceiling - floor)


def between_floor_and_ceiling__raises_sometimes(value, floor, ceiling):
    assert floor <= value <= ceiling
    return (value - floor) / (ceiling - floor) if ceiling > floor else math.nan


def between_floor_and_ceiling__order_swapped(value, floor, ceiling):
    if ceiling <= floor:
        return math.nan
    return (ceiling - value) / (ceiling - floor)


def _three(numbers):
    cells, marked = numbers["map"], numbers["finding"]
    positive = cells.clamp(min=0)
    return {
        "pointing": marked.flatten()[cells.argmax()],
        "precision": positive[marked].sum() / positive.sum(),
        "chance": marked.float().mean(),
    }


def measures_by_hand__relu_forgotten(numbers):
    cells, marked = numbers["map"], numbers["finding"]
    return {**_three(numbers), "precision": cells[marked].sum() / cells.sum()}


def measures_by_hand__sensitivity(numbers):
    positive = numbers["map"].clamp(min=0)
    return {**_three(numbers), "precision": positive[numbers["finding"]].mean()}


def measures_by_hand__abs_for_maximum(numbers):
    marked = numbers["finding"].flatten()
    return {**_three(numbers), "pointing": marked[numbers["map"].abs().argmax()]}


def measures_by_hand__one_pixel(numbers):
    return {**_three(numbers), "chance": 1 / 16}


def measures_by_hand__type(numbers):
    return {**_three(numbers), "chance": "a third"}
