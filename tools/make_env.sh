#!/usr/bin/env bash
# Make the pinned environment in DIR, or return at once if it is there already.
set -euo pipefail

usage() {
    cat <<'EOF'
usage: tools/make_env.sh DIR

Makes a virtual environment in DIR with the versions pinned in requirements/
and this checkout installed in it. A finished environment with the same pins
is reused; an unfinished or outdated one is made again.

environment variables:
  PYTHON           the Python 3.11 to use            (default: python3.11 or python3)
  MMCV_FIND_LINKS  page with ready mmcv wheels; without it mmcv is compiled
                   once (about 12 minutes on 2 cores) and the wheel is kept
  XDG_CACHE_HOME   parent of the folder that keeps it (default: ~/.cache)
EOF
}

fail() { echo "make_env: $*" >&2; exit 1; }

case "${1:-}" in
    -h|--help) usage; exit 0 ;;
    '') usage >&2; exit 2 ;;
esac

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pins=$root/requirements/pins.txt
roots=$root/requirements/environment.txt
mkdir -p "$1" || fail "cannot make the folder $1"
env=$(cd "$1" && pwd)
marker=$env/.csnln-env

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3.11 python3 python}; do
        if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info[:2] != (3, 11))' \
            2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 (with its venv module) is needed: the pinned torch 2.1.2 exists for" \
         "Python 3.8 to 3.11, other pins need 3.11. Name one with PYTHON=/path/to/python3.11"
}
# `fail` in a command substitution ends only the subshell.
python=$(find_python) || exit 1

exec 9>"$env.lock" || fail "cannot write $env.lock"
if ! flock -n 9; then
    echo "make_env: another process is making $env; waiting for it"
    flock 9
fi
# The lock file stays: removing it would let two processes hold two locks of one name.

key=$({ cat "$pins" "$roots"; "$python" -VV; uname -m; } | sha256sum | cut -c1-64)

install_checkout() {
    [ "$(cat "$env/.csnln-checkout" 2>/dev/null)" = "$root" ] && return
    "$env/bin/pip" install -q --no-deps --no-build-isolation --disable-pip-version-check \
        -e "$root"
    echo "$root" >"$env/.csnln-checkout"
}

if [ "$(cat "$marker" 2>/dev/null)" = "$key" ]; then
    install_checkout
    exit 0
fi
if [ -n "$(ls -A "$env")" ] && [ ! -f "$marker" ]; then
    fail "$env is not empty and was not made by this script: name another folder with VENV=dir"
fi
command -v "${CXX:-c++}" >/dev/null || [ -n "${MMCV_FIND_LINKS:-}" ] ||
    fail "a C++ compiler is needed to build mmcv (on Debian: apt-get install g++)"

echo "make_env: making $env (about 5 minutes, plus 12 the first time that mmcv is compiled)"
find "$env" -mindepth 1 -maxdepth 1 ! -name .csnln-env -exec rm -rf {} +
echo unfinished >"$marker"
"$python" -m venv "$env"

# Every 30 seconds, how many of mmcv's files are compiled, until the process ends.
show_progress() {
    local seconds=0 done
    while kill -0 "$2" 2>/dev/null; do
        sleep 1
        seconds=$((seconds + 1))
        if [ $((seconds % 30)) = 0 ]; then
            done=$(grep -oE '^ *\[[0-9]+/[0-9]+\]' "$1" | tail -n 1)
            echo "make_env: compiling mmcv for $((seconds / 60)) min $((seconds % 60)) s, files$done"
        fi
    done
}

pip() { "$env/bin/python" -m pip "$@" --disable-pip-version-check; }
# pip's own progress bar needs a terminal.
[ -t 1 ] && quiet= || quiet=-q

echo "make_env: 1/3 torch"
pip install $quiet -c "$pins" setuptools wheel ninja torch torchvision

# pip would reuse a wheel that was built against another torch, so the folder names both.
torch=$(sed -n 's/^torch==//p' "$pins")
mmcv=$(sed -n 's/^mmcv==//p' "$pins")
wheels=${XDG_CACHE_HOME:-$HOME/.cache}/csnln_mm/mmcv-$mmcv-torch-$torch-cp311-$(uname -m)
echo "make_env: 2/3 mmcv"
if [ -n "${MMCV_FIND_LINKS:-}" ]; then
    pip install $quiet -c "$pins" --only-binary mmcv -f "$MMCV_FIND_LINKS" mmcv
else
    if ! ls "$wheels"/mmcv-*.whl >/dev/null 2>&1; then
        mkdir -p "$wheels"
        partial=$(mktemp -d "$wheels/partial.XXXXXX")
        trap 'rm -rf "$partial"' EXIT
        # No CUDA device: the CPU operators build everywhere, and no CUDA kernel of mmcv is used.
        CUDA_VISIBLE_DEVICES= FORCE_CUDA=0 MMCV_WITH_OPS=1 MAX_JOBS=${MAX_JOBS:-$(nproc)} \
            pip wheel -v --no-deps --no-build-isolation --no-cache-dir --no-binary mmcv \
            -c "$pins" -w "$partial" mmcv >"$partial/log" 2>&1 &
        show_progress "$partial/log" $!
        if ! wait $!; then
            tail -n 30 "$partial/log" >&2
            fail "mmcv did not build (the end of its log is above)"
        fi
        mv "$partial"/mmcv-*.whl "$wheels/"
    fi
    pip install $quiet -c "$pins" --no-deps "$wheels"/mmcv-*.whl
fi

echo "make_env: 3/3 mmagic and the rest"
pip install $quiet -c "$pins" -r "$roots"
# controlnet_aux, which `mmagic.apis` imports, breaks with mediapipe 1.x and works with none.
pip uninstall -q -y mediapipe
"$env/bin/python" -c 'import mmcv.ops' || fail "the built mmcv does not load its operators"
rm -f "$env/.csnln-checkout"
install_checkout
echo "$key" >"$marker"
echo "make_env: done, activate it with: . $env/bin/activate"
