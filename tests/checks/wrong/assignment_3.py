"""Wrong answers to assignment 3, as students hand them in: `TASK__MISTAKE`, see `wrong_answers`."""

import torch


def elastic_net__squared_norm(maps, lambda1, lambda2):
    flat = maps.flatten(1)
    return (lambda1 * flat.abs().sum(1) + lambda2 * (flat**2).sum(1)).mean()


def elastic_net__mean_for_sum(maps, lambda1, lambda2):
    flat = maps.flatten(1)
    return (lambda1 * flat.abs().mean(1) + lambda2 * flat.norm(dim=1)).mean()


def elastic_net__sum_over_batch(maps, lambda1, lambda2):
    flat = maps.flatten(1)
    return (lambda1 * flat.abs().sum(1) + lambda2 * flat.norm(dim=1)).sum()


def elastic_net__first_image_only(maps, lambda1, lambda2):
    return lambda1 * torch.norm(maps[0], 1) + lambda2 * torch.norm(maps[0], 2)


def elastic_net__norm_of_batch(maps, lambda1, lambda2):
    return lambda1 * maps.norm(1) + lambda2 * maps.norm(2)


def elastic_net__norm_per_cell(maps, lambda1, lambda2):
    return ((lambda1 * maps.abs() + lambda2 * (maps**2).sqrt()).sum((1, 2, 3))).mean()


def elastic_net__norm_per_class(maps, lambda1, lambda2):
    norms = maps.flatten(2).norm(dim=2).sum(1)
    return (lambda1 * maps.abs().sum((1, 2, 3)) + lambda2 * norms).mean()


def elastic_net__abs_forgotten(maps, lambda1, lambda2):
    flat = maps.flatten(1)
    return (lambda1 * flat.sum(1) + lambda2 * flat.norm(dim=1)).mean()


def elastic_net__penalty_on_logits(maps, lambda1, lambda2):
    logits = maps.mean((2, 3))
    return (lambda1 * logits.abs().sum(1) + lambda2 * logits.norm(dim=1)).mean()


def elastic_net__lambdas_swapped(maps, lambda2, lambda1):
    flat = maps.flatten(1)
    return (lambda1 * flat.abs().sum(1) + lambda2 * flat.norm(dim=1)).mean()


def elastic_net__nan_gradient_at_zero(maps, lambda1, lambda2):
    flat = maps.flatten(1)
    return (lambda1 * flat.abs().sum(1) + lambda2 * (flat**2).sum(1).sqrt()).mean()


def elastic_net__detached_gradient(maps, lambda1, lambda2):
    flat = maps.detach().flatten(1)
    return (lambda1 * flat.abs().sum(1) + lambda2 * flat.norm(dim=1)).mean()


def elastic_net__raises_with_gradient(maps, lambda1, lambda2):
    flat = torch.from_numpy(maps.numpy()).flatten(1)
    return (lambda1 * flat.abs().sum(1) + lambda2 * flat.norm(dim=1)).mean()


def elastic_net__type(maps, lambda1, lambda2):
    flat = maps.flatten(1)
    return (lambda1 * flat.abs().sum(1) + lambda2 * flat.norm(dim=1)).mean().item()


def elastic_net__shape(maps, lambda1, lambda2):
    flat = maps.flatten(1)
    return lambda1 * flat.abs().sum(1) + lambda2 * flat.norm(dim=1)


def penalty_gradient__batch_forgotten(maps, lambda1, lambda2):
    norm = maps.flatten(1).norm(dim=1)[:, None, None, None].clamp(min=1e-12)
    return lambda1 * maps.sign() + lambda2 * maps / norm


def penalty_gradient__squared_norm(maps, lambda1, lambda2):
    return (lambda1 * maps.sign() + 2 * lambda2 * maps) / len(maps)


def penalty_gradient__norm_of_batch(maps, lambda1, lambda2):
    return (lambda1 * maps.sign() + lambda2 * maps / maps.norm().clamp(min=1e-12)) / len(maps)


def penalty_gradient__abs_for_sign(maps, lambda1, lambda2):
    norm = maps.flatten(1).norm(dim=1)[:, None, None, None].clamp(min=1e-12)
    return (lambda1 * maps.abs() + lambda2 * maps / norm) / len(maps)


def penalty_gradient__one_term_only(maps, lambda1, lambda2):
    return lambda1 * torch.sign(maps) / len(maps)


def penalty_gradient__nan_at_zero(maps, lambda1, lambda2):
    norm = maps.flatten(1).norm(dim=1)[:, None, None, None]
    return (lambda1 * maps.sign() + lambda2 * maps / norm) / len(maps)


def penalty_gradient__nan_at_zero__2(maps, lambda1, lambda2):
    norm = (maps**2).sum((1, 2, 3), keepdim=True).sqrt()
    return (lambda1 * maps / maps.abs().clamp(min=1e-12) + lambda2 * maps / norm) / len(maps)


def penalty_gradient__sign(maps, lambda1, lambda2):
    norm = maps.flatten(1).norm(dim=1)[:, None, None, None].clamp(min=1e-12)
    return -(lambda1 * maps.sign() + lambda2 * maps / norm) / len(maps)


