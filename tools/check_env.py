"""Report what is installed and what is wrong with it.

Made for broken installations: nothing but the standard library has to work,
and each thing that does not is reported with its remedy. Exits with 1 if
there is any problem.
"""

import configparser
import importlib
import importlib.metadata
import importlib.util
import platform
import re
import sys
import warnings
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve()
SAME_BUILD = (
    'Uninstall torch and torchvision, then install both at once and from the '
    'same index: pip install torch torchvision'
)


class Report:
    """Rows `(section, item, value)` and problems `(what, remedy)`."""

    def __init__(self):
        self.rows: list[tuple[str, str, str]] = []
        self.problems: list[tuple[str, str]] = []

    def row(self, section: str, item: str, value: object) -> None:
        self.rows.append((section, item, str(value)))

    def problem(self, what: str, remedy: str) -> None:
        self.problems.append((what, remedy))


def main() -> int:
    warnings.simplefilter('ignore')  # what they say is reported below
    report = Report()
    check_system(report)
    torch = check_torch(report)
    check_torchvision(report, torch)
    check_devices(report, torch)
    versions = load_versions(report)
    if versions is not None:
        check_siblings(report, versions)
        check_setuptools(report, versions)
    check_mmdense(report)
    check_ops(report)
    check_requirements(report)
    print_report(report)
    return 1 if report.problems else 0


def try_import(name: str) -> tuple[ModuleType | None, str]:
    """The module, or None and the error; any error, so broken is what we see.

    A module that is found and breaks raises whatever it likes: RuntimeError
    (torchvision), AssertionError (mmdet on a new mmcv), OSError (libraries).
    """
    try:
        return importlib.import_module(name), ''
    except Exception as error:
        return None, one_line(error)


def one_line(error: Exception) -> str:
    """The error in one line, of the length of a long sentence."""
    text = ' '.join(str(error).split())
    return f'{type(error).__name__}: {text[:300]}'


