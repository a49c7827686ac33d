"""Which keyword arguments a class or function takes.

`inspect.signature` stops at `**kwargs`. Registered classes hand theirs up to
their base as a rule, so that the bases say what is accepted; the source of
`__init__` tells whether they do.
"""

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

_BY_POSITION = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)


class Accepted(NamedTuple):
    """The keyword arguments of a callable.

    Attributes:
        names: Those known by name.
        required: Those of them without a default.
        is_open: Whether others may be accepted, too.
    """

    names: frozenset[str]
    required: frozenset[str]
    is_open: bool


class _SuperCall(NamedTuple):
    """A call `super(below, self).__init__(..., **rest)`.

    Attributes:
        below: Name of the class to start above; None if not given.
        positional: Number of arguments by position.
        given: Names of the arguments by keyword.
    """

    below: str | None
    positional: int
    given: frozenset[str]


_ANYTHING = Accepted(frozenset(), frozenset(), True)
_NOTHING = Accepted(frozenset(), frozenset(), False)


@functools.cache
def accepted_arguments(target: Callable[..., Any]) -> Accepted:
    """The keyword arguments that `target` takes.

    Args:
        target: A class or a function.

    Returns:
        What is known; open when the source does not tell.
    """
    if inspect.isclass(target):
        return _of_constructor(target.__mro__, 0, frozenset())
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        return _ANYTHING
    accepted = _of_parameters(parameters)
    return accepted._replace(is_open=_var_keyword(parameters) is not None)


def _of_constructor(
    mro: Sequence[type], positional: int, given: frozenset[str]
) -> Accepted:
    """What the first `__init__` of `mro` takes beyond what it is passed.

    Args:
        mro: The rest of the method resolution order.
        positional: How many arguments the class below passes by position.
        given: Names of those that it passes by keyword.
    """
    place = next(i for i, base in enumerate(mro) if '__init__' in vars(base))
    owner = mro[place]
    if owner is object:
        has_new = any('__new__' in vars(base) for base in mro[:place])
        return _ANYTHING if has_new else _NOTHING
    if owner.__module__ == 'torch.nn.modules.module':
        # It has **kwargs only to refuse them.
        return _NOTHING
    constructor = vars(owner)['__init__']
    try:
        signature = inspect.signature(constructor)
    except (TypeError, ValueError):
        return _ANYTHING
    if hasattr(constructor, '__wrapped__'):
        # A decorator may rename or fill in arguments.
        return _ANYTHING
    parameters = list(signature.parameters.values())[1:]
    own = _of_parameters(_without(parameters, positional, given))
    rest = _var_keyword(parameters)
    if rest is None:
        return own
    call = _super_call(constructor, rest)
    if call is None:
        return own._replace(is_open=True)
    below = call.below or owner.__name__
    above = [i for i, base in enumerate(mro) if base.__name__ == below]
    if not above:
        return own._replace(is_open=True)
    base = _of_constructor(mro[above[0] + 1 :], call.positional, call.given)
    return Accepted(
        own.names | base.names,
        own.required | (base.required - own.names - given),
        base.is_open,
    )


def _of_parameters(parameters: Sequence[inspect.Parameter]) -> Accepted:
    keywords = [
        p
        for p in parameters
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    names = frozenset(p.name for p in keywords)
    required = frozenset(p.name for p in keywords if p.default is p.empty)
    return Accepted(names, required, False)


def _without(
    parameters: Sequence[inspect.Parameter],
    positional: int,
    given: frozenset[str],
) -> list[inspect.Parameter]:
    by_position = [p for p in parameters if p.kind in _BY_POSITION]
    passed = {p.name for p in by_position[:positional]} | given
    return [p for p in parameters if p.name not in passed]


def _var_keyword(parameters: Sequence[inspect.Parameter]) -> str | None:
    return next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)


def _super_call(
    constructor: Callable[..., Any], rest: str
) -> _SuperCall | None:
    """How `constructor` hands its `**rest` to its base.

    Returns:
        The call; None if `rest` is not used just once, in such a call.
    """
    try:
        source = textwrap.dedent(inspect.getsource(constructor))
        tree = ast.parse(source)
    except (OSError, TypeError, SyntaxError):
        return None
    nodes = list(ast.walk(tree))
    uses = [n for n in nodes if isinstance(n, ast.Name) and n.id == rest]
    calls = [n for n in nodes if isinstance(n, ast.Call) and _is_super(n)]
    if len(uses) != 1:
        return None
    for call in calls:
        if any(k.arg is None and k.value is uses[0] for k in call.keywords):
            plain = [a for a in call.args if not isinstance(a, ast.Starred)]
            names = [k.arg for k in call.keywords if k.arg is not None]
            first = call.func.value.args[:1]
            below = first[0].id if first else None
            return _SuperCall(below, len(plain), frozenset(names))
    return None


def _is_super(call: ast.Call) -> bool:
    function = call.func
    return (
        isinstance(function, ast.Attribute)
        and function.attr == '__init__'
        and isinstance(function.value, ast.Call)
        and isinstance(function.value.func, ast.Name)
        and function.value.func.id == 'super'
    )
