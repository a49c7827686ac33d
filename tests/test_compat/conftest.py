"""Plain references of the two ops, written from their definitions.

NumPy float64, one box at a time, nothing of mmcv's, torchvision's or ours.
"""

import math
from types import SimpleNamespace

import numpy as np
import pytest


def reference_nms(boxes, scores, threshold, offset=0):
    """Kept indices; of equal scores the lower index goes first."""
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    sizes = boxes[:, 2:] - boxes[:, :2] + offset
    areas = sizes[:, 0] * sizes[:, 1]
    order = sorted(range(len(boxes)), key=lambda i: (-float(scores[i]), i))
    kept = []
    while order:
        best, rest = order[0], np.array(order[1:], dtype=int)
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        width, height = np.maximum(high - low + offset, 0).T
        inter = width * height
        iou = inter / (areas[best] + areas[rest] - inter)
        order = rest[~(iou > threshold)].tolist()
    return np.array(kept, dtype=np.int64)


def _axis_weights(start, end, bins, cells, sampling_ratio, aligned):
    """`(bins, cells)`: what each cell gives to each bin along one axis.

    A bin averages the linear interpolation at its evenly spaced samples;
    samples further than one cell outside count as zero, others outside take
    the value of the border.
    """
    length = end - start
    if not aligned:
        length = max(length, 1.0)
    width = length / bins
    samples = sampling_ratio or math.ceil(width)
    weights = np.zeros((bins, cells))
    for b in range(bins):
        for s in range(samples):
            position = start + b * width + (s + 0.5) * width / samples
            if position < -1 or position > cells:
                continue
            position = min(max(position, 0), cells - 1)
            low = min(int(position), cells - 1)
            high = min(low + 1, cells - 1)
            weights[b, low] += (1 - (position - low)) / samples
            weights[b, high] += (position - low) / samples
    return weights


def _roi_weights(roi, shape, size, scale, sampling_ratio, aligned):
    shift = 0.5 if aligned else 0.0
    x1, y1, x2, y2 = (float(v) * scale - shift for v in roi[1:])
    along_y = _axis_weights(y1, y2, size[0], shape[2], sampling_ratio, aligned)
    along_x = _axis_weights(x1, x2, size[1], shape[3], sampling_ratio, aligned)
    return int(roi[0]), along_y, along_x


def reference_roi_align(features, rois, size, scale, sampling_ratio, aligned):
    """`(K, C, *size)` from features `(B, C, H, W)` and rois `(K, 5)`."""
    features = np.asarray(features, dtype=np.float64)
    output = np.zeros((len(rois), features.shape[1], *size))
    for k, roi in enumerate(rois):
        index, along_y, along_x = _roi_weights(
            roi, features.shape, size, scale, sampling_ratio, aligned
        )
        output[k] = along_y @ features[index] @ along_x.T
    return output


def reference_roi_align_transposed(
    grad, rois, shape, scale, sampling_ratio, aligned
):
    """Gradient `(B, C, H, W)` = `shape` of the above, which is linear."""
    grad = np.asarray(grad, dtype=np.float64)
    result = np.zeros(shape)
    for k, roi in enumerate(rois):
        index, along_y, along_x = _roi_weights(
            roi, shape, grad.shape[2:], scale, sampling_ratio, aligned
        )
        result[index] += along_y.T @ grad[k] @ along_x
    return result


@pytest.fixture(scope='session')
def reference():
    return SimpleNamespace(
        nms=reference_nms,
        roi_align=reference_roi_align,
        roi_align_transposed=reference_roi_align_transposed,
    )
