"""Arguments of MobileFaceNet, and which blocks are residual."""

import pytest
import torch

from mmdense.recognition.backbones import MobileFaceNet


def test_blocks_of_stride_1_are_residual():
    torch.manual_seed(0)
    net = MobileFaceNet((2, 1, 1, 1), 1).eval()
    with torch.no_grad():
        for stage in (1, 3, 5, 7):
            for block in net.layers[stage].layers:
                # The last BN of the branch: it now gives zeros.
                block.layers[2].layers[1].weight.zero_()
        x = torch.randn(2, 64, 8, 8)
        assert torch.equal(net.layers[1](x), x)
        assert net.layers[2](x).shape == (2, 64, 4, 4)


def test_published_and_impossible_arguments():
    assert len(MobileFaceNet((1, 1, 1, 1), 1).layers[1].layers) == 3
    with pytest.raises(ValueError, match='four positive numbers'):
        MobileFaceNet((1, 4, 6))
    with pytest.raises(ValueError, match='four positive numbers'):
        MobileFaceNet((1, 4, 6, 0))
    with pytest.raises(ValueError, match='scale must be at least 1, got 0'):
        MobileFaceNet(scale=0)