def version_of(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_system(report: Report) -> None:
    report.row('system', 'Python', platform.python_version())
    report.row('system', 'interpreter', sys.executable)
    report.row('system', 'OS', platform.platform())


def check_torch(report: Report) -> ModuleType | None:
    torch = import_required(report, 'torch')
    if torch is not None:
        cuda = torch.version.cuda
        build = f'CUDA {cuda}' if cuda else 'CPU'
        report.row('torch', 'torch', f'{torch.__version__} ({build} build)')
    return torch


def check_torchvision(report: Report, torch: ModuleType | None) -> None:
    """Whether it is of torch's build, which only its own ops can tell."""
    torchvision = import_required(report, 'torchvision')
    if torchvision is None:
        return
    cuda = hasattr(torchvision.version, 'cuda')
    version = f'{torchvision.__version__} ({"CUDA" if cuda else "CPU"} build)'
    report.row('torch', 'torchvision', version)
    if torch is None:
        return
    try:
        boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
        torchvision.ops.nms(boxes, torch.ones(1), 0.5)
    except Exception as error:
        report.row('torch', 'torchvision ops', 'broken')
        report.problem(
            f'torchvision {version_of("torchvision")} is not of the build of '
            f'torch {torch.__version__}: {one_line(error)}',
            SAME_BUILD,
        )
        return
    report.row('torch', 'torchvision ops', 'work')
    if torch.version.cuda and not cuda:
        report.problem(
            'torchvision is a CPU build and torch a CUDA build; detection '
            'ops would fail on the GPU',
            SAME_BUILD,
        )


def import_required(report: Report, name: str) -> ModuleType | None:
    """Import torch or torchvision; not installed, check_requirements tells.

    A record of pip whose files are gone is broken, not absent.
    """
    module, error = try_import(name)
    if module is None:
        report.row('torch', name, f'not importable ({error})')
        if f"No module named '{name}'" not in error or version_of(name):
            report.problem(f'{name} cannot be imported: {error}', SAME_BUILD)
    return module


def check_devices(report: Report, torch: ModuleType | None) -> None:
    if torch is None:
        return
    try:
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        for index in range(count):
            info = torch.cuda.get_device_properties(index)
            memory = info.total_memory / 2**30
            report.row(
                'devices', f'GPU {index}', f'{info.name}, {memory:.1f} GiB'
            )
        if not count:
            report.row('devices', 'GPU', 'none, runs on the CPU')
        distributed = torch.distributed
        for name in ('gloo', 'nccl'):
            there = (
                distributed.is_available()
                and getattr(distributed, f'is_{name}_available')()
            )
            report.row('devices', name, 'available' if there else 'no')
    except Exception as error:
        report.problem(
            f'torch fails to tell its devices: {one_line(error)}',
            'Check the driver, then install torch anew',
        )


def load_versions(report: Report) -> ModuleType | None:
    """`mmdense.compat.versions` from its file: `mmdense` may not import."""
    candidates = [
        HERE.parents[1] / 'mmdense' / 'compat' / 'versions.py',
        HERE.parents[2] / 'compat' / 'versions.py',  # mmdense/.mim/tools
    ]
    for path in candidates:
        if not path.is_file():
            continue
        spec = importlib.util.spec_from_file_location('_versions', path)
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except ImportError as error:
            report.problem(
                f'the versions of the OpenMMLab libraries cannot be checked: '
                f'{error}',
                'Run: pip install packaging',
            )
            return None
        return module
    report.problem(
        f'{HERE.name} does not find mmdense beside it',
        'Run it from a checkout or from an installed mmdense',
    )
    return None


def check_siblings(report: Report, versions: ModuleType) -> None:
    """mmengine, mmcv, mmdet, mmpretrain: who provides them, do they import."""
    present = set()
    for library, sibling in versions.SIBLINGS.items():
        found = versions.installed_distributions(library)
        names = ', '.join(f'{name} {found[name]}' for name in found)
        if len(found) > 1:
            report.problem(
                f'{library} is installed by {names}, which overwrite each '
                "other's files",
                f'Run: pip uninstall -y {" ".join(found)}; then: '
                f'pip install {next(iter(found))}',
            )
        for name, version in found.items():
            if versions.Version(version) < versions.Version(sibling.minimum):
                report.problem(
                    f'mmdense needs {library}>={sibling.minimum}, got {name} '
                    f'{version}',
                    f'Run: pip install -U {name}',
                )
            if versions.Version(version) >= versions.Version(sibling.below):
                names += f' (tested below {sibling.below} only)'
        if not versions.is_available(library):
            report.row('OpenMMLab', library, f'missing, for {sibling.job}')
            continue
        present.add(library)
        module, error = try_import(library)
        if module is None:
            names += ', not importable'
            report.problem(
                f'{library} cannot be imported: {error}',
                versions.install_advice(library),
            )
        report.row('OpenMMLab', library, names or 'not installed by pip')
    for library in ('mmengine', 'mmcv'):
        if library not in present:
            report.problem(
                f'{library} is missing', versions.install_advice(library)
            )
    if not present & {'mmdet', 'mmpretrain'}:
        report.problem(
            'neither mmpretrain (recognition) nor mmdet (dense pose) is '
            'installed',
            "Run: pip install -e '.[onedl]'",
        )


def check_setuptools(report: Report, versions: ModuleType) -> None:
    """Upstream mmengine needs pkg_resources, gone since setuptools 82."""
    version = version_of('setuptools')
    report.row('OpenMMLab', 'setuptools', version or 'missing')
    if 'mmengine' not in versions.installed_distributions('mmengine'):
        return
    too_new = version and versions.Version(version).major >= 82
    if too_new or not version:
        report.problem(
            'upstream mmengine needs pkg_resources, which setuptools '
            f'{version or "(missing)"} does not bring; bases such as '
            "'mmdet::...' fail",
            "Run: pip install 'setuptools<82'",
        )


def check_mmdense(report: Report) -> None:
    module, error = try_import('mmdense')
    if module is not None:
        report.row('mmdense', 'mmdense', module.__version__)
        return
    report.row('mmdense', 'mmdense', f'not importable ({error})')
    if "No module named 'mmdense'" in error:
        remedy = 'Run in the checkout: pip install -e .'
    else:
        remedy = 'Solve the other problems first, then run this again'
    report.problem(f'mmdense cannot be imported: {error}', remedy)


def check_ops(report: Report) -> None:
    """Compiled ops, the stand-in (after `import mmdense`), or neither."""
    if try_import('mmcv')[0] is None:
        return  # already reported
    extension, error = try_import('mmcv._ext')
    loader = type(getattr(extension, '__loader__', None))
    if extension is None and "No module named 'mmcv._ext'" in error:
        kind = 'none, and no stand-in without mmdense'
    elif extension is None:
        kind = 'broken'
        report.problem(
            f'the compiled ops of mmcv do not load: {error}',
            'Install mmcv for this Python and torch: prebuilt, compiled '
            'anew, or without ops (docs/install.md)',
        )
    elif loader.__module__.startswith('mmdense.'):
        kind = 'torchvision stand-in: nms and RoIAlign only'
    else:
        kind = 'compiled'
    report.row('mmdense', 'ops of mmcv', kind)


def declared_requirements() -> tuple[list[str], list[str]]:
    """What mmdense requires and what is optional, as declared to pip."""
    setup = HERE.parents[1] / 'setup.cfg'
    if setup.is_file():
        parser = configparser.ConfigParser()
        parser.read(setup, encoding='utf-8')
        required = parser.get('options', 'install_requires', fallback='')
        extra = parser.get('options.extras_require', 'optional', fallback='')
        return required.split(), extra.split()
    try:
        lines = importlib.metadata.requires('mmdense') or []
    except importlib.metadata.PackageNotFoundError:
        lines = []
    required = [line for line in lines if 'extra ==' not in line]
    optional = [
        line.partition(';')[0]
        for line in lines
        if re.search(r'extra == .optional.', line)
    ]
    return required, optional


def check_requirements(report: Report) -> None:
    required, optional = declared_requirements()
    for section, lines in (('required', required), ('optional', optional)):
        for line in lines:
            name = re.match(r'[\w.-]+', line.strip())[0]
            version = version_of(name)
            report.row(section, name, version or 'not installed')
            if section == 'required' and version is None:
                report.problem(
                    f'{name} is required and not installed',
                    f"Run: pip install '{line.strip()}'",
                )
            elif version and not satisfies(version, line):
                report.problem(
                    f'mmdense needs {line.strip()}, got {name} {version}',
                    f"Run: pip install -U '{line.strip()}'",
                )


def satisfies(version: str, requirement: str) -> bool:
    packaging, _ = try_import('packaging.requirements')
    if packaging is None:  # reported by load_versions
        return True
    specifier = packaging.Requirement(requirement).specifier
    return specifier.contains(version, prereleases=True)


def print_report(report: Report) -> None:
    """As a table, or as plain lines when rich is missing too."""
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        for section, item, value in report.rows:
            print(f'{section:<10} {item:<16} {value}')
    else:
        table = Table(title='Environment of mmdense')
        for heading in ('', 'what', 'found'):
            table.add_column(heading, overflow='fold')
        last = None
        for section, item, value in report.rows:
            if last not in (None, section):
                table.add_section()
            shown = '' if section == last else section
            table.add_row(Text(shown), Text(item), Text(value))
            last = section
        Console().print(table)
    if not report.problems:
        print('No problems found.')
    for index, (what, remedy) in enumerate(report.problems, 1):
        print(f'Problem {index}: {what}\n    {remedy}')


if __name__ == '__main__':
    sys.exit(main())
