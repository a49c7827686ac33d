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
from typing import Any

import cv2
import numpy as np

import mmdense  # noqa: F401 (mmcv may need our ops)
from mmdense.apis import DensePoseInferencer
from mmdense.apis.densepose_inferencer import PANELS
from mmdense.apis.image_files import ENDINGS


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
            device=args.device,
            show_progress=False,
        )
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f'error: {error}')
    folder = args.out_dir / 'vis'
    folder.mkdir(parents=True, exist_ok=True)
    pictures, unreadable = [], 0
    for file in files:
        if cv2.imread(str(file)) is None:
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
        cv2.imwrite(str(folder / f'{file.stem}.jpg'), picture[..., ::-1])
        if args.sheet is not None:
            pictures.append(picture)
        people = count(found['predictions'][0], args.score_thr)
        print(f'{file}: {people} people', flush=True)
    print(f'pictures: {folder}')
    if pictures:
        write_sheet(pictures, args.sheet)
        print(f'all in one: {args.sheet}')
    if unreadable:
        sys.exit(f'error: {unreadable} of {len(files)} files cannot be read')


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
    files = []
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
    cv2.imwrite(str(path), np.concatenate(rows)[..., ::-1])


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
    add('--limit', type=int, metavar='N', help='the first N images only')
    add('--score-thr', type=float, default=0.5, help='whom to draw (0.5)')
    add(
        '--panels',
        nargs='+',
        choices=PANELS,
        help='what to draw, side by side (all)',
    )
    add('--texture', help="atlas image in DensePose's layout, 4 x 6 squares")
    add(
        '--save-predictions',
        action='store_true',
        help='boxes, scores and IUVs of each image as JSON',
    )
    add('--sheet', type=Path, metavar='PNG', help='all pictures in one')
    add('--device', help="'cpu', 'cuda:0' ...; default: the accelerator")
    return parser.parse_args(argv)


if __name__ == '__main__':
    main()
