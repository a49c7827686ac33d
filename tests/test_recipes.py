"""The recipes for faces against what was published."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import scheduler as schedules

import mmdense  # noqa: F401  (before configs: makes `mmdense::` known)

FOLDER = Path(__file__).parents[1] / 'configs/partial_fc'

# From the training logs in anxiangsir/insightface_arcface_log: base rate,
# steps in all, and (step, learning rate) as logged, to four digits.
LOGS = {
    'partial-fc_iresnet100-arcface_8xb128-20e_ms1mv2': (
        0.1,
        113720,
        [(30, 0.0999), (28430, 0.0563), (56860, 0.0250)],
    ),
    'partial-fc_mobilefacenet-arcface_8xb128-40e_ms1mv3': (
        0.1,
        202320,
        [(30, 0.1), (50580, 0.0563), (101160, 0.0250)],
    ),
    'partial-fc_iresnet50-cosface_8xb128-20e_webface4m': (
        0.1,
        82700,
        [(20680, 0.0562), (41350, 0.0250)],
    ),
    'partial-fc_mobilefacenet-cosface_8xb512-20e_glint360k': (
        0.4,
        83440,
        [(30, 0.0014), (20860, 0.2778), (41720, 0.1235)],
    ),
    'partial-fc-r02_iresnet100-cosface_16xb256-20e_webface42m': (
        0.3,
        207380,
        [(560, 0.0162), (51990, 0.1866), (103790, 0.0829)],
    ),
    'partial-fc-r02_iresnet50-cosface_16xb512-20e_webface42m': (
        0.6,
        103680,
        [(30, 0.0009), (25930, 0.5272), (51850, 0.2343)],
    ),
    'partial-fc-r03_face-vit-b-cosface_64xb384-40e_webface42m': (
        0.001,
        69120,
        [(17290, 0.0007), (34570, 0.0003)],
    ),
}


def _rates(cfg, epoch_length):
    """The learning rate of each iteration."""
    lr = cfg.optim_wrapper.optimizer.lr
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=lr)
    schedulers = []
    for settings in cfg.param_scheduler:
        kind = getattr(schedules, settings.type)
        options = {k: v for k, v in settings.items() if k != 'type'}
        assert options.pop('convert_to_iter_based')
        schedulers.append(
            kind.build_iter_from_epoch(
                optimizer=optimizer, epoch_length=epoch_length, **options
            )
        )
    optimizer.step()
    rates = []
    for _ in range(cfg.train_cfg.max_epochs * epoch_length):
        rates.append(optimizer.param_groups[0]['lr'])
        for scheduler in schedulers:
            scheduler.step()
    return rates


@pytest.mark.parametrize('name', LOGS)
def test_learning_rates_are_those_of_the_published_logs(name):
    lr, total, logged = LOGS[name]
    cfg = Config.fromfile(FOLDER / f'{name}.py')
    assert cfg.optim_wrapper.optimizer.lr == lr
    # Shortened: a step stands for `total / len(rates)` of the log's.
    rates = _rates(cfg, 400)
    for step, expected in logged:
        place = step / total * len(rates)
        below, share = int(place), place % 1
        got = (1 - share) * rates[below] + share * rates[below + 1]
        # The last digit of the log, and that a step here is a longer one.
        assert got == pytest.approx(expected, abs=5e-5 + 3e-4 * lr)
    assert rates[-1] < 1e-6 * lr


def test_warm_up_begins_at_the_first_iteration():
    name = 'partial-fc-r02_iresnet50-cosface_8xb512-20e_webface42m'
    cfg = Config.fromfile(FOLDER / f'{name}.py')
    rates = _rates(cfg, 50)
    assert rates[0] == pytest.approx(1e-4 * 0.4)
    assert rates[:100] == sorted(rates[:100])
    assert max(rates) == pytest.approx(0.4)


def test_the_linear_recipe_is_linear():
    name = 'partial-fc_iresnet50-arcface_8xb128-20e-linear_ms1mv3'
    rates = _rates(Config.fromfile(FOLDER / f'{name}.py'), 50)
    steps = len(rates) - 1
    for step, rate in enumerate(rates):
        assert rate == pytest.approx(0.1 * (1 - step / steps), abs=1e-9)
