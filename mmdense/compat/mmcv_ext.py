"""A stand-in for mmcv's compiled extension `mmcv._ext`, through torchvision.

Building mmcv's ops takes a compiler and up to an hour; mmdet's two-stage
detectors need `nms` and `roi_align` of them, and torchvision has both for CPU
and CUDA. The finder comes last in `sys.meta_path`, so that a compiled
extension always wins, also one that is there and fails to load.

torch and torchvision are imported only when something imports `mmcv._ext`.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

EXTENSION = 'mmcv._ext'
AVERAGE = 1  # mmcv's code of `pool_mode='avg'`; 0 is 'max'


class _StandInFinder(
    importlib.abc.MetaPathFinder,
    importlib.abc.Loader,
):
    """Finds and makes the stand-in when nothing else finds `mmcv._ext`."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname != EXTENSION:
            return None
        _refuse_foreign_build(path or ())
        return importlib.util.spec_from_loader(fullname, self)

    def create_module(self, spec):
        return None  # an ordinary module

    def exec_module(self, module):
        _check_torchvision()
        module.__doc__ = 'Stand-in of mmdense for ops compiled with mmcv.'
        module.nms = nms
        module.roi_align_forward = roi_align_forward
        module.roi_align_backward = roi_align_backward
        # mmcv's `collect_env` calls these two as soon as ops are importable.
        module.get_compiler_version = _not_compiled
        module.get_compiling_cuda_version = _not_compiled
        module.__getattr__ = _missing_op
        _announce()


def install_finder() -> None:
    """Let `import mmcv._ext` fall back to the stand-in; cheap, repeatable."""
    if not any(isinstance(f, _StandInFinder) for f in sys.meta_path):
        sys.meta_path.append(_StandInFinder())


def is_stand_in(module: ModuleType) -> bool:
    """Whether `module`, an imported `mmcv._ext`, is the one made here."""
    return isinstance(getattr(module, '__loader__', None), _StandInFinder)


def nms(boxes, scores, iou_threshold: float, offset: int):
    """Greedy non-maximum suppression, as mmcv's op of this name.

    Args:
        boxes: Tensor `(N, 4)`, x1, y1, x2, y2 in pixels.
        scores: Tensor `(N,)`; of equal scores the lower index goes first.
        iou_threshold: A box is dropped when its IoU with a kept one is
            greater than this.
        offset: 0 or 1; the width of a box is `x2 - x1 + offset`.

    Returns:
        int64 tensor of the kept indices, by falling score.
    """
    import torchvision

    dtype = _compute_dtype(boxes)
    boxes, scores = boxes.to(dtype), scores.to(dtype)
    if offset:
        # Both corners enter intersection and area only as differences, so
        # moving the second one is the same as widening each difference.
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torchvision.ops.nms(boxes, scores, float(iou_threshold))


