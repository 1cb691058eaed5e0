"""Wrong answers to assignment 6, as students hand them in: `TASK__MISTAKE`, see `wrong_answers`."""

import torch


def forge__prediction_changes(maps, wanted, c):
    forged = maps.clone()
    forged[:, c] = wanted
    return forged


def forge__all_alike(maps, wanted, c):
    return wanted.expand_as(maps).clone()


def forge__old_map_left(maps, wanted, c):
    return maps + wanted


def forge__wrong_class(maps, wanted, c):
    return maps + (wanted - maps[:, :1])


def forge__batch_mean(maps, wanted, c):
    return maps + (wanted - maps[:, c].mean(0))


def forge__logit_kept(maps, wanted, c):
    forged = maps.clone()
    forged[:, c] = wanted - wanted.mean() + maps[:, c].mean((1, 2), keepdim=True)
    return forged


def forge__in_place(maps, wanted, c):
    maps += (wanted - maps[:, c])[:, None]
    return maps


def forge__raises_sometimes(maps, wanted, c):
    return maps + (wanted - maps[:, c])


def shift_rows__one_row(weight, bias, vector, number):
    weight, bias = weight.clone(), bias.clone()
    weight[0] += vector
    bias[0] += number
    return weight, bias


def shift_rows__bias_forgotten(weight, bias, vector, number):
    return weight + vector, bias


def shift_rows__scaled(weight, bias, vector, number):
    return weight * number, bias * number


def shift_rows__transposed_weight(weight, bias, vector, number):
    return weight + vector[:, None], bias + number


def shift_rows__type(weight, bias, vector, number):
    return weight + vector


def shift_rows__order_swapped(weight, bias, vector, number):
    return bias + number, weight + vector


def shift_rows__in_place(weight, bias, vector, number):
    weight += vector
    bias += number
    return weight, bias


def smiley__mean_left(maps, pattern, c, strength):
    forged = maps.clone()
    forged[:, c] += strength * pattern
    return forged


def smiley__strength_forgotten(maps, pattern, c, strength):
    forged = maps.clone()
    forged[:, c] += pattern - pattern.mean()
    return forged


def smiley__strength_too_early(maps, pattern, c, strength):
    forged = maps.clone()
    forged[:, c] += strength * pattern - pattern.mean()
    return forged


def smiley__all_classes(maps, pattern, c, strength):
    return maps + strength * (pattern - pattern.mean())


def smiley__normalised_pattern(maps, pattern, c, strength):
    forged = maps.clone()
    forged[:, c] += strength * (pattern - pattern.mean()) / pattern.std(correction=0)
    return forged


def smiley__map_replaced(maps, pattern, c, strength):
    forged = maps.clone()
    forged[:, c] = strength * (pattern - pattern.mean())
    return forged


def smiley__wrong_axis(maps, pattern, c, strength):
    forged = maps.clone()
    forged[:, c] += strength * (pattern - pattern.mean(0))
    return forged


def smiley__first_image_only(maps, pattern, c, strength):
    forged = maps.clone()
    forged[0, c] += strength * (pattern - pattern.mean())
    return forged


def smiley__wrong_class(maps, pattern, c, strength):
    forged = maps.clone()
    forged[:, 0] += strength * (pattern - pattern.mean())
    return forged


def smiley__in_place(maps, pattern, c, strength):
    maps[:, c] += strength * (pattern - pattern.mean())
    return maps


def _change(shown, features, weight, bias):
    maps = torch.einsum("cd,bdhw->bchw", weight, features) + bias[:, None, None]
    return shown - maps


def expose__compares_predictions(shown, features, weight, bias):
    logits = torch.einsum("cd,bdhw->bchw", weight, features).mean((2, 3)) + bias
    same = torch.allclose(shown.mean((2, 3)).softmax(1), logits.softmax(1), atol=1e-3)
    return "honest" if same else "painted"


def expose__compares_logits(shown, features, weight, bias):
    change = _change(shown, features, weight, bias).mean((2, 3))
    return "honest" if change.abs().max() < 1e-3 else "painted"


def expose__exact_equality(shown, features, weight, bias):
    change = _change(shown, features, weight, bias)
    if (change == 0).all():
        return "honest"
    return "row shift" if (change - change.mean(1, keepdim=True) == 0).all() else "painted"


def expose__raw_only(shown, features, weight, bias):
    change = _change(shown, features, weight, bias)
    return "honest" if change.abs().max() < 1e-3 else "painted"


def expose__centred_only(shown, features, weight, bias):
    change = _change(shown, features, weight, bias)
    centred = change - change.mean(1, keepdim=True)
    return "honest" if centred.abs().max() < 1e-3 else "painted"


def expose__first_image_only(shown, features, weight, bias):
    change = _change(shown, features, weight, bias)[0]
    if change.abs().max() < 1e-3:
        return "honest"
    return "row shift" if (change - change.mean(0)).abs().max() < 1e-3 else "painted"


def expose__batch_mean(shown, features, weight, bias):
    change = _change(shown, features, weight, bias).mean(0)
    if change.abs().max() < 1e-3:
        return "honest"
    return "row shift" if (change - change.mean(0)).abs().max() < 1e-3 else "painted"


def expose__bias_forgotten(shown, features, weight, bias):
    change = shown - torch.einsum("cd,bdhw->bchw", weight, features)
    if change.abs().max() < 1e-3:
        return "honest"
    return "row shift" if (change - change.mean(1, True)).abs().max() < 1e-3 else "painted"


def expose__wrong_axis(shown, features, weight, bias):
    change = _change(shown, features, weight, bias)
    if change.abs().max() < 1e-3:
        return "honest"
    return "row shift" if (change - change.mean((2, 3), True)).abs().max() < 1e-3 else "painted"


def expose__always_honest(shown, features, weight, bias):
    return "honest"


def expose__type(shown, features, weight, bias):
    return bool(_change(shown, features, weight, bias).abs().max() < 1e-3)


def constant_share__level_left(maps):
    return (maps.mean(0) ** 2).sum((1, 2)) / (maps**2).sum((2, 3)).mean(0)


def constant_share__wrong_axis(maps):
    level = maps - maps.mean((2, 3), keepdim=True)
    total = (level**2).sum((2, 3)).mean(1)
    return ((level.mean(1) ** 2).sum((1, 2)) / total).nan_to_num()


def constant_share__squared_too_early(maps):
    level = maps - maps.mean((2, 3), keepdim=True)
    total = (level**2).sum((2, 3)).mean(0)
    return ((level**2).mean(0).sum((1, 2)) / total).nan_to_num()


def constant_share__nan_at_zero(maps):
    level = maps - maps.mean((2, 3), keepdim=True)
    return (level.mean(0) ** 2).sum((1, 2)) / (level**2).sum((2, 3)).mean(0)


def constant_share__sum_for_mean(maps):
    level = maps - maps.mean((2, 3), keepdim=True)
    return ((level.mean(0) ** 2).sum((1, 2)) / (level**2).sum((0, 2, 3))).nan_to_num()


def constant_share__complement(maps):
    level = maps - maps.mean((2, 3), keepdim=True)
    share = (level.mean(0) ** 2).sum((1, 2)) / (level**2).sum((2, 3)).mean(0)
    return 1 - share.nan_to_num()


def constant_share__wrong_mean(maps):
    level = maps - maps.mean((0, 2, 3), keepdim=True)
    return (level.mean(0) ** 2).sum((1, 2)) / (level**2).sum((2, 3)).mean(0)
