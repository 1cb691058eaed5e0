"""Wrong answers to assignment 5, as students hand them in: `TASK__MISTAKE`, see `wrong_answers`."""

import math

import torch
from torch.nn import functional as F


def _marked(masks, shape):
    return F.adaptive_avg_pool2d(masks.float()[:, None], shape)[:, 0]


def share_inside__abs_forgotten(maps, masks):
    return (maps * _marked(masks, maps.shape[1:])).sum((1, 2)) / maps.sum((1, 2))


def share_inside__abs_too_late(maps, masks):
    inside = (maps * _marked(masks, maps.shape[1:])).sum((1, 2))
    return (inside / maps.sum((1, 2))).abs()


def share_inside__relu_too_early(maps, masks):
    positive = maps.clamp(min=0)
    return (positive * _marked(masks, maps.shape[1:])).sum((1, 2)) / positive.sum((1, 2))


def share_inside__touched_cells(maps, masks):
    touched = F.adaptive_max_pool2d(masks.float()[:, None], maps.shape[1:])[:, 0]
    return (maps.abs() * touched).sum((1, 2)) / maps.abs().sum((1, 2))


def share_inside__upsampled_first(maps, masks):
    large = F.interpolate(maps[:, None], size=masks.shape[1:], mode="bilinear")[:, 0].abs()
    return (large * masks).sum((1, 2)) / large.sum((1, 2))


def share_inside__not_divided(maps, masks):
    return (maps.abs() * _marked(masks, maps.shape[1:])).sum((1, 2))


def share_inside__batch_mean(maps, masks):
    share = (maps.abs() * _marked(masks, maps.shape[1:])).sum() / maps.abs().sum()
    return share.expand(len(maps))


def share_inside__zero_for_nan(maps, masks):
    inside = (maps.abs() * _marked(masks, maps.shape[1:])).sum((1, 2))
    return inside / maps.abs().sum((1, 2)).clamp(min=1e-12)


def share_inside__raises(maps, masks):
    return (maps.abs() * masks).sum((1, 2)) / maps.abs().sum((1, 2))


def evidence_inside__sum_for_mean(maps, masks):
    return (maps * _marked(masks, maps.shape[1:])).sum((1, 2))


def evidence_inside__mean_inside(maps, masks):
    marked = _marked(masks, maps.shape[1:])
    return (maps * marked).sum((1, 2)) / marked.sum((1, 2)).clamp(min=1e-6)


def evidence_inside__touched_cells(maps, masks):
    touched = F.adaptive_max_pool2d(masks.float()[:, None], maps.shape[1:])[:, 0]
    return (maps * touched).mean((1, 2))


def evidence_inside__sign_lost(maps, masks):
    return (maps.abs() * _marked(masks, maps.shape[1:])).mean((1, 2))


def evidence_inside__relu_too_early(maps, masks):
    return (torch.relu(maps) * _marked(masks, maps.shape[1:])).mean((1, 2))


def evidence_inside__upsampled_first(maps, masks):
    large = F.interpolate(maps[:, None], size=masks.shape[1:], mode="bilinear")[:, 0]
    return (large * masks).mean((1, 2))


def twin_effect__raw_logit(logits, twin_logits, targets):
    rows = torch.arange(len(logits))
    return logits[rows, targets] - twin_logits[rows, targets]


def _margin(logits, targets):
    rest = logits.scatter(1, targets[:, None], -math.inf)
    return logits.gather(1, targets[:, None])[:, 0] - rest.amax(1)


def twin_effect__other_chosen_again(logits, twin_logits, targets):
    return _margin(logits, targets) - _margin(twin_logits, targets)


def twin_effect__target_among_others(logits, twin_logits, targets):
    rows, top = torch.arange(len(logits)), logits.argmax(1)
    margin = logits[rows, targets] - logits[rows, top]
    return margin - (twin_logits[rows, targets] - twin_logits[rows, top])


