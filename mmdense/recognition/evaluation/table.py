"""Results in percent, as text."""

import io

from rich.console import Console
from rich.table import Table

_NO_SHARES = ('xnorm',)


def results_table(
    rows: dict[str, dict[str, float]], first: str = 'pack'
) -> str:
    """A table with a row for each name.

    Args:
        rows: The results of each name, of the same keys in the same order;
            `X_std` and `X_std@...` are put beside the value before. A single
            row of the name '' has no column for it.
        first: Heading of the names.
    """
    table = Table()
    named = list(rows) != ['']
    if named:
        table.add_column(first)
    for number, (name, metrics) in enumerate(rows.items()):
        row = [name] if named else []
        for key, value in metrics.items():
            if '_std' in key:
                row[-1] += f' (std {100 * value:.2f})'
                continue
            if number == 0:
                table.add_column(_heading(key))
            share = key not in _NO_SHARES
            row.append(f'{100 * value:.2f} %' if share else f'{value:.2f}')
        table.add_row(*row)
    text = io.StringIO()
    Console(file=text, width=120).print(table)
    return text.getvalue().rstrip()


def _heading(key: str) -> str:
    """`tar@far=0.01` on two lines, since there are often many such."""
    if '@' not in key:
        return key
    name, rate = key.split('=')
    return f'{name.upper()}\n{rate}'
