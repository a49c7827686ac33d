"""The example margin, alone and inside the head."""

import numpy as np
import torch
from mmpretrain.registry import MODELS

from projects.example_margin.elastic_cosface_loss import ElasticCosFaceLoss


def test_margins_have_the_mean_and_spread_of_the_paper():
    loss = ElasticCosFaceLoss(margin=0.35, std=0.05)
    margins = -loss.target(torch.zeros(20000), torch.ones(20000))
    # Standard errors: 0.05 / sqrt(20000) = 0.00035, and 0.00025 for the std.
    assert abs(margins.mean() - 0.35) < 0.0015
    assert abs(margins.std() - 0.05) < 0.001


def test_ranks_draw_the_same_margins_and_steps_draw_others():
    cosine, norm = torch.zeros(8), torch.ones(8)
    one, two = ElasticCosFaceLoss(), ElasticCosFaceLoss()
    first = one.target(cosine, norm)
    torch.rand(3)  # another rank has used its random state otherwise
    torch.testing.assert_close(two.target(cosine, norm), first, rtol=0, atol=0)
    assert not torch.equal(one.target(cosine, norm), first)


def test_a_resumed_run_draws_on():
    cosine, norm = torch.zeros(8), torch.ones(8)
    loss, resumed = ElasticCosFaceLoss(), ElasticCosFaceLoss()
    loss.target(cosine, norm)
    resumed.load_state_dict(loss.state_dict())
    torch.testing.assert_close(
        resumed.target(cosine, norm), loss.target(cosine, norm)
    )


def test_in_the_head_it_equals_a_plain_softmax():
    head = MODELS.build(
        dict(
            type='mmdense.PartialFCHead',
            num_classes=7,
            in_channels=5,
            loss=dict(type='mmdense.ElasticCosFaceLoss', scale=16.0),
        )
    )
    embeddings, labels = torch.randn(6, 5), torch.tensor([0, 1, 6, 3, 3, 2])
    got = head.loss_by_feat(embeddings, labels)['loss'].item()

    x = embeddings.double().numpy()
    w = head.centers.weight.detach().double().numpy()
    cosine = (x / np.linalg.norm(x, axis=1, keepdims=True)) @ (
        w / np.linalg.norm(w, axis=1, keepdims=True)
    ).T
    twin = ElasticCosFaceLoss()
    margins = -twin.target(torch.zeros(6), torch.ones(6)).double().numpy()
    cosine[np.arange(6), labels] -= margins
    logits = 16.0 * cosine
    own = logits[np.arange(6), labels]
    expected = (np.log(np.exp(logits).sum(axis=1)) - own).mean()
    assert abs(got - expected) < 1e-5
