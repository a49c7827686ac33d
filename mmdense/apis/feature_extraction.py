"""Embeds folders and lists of images, in as many processes as there are."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import cv2
from mmengine.config import Config
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text
from torch.utils.data import DataLoader

from ..compat.extras import import_extra
from ..distributed.atomic_files import partial_path, sha256_of
from ..distributed.collectives import raise_on_all_ranks, rank, world_size
from ..distributed.sharding import shard_range
from .embedding_inferencer import Embedder, build_embedder, embed_batch
from .feature_files import FORMATS, FeaturePart, join_parts
from .image_files import ImageFiles, find_images
from .image_pipeline import ImagePipeline

# Where there is no terminal, a line this often.
_SECONDS = 60


def extract_features(
    cfg: Config,
    checkpoint: str | Path,
    source: str | Path,
    out: str | Path,
    *,
    batch_size: int = 64,
    num_workers: int = 2,
    device: str | None = None,
    amp: bool = False,
    flip: bool = False,
    normalize: bool = False,
    skip_unreadable: bool = False,
    label_by_folder: bool = False,
    resume: bool = False,
) -> tuple[int, int, int] | None:
    """Write the embeddings of many images to a file.

    Each rank embeds a contiguous share to a hidden folder beside `out`; rank
    0 joins the parts. `out` appears when it is complete; until then a run
    that was stopped can be resumed.

    Args:
        cfg: The config.
        checkpoint: A `.pth` file, or an `.onnx` file of ours.
        source: A folder or a list; see :func:`~.image_files.find_images`.
        out: A `.npy` file (n, d), float32, with the names beside it in a
            `.txt` file, or a `.parquet` file.
        batch_size: Images at a time, per rank.
        num_workers: Processes that read images, per rank.
        device: `'cpu'`, `'cuda:0'` ...; None: the accelerator, if any.
        amp: Whether to use mixed precision.
        flip: Whether to add the embeddings of the mirror images.
        normalize: Whether to scale the embeddings to length 1.
        skip_unreadable: Whether to name and leave out what cannot be read.
        label_by_folder: Whether to write the folder's name to the column
            `label` of a `.parquet` file.
        resume: Whether to go on where a run with the same options stopped.

    Returns:
        On rank 0 the number of embeddings, d, and the number of files left
        out; None elsewhere.

    Raises:
        FileNotFoundError: A file is missing.
        ImportError: The format needs a library that is not installed.
        ValueError: Options contradict each other, or the model cannot be
            built; on all ranks. An image cannot be read, or those of a batch
            differ in size; on the rank that meets it, which should end so
            that the launcher ends the others (:func:`~.launch.run`).
    """
    out, checkpoint = Path(out), Path(checkpoint)
    folder = partial_path(out)
    error = None
    try:
        _check_format(out, label_by_folder)
        root, names = find_images(Path(source))
        embedder = build_embedder(cfg, checkpoint, device, amp)
        pipeline = ImagePipeline(cfg)
        run = dict(
            config=_digest([str(cfg.to_dict())]),
            checkpoint=sha256_of(checkpoint),
            names=_digest(names),
            ranks=world_size(),
            amp=amp,
            flip=flip,
            normalize=normalize,
        )
        part = FeaturePart(folder, rank(), run, resume)
    except Exception as failure:
        error = failure
    raise_on_all_ranks(error)
    start, stop = shard_range(len(names), rank(), world_size())
    images = ImageFiles(root, names, start + part.done, stop, pipeline)
    loader = DataLoader(
        images,
        batch_size,
        num_workers=num_workers,
        collate_fn=images.collate,
        worker_init_fn=_use_one_thread,
    )
    _embed(embedder, loader, part, flip, normalize, skip_unreadable)
    part.close()
    # All parts are there.
    raise_on_all_ranks(None)
    if rank() > 0:
        return None
    rows, length = join_parts(
        folder, world_size(), out, iter(names), label_by_folder
    )
    return rows, length, len(names) - rows


def _check_format(out: Path, labels: bool) -> None:
    if out.suffix not in FORMATS:
        raise ValueError(
            f'the output is {out}, expected a file ending in '
            f'{" or ".join(FORMATS)}'
        )
    if labels and out.suffix != '.parquet':
        raise ValueError(
            f'labels go to a column of a .parquet file, got {out}; the folder '
            'is in the names beside an .npy file'
        )
    if out.suffix == '.parquet':
        import_extra('pyarrow', 'parquet', str(out))


def _use_one_thread(worker: int) -> None:
    # Each worker would start as many threads as the machine has cores.
    cv2.setNumThreads(0)


def _digest(texts: Any) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b'\n')
    return digest.hexdigest()


def _embed(
    embedder: Embedder,
    loader: DataLoader,
    part: FeaturePart,
    flip: bool,
    normalize: bool,
    skip_unreadable: bool,
) -> None:
    with _progress(part.done, part.done + len(loader.dataset)) as report:
        for done, images, bad in loader:
            if bad and not skip_unreadable:
                raise ValueError(
                    f'{next(iter(bad.values()))}. Leave out what cannot be '
                    'read with --skip-unreadable; with --resume, too, what '
                    'is done is kept'
                )
            embeddings = None
            if images is not None:
                embeddings = embed_batch(
                    embedder, images, flip, normalize
                ).numpy()
            part.append(done, embeddings, list(bad))
            report(done, bad)


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f'{task.speed or 0:.0f} images/s')


@contextmanager
def _progress(done: int, total: int) -> Iterator[Any]:
    """A bar for this rank's share on rank 0; elsewhere names bad files."""
    console = Console(stderr=True)
    progress = Progress(
        TextColumn('images' if world_size() == 1 else 'images of rank 0'),
        BarColumn(),
        MofNCompleteColumn(),
        _Speed(),
        TimeRemainingColumn(),
        console=console,
        disable=rank() > 0 or not console.is_terminal,
    )
    task = progress.add_task('', total=total, completed=done)
    started = spoken = monotonic()
    first = done

    def report(more: int, bad: dict[int, str]) -> None:
        nonlocal done, spoken
        done += more
        progress.update(task, advance=more)
        for reason in bad.values():
            console.print(f'skipped: {reason}', markup=False, soft_wrap=True)
        now = monotonic()
        if rank() == 0 and not console.is_terminal and now > spoken + _SECONDS:
            spoken = now
            speed = (done - first) / (now - started)
            left = (total - done) / speed
            console.print(
                f'{done} of {total} images, {speed:.0f} images/s, '
                f'{left / 60:.0f} min left'
            )

    with progress:
        yield report
