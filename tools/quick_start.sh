#!/usr/bin/env bash
# From a fresh clone to a trained recogniser: installs what is needed, trains
# on the glyph identities that ship with the package, verifies on unseen ones
# and draws the curves. Further arguments go to tools/train.py.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

config=configs/partial_fc/partial-fc_resnet18-cosface_1xb128-6e_glyphs.py
work_dir=work_dirs/quick_start

python tools/train.py "$config" --work-dir "$work_dir" "$@"
python tools/analysis_tools/plot_curves.py "$work_dir"
echo
echo "Pictures: $work_dir/curves.png and $work_dir/verification/*.png"