def roi_align_forward(
    input,
    rois,
    output,
    argmax_y,
    argmax_x,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """RoI align with average pooling, as mmcv's op of this name.

    Args:
        input: Tensor `(B, C, H, W)`.
        rois: Tensor `(K, 5)`: index into the batch, x1, y1, x2, y2 in pixels
            of the image.
        output: Tensor `(K, C, aligned_height, aligned_width)`, written to.
        argmax_y: Of use to max pooling only.
        argmax_x: Of use to max pooling only.
        aligned_height: Bins along y.
        aligned_width: Bins along x.
        spatial_scale: Cells of `input` per pixel of the image.
        sampling_ratio: Samples per bin and axis; 0: one per cell, rounded up.
        pool_mode: 1, average.
        aligned: Whether cell `i` has its centre at `i + 0.5`; if not, at `i`,
            and boxes are at least one cell wide and high.

    Raises:
        NotImplementedError: `pool_mode` is 0, max.
    """
    import torch

    _check_pool_mode(pool_mode)
    dtype = _compute_dtype(input)
    result = torch.ops.torchvision.roi_align(
        input.to(dtype),
        rois.to(dtype),
        spatial_scale,
        aligned_height,
        aligned_width,
        sampling_ratio,
        aligned,
    )
    output.copy_(result)


def roi_align_backward(
    grad_output,
    rois,
    argmax_y,
    argmax_x,
    grad_input,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """The transpose of :func:`roi_align_forward`.

    Args:
        grad_output: Tensor `(K, C, aligned_height, aligned_width)`.
        rois: As in the forward, and so are the arguments not named here.
        argmax_y: Of use to max pooling only.
        argmax_x: Of use to max pooling only.
        grad_input: Tensor `(B, C, H, W)`, written to.
        aligned_height: Bins along y.
        aligned_width: Bins along x.
        spatial_scale: Cells of `input` per pixel of the image.
        sampling_ratio: Samples per bin and axis.
        pool_mode: 1, average.
        aligned: Where the centre of a cell is.

    Raises:
        NotImplementedError: `pool_mode` is 0, max.
    """
    import torch

    _check_pool_mode(pool_mode)
    dtype = _compute_dtype(grad_output)
    result = torch.ops.torchvision._roi_align_backward(
        grad_output.to(dtype),
        rois.to(dtype),
        spatial_scale,
        aligned_height,
        aligned_width,
        *grad_input.shape,
        sampling_ratio,
        aligned,
    )
    grad_input.copy_(result)


def _compute_dtype(tensor):
    """float32 for half types, as torchvision computes under autocast."""
    import torch

    return torch.promote_types(tensor.dtype, torch.float32)


def _check_pool_mode(pool_mode: int) -> None:
    if pool_mode != AVERAGE:
        raise NotImplementedError(_what_is_missing("RoIAlign pool_mode='max'"))


def _missing_op(name: str) -> Callable:
    """The attribute `name` of the stand-in: an op that cannot be called.

    mmcv asks for its ops when its modules are imported, so that only a call
    may fail.
    """
    if name.startswith('_'):  # asked for by the import system, no op
        raise AttributeError(f'module {EXTENSION!r} has no {name!r}')

    def refuse(*args, **kwargs):
        raise NotImplementedError(_what_is_missing(name))

    refuse.__name__ = name
    return refuse


def _what_is_missing(what: str) -> str:
    return (
        f'{what} of mmcv.ops is not available: mmcv is installed without its '
        'compiled ops, and the torchvision stand-in of mmdense has only nms '
        'and average-pooled RoIAlign. Use a config without it, or install '
        'mmcv with compiled ops (docs/install.md, "Compiled ops").'
    )


def _not_compiled() -> str:
    return 'n/a (torchvision stand-in)'


def _check_torchvision() -> None:
    """Raise an ImportError unless torchvision's own ops are loaded."""
    try:
        import torch
        import torchvision  # noqa: F401  registers torch.ops.torchvision

        _ = torch.ops.torchvision.nms, torch.ops.torchvision.roi_align
    # A build for another torch fails with RuntimeError or AttributeError.
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise ImportError(
            'mmcv is installed without its compiled ops, and torchvision, '
            f'which would stand in for them, does not work: {error}. Install '
            'torch and torchvision of the same build; '
            'tools/check_env.py tells more.'
        ) from error


def _refuse_foreign_build(folders: Sequence[str]) -> None:
    """Raise an ImportError if `_ext` was compiled for another Python.

    The import system passes such a file over, since its suffix is not one
    of this interpreter's; the user has asked for compiled ops nevertheless.
    """
    for folder in folders:
        for file in Path(folder).glob('_ext.*'):
            if file.suffix in ('.so', '.pyd'):
                raise ImportError(
                    f'mmcv has the compiled ops {file.name}, which this '
                    'Python cannot load: it loads '
                    f'{", ".join(importlib.machinery.EXTENSION_SUFFIXES)}. '
                    'Install mmcv for this Python, with or without ops.',
                    name=EXTENSION,
                    path=str(file),
                )


_announced = False


def _announce() -> None:
    global _announced
    if _announced:
        return
    _announced = True

    from mmengine.logging import print_log

    print_log(
        'mmcv has no compiled ops: nms and RoIAlign run through torchvision, '
        'other ops of mmcv.ops raise NotImplementedError when called.',
        logger='current',
    )