def smallest_l1__abs_too_early(maps):
    return maps.abs().sum((1, 2, 3))


def smallest_l1__cells_forgotten(maps):
    return maps.mean((2, 3)).abs().sum(1)


def smallest_l1__abs_forgotten(maps):
    return maps.sum((1, 2, 3))


def smallest_l1__classes_cancel(maps):
    return maps.sum((1, 2, 3)).abs()


def smallest_l1__classes_kept(maps):
    return maps.sum((2, 3)).abs()


def smallest_l1__batch_mean(maps):
    return maps.sum((2, 3)).abs().sum(1).mean()


def two_maps__sum_for_mean(logit, height, width):
    sparse = torch.zeros(height, width)
    sparse[0, 0] = logit
    return torch.full((height, width), float(logit)), sparse


def two_maps__order_swapped(logit, height, width):
    sparse = torch.zeros(height, width)
    sparse[0, 0] = logit * height * width
    return sparse, torch.full((height, width), float(logit))


def two_maps__not_dense(logit, height, width):
    sparse = torch.zeros(height, width)
    sparse[0, 0] = logit * height * width
    dense = torch.full((height, width), float(logit))
    dense[0, 0] += 1
    dense[-1, -1] -= 1
    return dense, sparse


def two_maps__not_sparse(logit, height, width):
    dense = torch.full((height, width), float(logit))
    sparse = torch.zeros(height, width)
    sparse[0] = logit * height
    return dense, sparse


def two_maps__sign_lost(logit, height, width):
    sparse = torch.zeros(height, width)
    sparse[0, 0] = abs(logit) * height * width
    return torch.full((height, width), abs(float(logit))), sparse


def two_maps__shape(logit, height, width):
    sparse = torch.zeros(width, height)
    sparse[0, 0] = logit * height * width
    return torch.full((width, height), float(logit)), sparse


def two_maps__type(logit, height, width):
    return torch.full((height, width), float(logit))


def hoyer_spread__sparseness(maps):
    flat = maps.flatten(2)
    ratio = flat.abs().sum(2) / flat.norm(dim=2).clamp(min=1e-12)
    root = flat.shape[2] ** 0.5
    return (root - ratio) / (root - 1)


def hoyer_spread__not_normalised(maps):
    flat = maps.flatten(2)
    return flat.abs().sum(2) / flat.norm(dim=2).clamp(min=1e-12)


def hoyer_spread__abs_forgotten(maps):
    flat = maps.flatten(2)
    norm = flat.norm(dim=2)
    spread = (flat.sum(2) / norm - 1) / (flat.shape[2] ** 0.5 - 1)
    return spread.masked_fill(norm == 0, 0)


def hoyer_spread__nan_at_zero(maps):
    flat = maps.flatten(2)
    return (flat.abs().sum(2) / flat.norm(dim=2) - 1) / (flat.shape[2] ** 0.5 - 1)


def hoyer_spread__zero_map(maps):
    flat = maps.flatten(2)
    ratio = flat.abs().sum(2) / (flat.norm(dim=2) + 1e-12)
    return (ratio - 1) / (flat.shape[2] ** 0.5 - 1)


def hoyer_spread__wrong_n(maps):
    flat = maps.flatten(2)
    norm = flat.norm(dim=2)
    spread = (flat.abs().sum(2) / norm - 1) / (maps[0].numel() ** 0.5 - 1)
    return spread.masked_fill(norm == 0, 0)


def hoyer_spread__squared_norm(maps):
    flat = maps.flatten(2)
    norm = (flat**2).sum(2)
    spread = (flat.abs().sum(2) / norm - 1) / (flat.shape[2] ** 0.5 - 1)
    return spread.masked_fill(norm == 0, 0)


def hoyer_spread__classes_together(maps):
    flat = maps.flatten(1)
    norm = flat.norm(dim=1)
    spread = (flat.abs().sum(1) / norm - 1) / (flat.shape[1] ** 0.5 - 1)
    return spread.masked_fill(norm == 0, 0)[:, None].repeat(1, maps.shape[1])


def _five(cells):
    l1, l2 = cells.abs().sum(), cells.norm()
    logit, least = cells.mean(), cells.sum().abs()
    return {"l1": l1, "l2": l2, "logit": logit, "smallest_l1": least, "spread": l1 / l2 - 1}


def penalty_by_hand__abs_forgotten(numbers):
    return {**_five(numbers["map"]), "l1": numbers["map"].sum()}


def penalty_by_hand__squared_norm(numbers):
    return {**_five(numbers["map"]), "l2": (numbers["map"] ** 2).sum()}


def penalty_by_hand__abs_too_early(numbers):
    return {**_five(numbers["map"]), "smallest_l1": numbers["map"].abs().sum()}


def penalty_by_hand__not_normalised(numbers):
    return {**_five(numbers["map"]), "spread": 1 + _five(numbers["map"])["spread"]}


def penalty_by_hand__type(numbers):
    return list(_five(numbers["map"]).values())


def penalty_by_hand__unknown_answer(numbers):
    return {**_five(numbers["map"]), "hoyer": 0.5}
