"""Arguments of IResNet."""

import pytest

from mmdense.recognition.backbones import IResNet


def test_another_depth_is_refused():
    with pytest.raises(ValueError, match=r'one of \(18, 34, 50, 100, 200\)'):
        IResNet(101)
