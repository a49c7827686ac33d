"""The scores of a data set as tables of text."""

import io

import numpy as np
from rich.console import Console
from rich.table import Table

from ..functional.point_errors import (
    WITHIN_CM,
    ErrorSummary,
    by_occlusion,
    by_part,
    by_size,
    confusion,
    summarize_errors,
)
from ..surface.parts import PART_NAMES
from .summary import Evaluation

_MEASURE_NAMES = {'gps': 'GPS', 'gpsm': 'GPSm', 'segm': 'mask IoU'}
_CONFUSIONS = 8


def score_table(evaluation: Evaluation) -> str:
    """AP and AR of each measure, in percent."""
    table = Table(title='percent; -1: nobody to be found')
    table.add_column('')
    for name in next(iter(evaluation.tables.values())):
        table.add_column(name, justify='right')
    for measure, scores in evaluation.tables.items():
        values = [f'{value:.2f}' for value in scores.values()]
        table.add_row(_MEASURE_NAMES[measure], *values)
    return _text(table)


def error_table(evaluation: Evaluation, parts: bool) -> str:
    """Errors by size of people, by occlusion and, if wanted, by part."""
    errors = evaluation.errors
    has_surface = not np.isnan(errors.distance).any() and len(errors) > 0
    table = Table(
        title='points of people whose box was found; shares in percent'
    )
    table.add_column('')
    for name in ('points', 'covered', 'right part', 'UV error'):
        table.add_column(name, justify='right')
    if has_surface:
        for name in ('mean cm', 'median cm'):
            table.add_column(name, justify='right')
        for limit in WITHIN_CM:
            table.add_column(f'< {limit} cm', justify='right')
    groups: list[dict[str, ErrorSummary]] = [
        {'all': summarize_errors(errors)},
        by_size(errors),
        by_occlusion(errors),
    ]
    if parts:
        named = by_part(errors).items()
        groups.append({PART_NAMES[part]: item for part, item in named})
    for group in groups:
        for name, item in group.items():
            table.add_row(name, *_cells(item, has_surface))
        table.add_section()
    return _text(table)


def confusion_table(evaluation: Evaluation) -> str:
    """The parts that are most often taken for others."""
    counts = confusion(evaluation.errors).astype(float)
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    np.fill_diagonal(shares, 0)
    table = Table(title='most frequent confusions')
    for name in ('annotated', 'predicted'):
        table.add_column(name)
    table.add_column('percent of its points', justify='right')
    for index in np.argsort(-shares, axis=None, kind='stable')[:_CONFUSIONS]:
        part, other = np.unravel_index(index, shares.shape)
        if shares[part, other] > 0:
            share = f'{100 * shares[part, other]:.1f}'
            table.add_row(PART_NAMES[part], PART_NAMES[other], share)
    return _text(table)


def report(evaluation: Evaluation, parts: bool = True) -> str:
    """What was counted, and the tables; `parts`: those of parts, too."""
    head = (
        f'{evaluation.num_images} images, {evaluation.num_people} people to '
        f'be found, {evaluation.num_detections} detections'
    )
    texts = [head, score_table(evaluation)]
    if len(evaluation.errors):
        texts.append(error_table(evaluation, parts))
        if parts:
            texts.append(confusion_table(evaluation))
    return '\n'.join(texts)


def _cells(item: ErrorSummary, has_surface: bool) -> list[str]:
    values = [item.covered, item.part_accuracy, item.uv_error]
    formats = ['.1f', '.1f', '.3f']
    if has_surface:
        values += [item.mean_cm, item.median_cm, *item.within]
        formats += ['.1f'] * (2 + len(item.within))
    shown = [
        '-' if np.isnan(value) else format(value, style)
        for value, style in zip(values, formats, strict=True)
    ]
    return [str(item.points), *shown]


def _text(table: Table) -> str:
    stream = io.StringIO()
    Console(file=stream, width=120).print(table)
    return stream.getvalue().rstrip()
