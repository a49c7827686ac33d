import mmdense  # noqa: F401  stands in for mmcv's ops, so before mmdet
