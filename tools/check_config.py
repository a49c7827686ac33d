"""Check that the types of configs exist and take the arguments given."""

import argparse
import sys

from mmdense.apis.config_check import check_file


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', nargs='+', help='config files')
    parser.add_argument(
        '--data',
        action='store_true',
        help='also warn of annotation files and data folders that are not '
        'there',
    )
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    num_errors = num_warnings = 0
    for config in args.config:
        for problem in check_file(config, check_data=args.data):
            kind = 'warning' if problem.is_warning else 'error'
            print(f'{kind}: {problem}', flush=True)
            num_warnings += problem.is_warning
            num_errors += not problem.is_warning
    num_configs = len(args.config)
    print(
        f'{num_configs} config{"s" * (num_configs > 1)} checked: '
        f'{num_errors} problems, {num_warnings} warnings'
    )
    return 1 if num_errors else 0


if __name__ == '__main__':
    sys.exit(main())
