"""The margin families by the formulas of their papers, for comparison."""

import math

import torch


def _arc(cosine, margin):
    """cos(theta + m) with the continuation beyond pi - m."""
    angle = cosine.acos()
    continued = cosine - margin * torch.sin(torch.as_tensor(margin))
    return torch.where(
        angle + margin < math.pi, (angle + margin).cos(), continued
    )


class Family:
    """The formulas of the papers; by default ArcFace."""

    config = dict(type='mmdense.ArcFaceLoss', scale=64.0, margin=0.5)
    filter_threshold = None
    start: dict = {}

    def __init__(self):
        self.state = dict(self.start)
        self.scale = self.config['scale']

    def update(self, cosine, norm):
        pass

    def target(self, cosine, norm):
        return _arc(cosine, 0.5)

    def negatives(self, cosine, own):
        return cosine

    def regularizer(self, norm):
        return 0.0


class Combined(Family):
    config = dict(
        type='mmdense.CombinedMarginLoss', scale=24.0, m1=1.2, m2=0.2, m3=0.1
    )

    def target(self, cosine, norm):
        return (1.2 * cosine.acos() + 0.2).cos() - 0.1


class AdaFace(Family):
    config = dict(type='mmdense.AdaFaceLoss', scale=32.0, momentum=0.3)
    start = dict(norm_mean=20.0, norm_std=100.0)

    def update(self, cosine, norm):
        for name, value in dict(
            norm_mean=norm.mean(), norm_std=norm.std()
        ).items():
            self.state[name] += 0.3 * (value.item() - self.state[name])

    def target(self, cosine, norm):
        mean, std = self.state['norm_mean'], self.state['norm_std']
        z = (0.333 * (norm.detach() - mean) / (std + 1e-3)).clamp(-1, 1)
        return (cosine.acos() - 0.4 * z).cos() - (0.4 + 0.4 * z)


class Curricular(Family):
    config = dict(type='mmdense.CurricularFaceLoss', momentum=0.3, scale=64.0)
    start = dict(t=0.0)

    def update(self, cosine, norm):
        self.state['t'] += 0.3 * (cosine.mean().item() - self.state['t'])

    def negatives(self, cosine, own):
        hard = cosine > (own.acos() + 0.5).cos()[:, None]
        return torch.where(hard, cosine * (self.state['t'] + cosine), cosine)


class LateCurricular(Curricular):
    """Near the end of training: logits of up to 64 (t + 1)."""

    start = dict(t=0.99)


class MVArc(Family):
    config = dict(
        type='mmdense.MVSoftmaxLoss', scale=60.0, margin=0.3, variant='arc'
    )

    def target(self, cosine, norm):
        return torch.where(cosine > 0, (cosine.acos() + 0.3).cos(), cosine)

    def negatives(self, cosine, own):
        hard = cosine > (own.acos() + 0.3).cos()[:, None]
        return torch.where(hard, 1.12 * cosine + 0.12, cosine)


class MVAmFiltered(Family):
    """What is filtered counts as cosine 0 for the margin too."""

    config = dict(type='mmdense.MVSoftmaxLoss', scale=24.0, margin=0.3)
    filter_threshold = 0.3

    def target(self, cosine, norm):
        return torch.where(cosine > 0.3, cosine - 0.3, cosine)

    def negatives(self, cosine, own):
        hard = cosine > (own - 0.3)[:, None]
        return torch.where(hard, 1.12 * cosine + 0.12, cosine)


class MagFace(Family):
    # A range that some of the norms of the test leave, at both ends.
    config = dict(
        type='mmdense.MagFaceLoss',
        scale=64.0,
        norm_range=(5.0, 8.0),
        easy_margin=False,
    )

    def target(self, cosine, norm):
        margin = 0.35 / 3 * (norm.clamp(5, 8) - 5) + 0.45
        return _arc(cosine, margin)

    def regularizer(self, norm):
        a = norm.clamp(5, 8)
        return 35 * (a / 64 + 1 / a).mean()


class SubCenters(Family):
    config = dict(
        type='mmdense.SubCenterArcFaceLoss', scale=64.0, num_subcenters=3
    )


class SubCentersFiltered(SubCenters):
    filter_threshold = 0.25


FAMILIES = [
    Family, Combined, AdaFace, Curricular, LateCurricular, MVArc,
    MVAmFiltered, MagFace, SubCenters, SubCentersFiltered,
]  # fmt: skip
