"""Wrong answers to assignment 2, as students hand them in: `TASK__MISTAKE`, see `wrong_answers`."""

import copy

import torch
from torch import nn


def conv_from_linear__bias_forgotten(linear):
    conv = nn.Conv2d(linear.in_features, linear.out_features, 1, bias=False)
    conv.weight.data = linear.weight.data.clone()[:, :, None, None]
    return conv


def conv_from_linear__weights_not_copied(linear):
    return nn.Conv2d(linear.in_features, linear.out_features, 1, bias=linear.bias is not None)


def conv_from_linear__transposed_weight(linear):
    conv = nn.Conv2d(linear.out_features, linear.in_features, 1)
    conv.weight.data = linear.weight.data.T.clone()[:, :, None, None]
    return conv


def conv_from_linear__shared_weights(linear):
    conv = nn.Conv2d(linear.in_features, linear.out_features, 1, bias=linear.bias is not None)
    conv.weight.data = linear.weight.data[:, :, None, None]
    if linear.bias is not None:
        conv.bias = linear.bias
    return conv


def conv_from_linear__type(linear):
    return linear.weight[:, :, None, None]


def conv_from_linear__kernel(linear):
    conv = nn.Conv2d(linear.in_features, linear.out_features, 3, padding=1)
    return conv


def conv_from_linear__frozen(linear):
    conv = nn.Conv2d(linear.in_features, linear.out_features, 1, bias=linear.bias is not None)
    conv.weight.data = linear.weight.data.clone()[:, :, None, None]
    if linear.bias is not None:
        conv.bias.data = linear.bias.data.clone()
    return conv.requires_grad_(False)


def conv_from_linear__raises(linear):
    conv = nn.Conv2d(linear.in_features, linear.out_features, 1)
    conv.weight.copy_(linear.weight)
    return conv


def conv_from_linear__bias_not_copied(linear):
    conv = nn.Conv2d(linear.in_features, linear.out_features, 1, bias=linear.bias is not None)
    conv.weight.data = linear.weight.data.clone()[:, :, None, None]
    return conv


def features_of__pooled(net, images):
    return nn.Sequential(*list(net.children())[:-1])(images).flatten(1)


def features_of__too_early(net, images):
    return nn.Sequential(*list(net.children())[:-3])(images)


def features_of__logits(net, images):
    return net(images)


def features_of__original_changed(net, images):
    net.fc = nn.Identity()
    return nn.Sequential(*list(net.children())[:-2])(images)


def features_of__original_changed__2(net, images):
    seen = []
    net.layer2.register_forward_hook(lambda module, inputs, output: seen.append(output))
    net(images)
    return seen[0]


def features_of__raises_sometimes(net, images):
    seen = []
    handle = net.avgpool.register_forward_hook(
        lambda module, inputs, output: seen.append(inputs[0])
    )
    net(images)
    handle.remove()
    return seen[0]


def features_of__type(net, images):
    return list(net.children())[:-2]


class Model(nn.Module):
    """What most of the wrong answers below return, with a fault each."""

    def __init__(self, net, pool=lambda maps: maps.mean((2, 3)), copies=True, bias=True):
        super().__init__()
        net = copy.deepcopy(net) if copies else net
        self.backbone = nn.Sequential(*list(net.children())[:-2])
        self.evidence = nn.Conv2d(net.fc.in_features, net.fc.out_features, 1)
        self.evidence.weight.data = net.fc.weight.data.clone()[:, :, None, None]
        self.evidence.bias.data = net.fc.bias.data.clone() * bias
        self.pool = pool

    def forward(self, images):
        maps = self.evidence(self.backbone(images))
        return self.pool(maps), maps


def to_softcam__sum_for_mean(net):
    return Model(net, lambda maps: maps.sum((2, 3)))


def to_softcam__bias_forgotten(net):
    return Model(net, bias=False)


def to_softcam__max_for_mean(net):
    return Model(net, lambda maps: maps.amax((2, 3)))


def to_softcam__shared_weights(net):
    return Model(net, copies=False)


def to_softcam__probabilities(net):
    return Model(net, lambda maps: maps.mean((2, 3)).softmax(1))


def to_softcam__batch_mean(net):
    return Model(net, lambda maps: maps.mean((0, 2, 3)).expand(len(maps), -1))


def to_softcam__weights_not_copied(net):
    model = Model(net)
    model.evidence = nn.Conv2d(net.fc.in_features, net.fc.out_features, 1)
    return model


def to_softcam__original_changed(net):
    model = Model(net)
    net.fc = nn.Identity()
    return model


def to_softcam__original_changed__2(net):
    model = Model(net)
    net.train(not net.training)
    return model


def to_softcam__relu_too_early(net):
    model = Model(net)
    model.evidence = nn.Sequential(model.evidence, nn.ReLU())
    return model


def to_softcam__one_output(net):
    model = Model(net)
    return nn.Sequential(model.backbone, model.evidence)


def to_softcam__order_swapped(net):
    class Swapped(Model):
        def forward(self, images):
            return super().forward(images)[::-1]

    return Swapped(net)


def to_softcam__not_registered(net):
    class Listed(Model):
        def __init__(self, net):
            super().__init__(net)
            self.layers = [self.backbone]
            del self.backbone

        def forward(self, images):
            maps = self.evidence(self.layers[0](images))
            return maps.mean((2, 3)), maps

    return Listed(net)


def to_softcam__only_one_size(net):
    return Model(net, lambda maps: nn.functional.avg_pool2d(maps, 4).reshape(len(maps), -1))


def to_softcam__detached_gradient(net):
    class Frozen(Model):
        @torch.no_grad()
        def forward(self, images):
            return super().forward(images)

    return Frozen(net)


def to_softcam__type(net):
    model = Model(net)
    return lambda images: model(images)


def to_softcam__no_forward(net):
    class Empty(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = copy.deepcopy(net)

    return Empty(net)


def to_softcam__not_written(net):
    raise NotImplementedError


def logit_difference__abs_forgotten(net, softcam, images):
    modes = net.training, softcam.training
    net.eval(), softcam.eval()
    difference = (net(images) - softcam(images)[0]).max().item()
    net.train(modes[0]), softcam.train(modes[1])
    return difference


def logit_difference__mean_for_max(net, softcam, images):
    modes = net.training, softcam.training
    net.eval(), softcam.eval()
    difference = (net(images) - softcam(images)[0]).abs().mean()
    net.train(modes[0]), softcam.train(modes[1])
    return difference


def logit_difference__train_mode(net, softcam, images):
    net, softcam = copy.deepcopy(net), copy.deepcopy(softcam)
    return float((net(images) - softcam(images)[0]).abs().max())


def logit_difference__original_changed(net, softcam, images):
    net.eval(), softcam.eval()
    return float((net(images) - softcam(images)[0]).abs().max())


def logit_difference__probabilities(net, softcam, images):
    net, softcam = copy.deepcopy(net).eval(), copy.deepcopy(softcam).eval()
    return float((net(images).softmax(1) - softcam(images)[0].softmax(1)).abs().max())


def logit_difference__type(net, softcam, images):
    net, softcam = copy.deepcopy(net).eval(), copy.deepcopy(softcam).eval()
    return (net(images) - softcam(images)[0]).abs().amax(1)


def logit_difference__raises(net, softcam, images):
    return float((net(images) - softcam(images)).abs().max())