def twin_effect__centred(logits, twin_logits, targets):
    rows, change = torch.arange(len(logits)), logits - twin_logits
    return change[rows, targets] - change.mean(1)


def twin_effect__probabilities(logits, twin_logits, targets):
    rows = torch.arange(len(logits))
    return logits.softmax(1)[rows, targets] - twin_logits.softmax(1)[rows, targets]


def _effect(logits, twin_logits, targets):
    rows = torch.arange(len(logits))
    other = logits.scatter(1, targets[:, None], -math.inf).argmax(1)
    change = logits - twin_logits
    return change[rows, targets] - change[rows, other]


def twin_effect__sign(logits, twin_logits, targets):
    return -_effect(logits, twin_logits, targets)


def twin_effect__abs_of_effect(logits, twin_logits, targets):
    return _effect(logits, twin_logits, targets).abs()


def twin_effect__batch_mean(logits, twin_logits, targets):
    return _effect(logits, twin_logits, targets).mean()


def twin_effect__target_ignored(logits, twin_logits, targets):
    return _effect(logits, twin_logits, logits.argmax(1))


def twin_effect__in_place(logits, twin_logits, targets):
    rows, before = torch.arange(len(logits)), logits.clone()
    logits[rows, targets] = -math.inf
    change, other = before - twin_logits, logits.argmax(1)
    return change[rows, targets] - change[rows, other]


def which_cheats__raw_map_read(a, b, markers):
    change = [(each["maps"] - each["twin_maps"])[:, 1].mean((1, 2)).abs().mean() for each in (a, b)]
    return "a" if change[0] > change[1] else "b"


def _share(model, markers):
    maps = model["maps"][:, 1] - model["maps"][:, 0]
    inside = (maps.abs() * _marked(markers, maps.shape[1:])).sum((1, 2))
    return (inside / maps.abs().sum((1, 2))).mean()


def which_cheats__map_only(a, b, markers):
    return "a" if _share(a, markers) > _share(b, markers) else "b"


def _mean_effect(model):
    logits, twins = model["maps"].mean((2, 3)), model["twin_maps"].mean((2, 3))
    return ((logits - twins)[:, 1] - (logits - twins)[:, 0]).mean()


def which_cheats__sign_of_effect(a, b, markers):
    return "a" if _mean_effect(a) > _mean_effect(b) else "b"


def which_cheats__honest_for_cheating(a, b, markers):
    return "b" if _mean_effect(a).abs() > _mean_effect(b).abs() else "a"


def which_cheats__always_a(a, b, markers):
    return "a"


def which_cheats__type(a, b, markers):
    return bool(_mean_effect(a) > _mean_effect(b))


def _verdict(numbers):
    answers = {}
    for name in ("a", "b"):
        model = {"maps": numbers[f"maps_{name}"], "twin_maps": numbers[f"twin_maps_{name}"]}
        answers[f"share_{name}"] = _share(model, numbers["markers"])
        answers[f"effect_{name}"] = _mean_effect(model)
    answers["cheats"] = "a" if answers["effect_a"] > answers["effect_b"] else "b"
    return answers


def verdict__raw_logit(numbers):
    answers = _verdict(numbers)
    for name in ("a", "b"):
        change = (numbers[f"maps_{name}"] - numbers[f"twin_maps_{name}"]).mean((2, 3))
        answers[f"effect_{name}"] = change[:, 1].mean()
    return answers


def verdict__honest_for_cheating(numbers):
    answers = _verdict(numbers)
    return {**answers, "cheats": "b" if answers["cheats"] == "a" else "a"}


def verdict__percent(numbers):
    answers = _verdict(numbers)
    for key in ("share_a", "share_b"):
        answers[key] = 100 * answers[key]
    return answers


def verdict__sign(numbers):
    answers = _verdict(numbers)
    for key in ("effect_a", "effect_b"):
        answers[key] = -answers[key]
    return answers


def verdict__value(numbers):
    return {**_verdict(numbers), "share_a": 0.5}
