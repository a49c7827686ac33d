"""Dense pose of the people in photos: pictures, and IUVs as JSON.

    python tools/predict_densepose.py PHOTO_OR_FOLDER ... --out-dir out

Without --checkpoint the light model that ships is taken. Writes
out/vis/NAME.jpg (panels beside each other) and, with --save-predictions,
out/preds/NAME.json. More in docs/uv_rcnn.md.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import cv2
import numpy as np

import mmdense  # noqa: F401 (mmcv may need our ops)
from mmdense.apis import DensePoseInferencer
from mmdense.apis.densepose_inferencer import PANELS
from mmdense.apis.image_files import ENDINGS
from mmdense.densepose.visualization.shrinking import shrink_image

#: Pictures are shrunk to it in a sheet.
SHEET_WIDTH = 2400


def main(argv: Sequence[str] | None = None) -> None:
    """Predict and draw."""
    args = _parse(argv)
    try:
        files = find_files(args.inputs)[: args.limit]
        predict = DensePoseInferencer(
            args.config,
            args.checkpoint,
            args.panels or PANELS,
            args.texture,
            args.scale,
            args.panel_size or None,
            device=args.device,
            show_progress=False,
        )
    except (ValueError, OSError, RuntimeError, UnpicklingError) as error:
        # The last two: no such device, no checkpoint.
        sys.exit(f'error: {error}')
    folder = args.out_dir / 'vis'
    folder.mkdir(parents=True, exist_ok=True)
    pictures, unreadable, empty = [], 0, 0
    for file in files:
        if not can_be_read(file):
            unreadable += 1
            print(f'{file}: no image that can be read')
            continue
        found = predict(
            str(file),
            out_dir=str(args.out_dir),
            return_vis=True,
            # One file type for all; not all of the photos' hold pictures.
            no_save_vis=True,
            no_save_pred=not args.save_predictions,
            return_datasamples=not args.save_predictions,
            pred_score_thr=args.score_thr,
        )
        (picture,) = found['visualization']
        write(picture, folder / f'{file.stem}.jpg')
        if args.sheet is not None:
            # They are all held until the end.
            pictures.append(shrink_image(picture, SHEET_WIDTH))
        people = count(found['predictions'][0], args.score_thr)
        empty += not people
        print(f'{file}: {people} people', flush=True)
    print(f'pictures: {folder}')
    if empty and args.scale is None:
        print(
            f'nobody in {empty}: people who are small in a photo are found at '
            'a larger scale, as --scale 800'
        )
    if pictures:
        write_sheet(pictures, args.sheet)
        print(f'all in one: {args.sheet}')
    if unreadable:
        sys.exit(f'error: {unreadable} of {len(files)} files cannot be read')


def can_be_read(file: Path) -> bool:
    """Whether it is an image, and not too large a one for OpenCV."""
    try:
        return cv2.imread(str(file)) is not None
    except cv2.error:
        return False


def write(picture: np.ndarray, path: Path) -> None:
    """Write an RGB picture.

    Raises:
        SystemExit: It cannot be written; JPEG ends at 65,500 px a side.
    """
    if not cv2.imwrite(str(path), picture[..., ::-1]):
        height, width = picture.shape[:2]
        sys.exit(
            f'error: {path} cannot be written ({width} x {height} px); take '
            'a smaller --panel-size, or a sheet that ends in .png'
        )


def count(prediction: Any, threshold: float) -> int:
    """How many people are above the score."""
    if not isinstance(prediction, dict):
        prediction = prediction.pred_instances
    return sum(float(score) > threshold for score in prediction['scores'])


def find_files(inputs: Sequence[Path]) -> list[Path]:
    """Image files, and those directly in folders.

    Raises:
        FileNotFoundError: There is no such file or folder, or no image.
        ValueError: Two would be written to one name.
    """
    files: list[Path] = []
    for path in inputs:
        if path.is_dir():
            files += sorted(
                file
                for file in path.iterdir()
                if file.suffix.lower() in ENDINGS
            )
        elif path.is_file():
            files.append(path)
        else:
            raise FileNotFoundError(f'{path} does not exist')
    if not files:
        raise FileNotFoundError(
            f'no image in {", ".join(map(str, inputs))}, expected files '
            f'ending in {" ".join(sorted(ENDINGS))}'
        )
    # A photo and its folder may both be named.
    files = list({file.resolve(): file for file in files}.values())
    by_name: dict[str, Path] = {}
    for file in files:
        other = by_name.setdefault(file.stem.lower(), file)
        if other is not file:
            raise ValueError(
                f'the results of {other} and {file} would have one name; '
                'rename one, or run twice with other --out-dir'
            )
    return files


def write_sheet(pictures: Sequence[np.ndarray], path: Path) -> None:
    """Pictures below each other, white where one is narrower."""
    width = max(picture.shape[1] for picture in pictures)
    rows = [
        cv2.copyMakeBorder(
            picture,
            *(0, 4, 0, width - picture.shape[1]),
            cv2.BORDER_CONSTANT,
            value=(255, 255, 255),
        )
        for picture in pictures
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write(np.concatenate(rows), path)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('inputs', nargs='+', type=Path, help='images, or folders of them')
    add('--out-dir', type=Path, required=True)
    add('--config', help='with --checkpoint; default: the one in it')
    add('--checkpoint', type=Path, help='default: the light model that ships')
    add('--limit', type=whole, metavar='N', help='the first N images only')
    add(
        '--scale',
        type=int,
        metavar='PX',
        help="longer side photos are scaled to, in place of the config's",
    )
    add('--score-thr', type=float, default=0.5, help='whom to draw (0.5)')
    add(
        '--panels',
        nargs='+',
        choices=PANELS,
        help='what to draw, side by side (all)',
    )
    add(
        '--panel-size',
        type=whole,
        default=1280,
        metavar='PX',
        help='longer side of what is drawn of larger images (1280; 0: all)',
    )
    add('--texture', help="atlas image in DensePose's layout, 4 x 6 squares")
    add(
        '--save-predictions',
        action='store_true',
        help='boxes, scores and IUVs of each image as JSON',
    )
    add('--sheet', type=Path, metavar='PNG', help='all pictures in one')
    add('--device', help="'cpu', 'cuda:0' ...; default: the accelerator")
    args = parser.parse_args(argv)
    if args.sheet is not None and not cv2.haveImageWriter(str(args.sheet)):
        parser.error(f'--sheet must end in .png or .jpg, got {args.sheet}')
    return args


def whole(text: str) -> int:
    """A number from 0 on."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'expected 0 or more, got {text}')
    return int(text)


if __name__ == '__main__':
    main()
