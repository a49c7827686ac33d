"""Plain float64 versions of what the package computes, for comparison.

Everything is dense, in one process, with autograd or loops.
"""

import math

import numpy as np
import torch


def cosface_target(cosine, margin):
    return cosine - margin


def arcface_target(cosine, margin):
    """cos(theta + m) with the continuation, by the angle itself."""
    angle = torch.acos(cosine)
    return torch.where(
        angle + margin < math.pi,
        torch.cos(angle + margin),
        cosine - margin * math.sin(margin),
    )


def dense_softmax(embeddings, centers, labels, scale, target, kept=None):
    """Margin softmax by definition; per-sample losses.

    Args:
        embeddings: (B, d) float64.
        centers: (C, d) float64.
        labels: (B,) classes.
        scale: s.
        target: Function from the target cosines to the target entries.
        kept: Classes in the softmax; all by default.
    """
    unit = embeddings / embeddings.norm(dim=1, keepdim=True)
    rows = centers / centers.norm(dim=1, keepdim=True)
    cosine = unit @ rows.T
    everyone = torch.arange(len(labels))
    logits = cosine.clone()
    logits[everyone, labels] = target(cosine[everyone, labels])
    logits = scale * logits
    if kept is not None:
        out = torch.ones(len(centers), dtype=torch.bool)
        out[kept] = False
        logits = logits.masked_fill(out, -math.inf)
    return torch.logsumexp(logits, 1) - logits[everyone, labels]


def dense_step(embeddings, centers, labels, scale, target, kept=None):
    """Mean loss and its gradients by embeddings and centers, as arrays."""
    embeddings = torch.as_tensor(embeddings, dtype=torch.float64)
    centers = torch.as_tensor(centers, dtype=torch.float64)
    embeddings = embeddings.clone().requires_grad_()
    centers = centers.clone().requires_grad_()
    labels = torch.as_tensor(labels)
    loss = dense_softmax(
        embeddings, centers, labels, scale, target, kept
    ).mean()
    loss.backward()
    return loss.item(), embeddings.grad.numpy(), centers.grad.numpy()


def random_problem(seed, batch, classes, dim):
    """Embeddings, centers and labels of a random problem, as arrays."""
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(batch, dim)) * 3,
        rng.normal(size=(classes, dim)) * 0.2,
        rng.integers(classes, size=batch),
    )
