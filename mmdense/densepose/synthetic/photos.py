"""Photos to put behind the people."""

from collections.abc import Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path

from PIL import Image, ImageOps

from ..functional.iuv_png import UNREADABLE

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp')
_MOST_NAMED = 5


def find_photos(folder: str | Path) -> tuple[Path, ...]:
    """Image files in a folder and the folders in it, sorted.

    Raises:
        FileNotFoundError: There is no such folder, or no image in it.
    """
    folder = Path(folder)
    photos = tuple(
        sorted(
            path
            for path in folder.rglob('*')
            if path.suffix.lower() in IMAGE_SUFFIXES
        )
    )
    if not photos:
        raise FileNotFoundError(
            f'{folder} holds no images ({", ".join(IMAGE_SUFFIXES)}), '
            'expected a folder of photos without people'
        )
    return photos


def read_photo(path: Path, width: int = 1, height: int = 1) -> Image.Image:
    """A photo, upright and in RGB.

    Args:
        path: Of the photo.
        width: In px; it may be read at less than its size, but not at less
            than this.
        height: The same.

    Raises:
        ValueError: It cannot be read, is cut off or too large.
    """
    try:
        with Image.open(path) as file:
            # Readers of JPEG can skip detail that is not asked for.
            file.draft('RGB', (width, height))
            return ImageOps.exif_transpose(file).convert('RGB')
    except UNREADABLE as error:
        raise ValueError(f'{path} cannot be read: {error}') from error


def check_photos(photos: Sequence[Path], num_workers: int) -> None:
    """Read all photos; whether they are whole is seen only so.

    Args:
        photos: Files.
        num_workers: Threads.

    Raises:
        ValueError: Some cannot be read.
    """
    with ThreadPool(num_workers) as pool:
        results = pool.imap(_problem, photos)
        problems = [problem for problem in results if problem is not None]
    if problems:
        more = len(problems) - _MOST_NAMED
        raise ValueError(
            f'{len(problems)} of {len(photos)} photos cannot be used; delete '
            f'or replace them: {"; ".join(problems[:_MOST_NAMED])}'
            + (f'; and {more} more' if more > 0 else '')
        )


def _problem(photo: Path) -> str | None:
    try:
        read_photo(photo)
    except ValueError as error:
        return str(error)
    return None
