#!/bin/sh
# Installs the backend into an existing environment: docker/install.sh [options] PYTHON
#
#   --editable      install a link to this tree instead of a copy (as `make install` does)
#   --extra NAME    also install the requirements of extra NAME in setup.cfg; may be repeated
#   --sdk 1.0.9     label-studio-ml from the registry (default)
#   --sdk 2.x       label-studio-ml from its public repository, at a pinned commit
#   --torch-index URL
#                   take torch and torchvision from there, for example the index for CPU on PyTorch's own site;
#                   without it they include CUDA, several gigabytes
#
# PYTHON needs pip. `make` and docker/Dockerfile both run this script.
set -eu

SDK_2X="label-studio-ml @ https://github.com/HumanSignal/label-studio-ml-backend/archive/d02cedf35d0e5d21f2f437c120174c62f66bf57a.zip"

fail() {
    echo "install.sh: $1" >&2
    exit 2
}

root="$(cd "$(dirname "$0")/.." && pwd)"
sdk=1.0.9
editable=
extras=
torch_index=
while [ $# -gt 1 ]; do
    case "$1" in
        --editable) editable=--editable; shift ;;
        --extra)
            grep -q "^$2 =\$" "$root/setup.cfg" || fail "there is no extra '$2'; setup.cfg lists them."
            extras="$extras $2"
            shift 2
            ;;
        --sdk) sdk="$2"; shift 2 ;;
        --torch-index) torch_index="$2"; shift 2 ;;
        *) fail "unknown option '$1'; see the head of this script." ;;
    esac
done
[ $# -eq 1 ] || fail "name the Python to install into, for example: docker/install.sh .venv/bin/python"
python="$1"

# label-studio-ml is installed with --no-deps: 1.0.9 pins a Flask and Werkzeug of 2021 with known vulnerabilities, but
# runs unchanged on current ones. Its other requirements are therefore listed here.
case "$sdk" in
    1.0.9) label_studio_ml="label-studio-ml==1.0.9"; needs="appdirs attrs colorama label-studio-tools lxml requests" ;;
    2.x) label_studio_ml="$SDK_2X"; needs="colorama label-studio-sdk requests semver" ;;
    *) fail "there is no SDK '$sdk'; choose 1.0.9 or 2.x." ;;
esac

install() {
    "$python" -m pip install --disable-pip-version-check "$@"
}

# Only these two, at the pinned versions (2.15.0+cpu is a 2.15.0); their requirements are installed with the rest.
[ -z "$torch_index" ] || install --no-deps --index-url "$torch_index" -c "$root/constraints.txt" torch torchvision

requirements="$(mktemp)"
trap 'rm -f "$requirements"' EXIT
# shellcheck disable=SC2086 # extras and needs are lists of words
"$python" - "$root/setup.cfg" $extras >"$requirements" <<'PYTHON'
import configparser
import sys

config = configparser.ConfigParser()
config.read(sys.argv[1])
wanted = [config["options"]["install_requires"]]
wanted += [config["options.extras_require"][extra] for extra in sys.argv[2:]]
lines = "\n".join(wanted).split("\n")
print("\n".join(line for line in lines if line and not line.startswith("label-studio-ml")))
PYTHON
# shellcheck disable=SC2086
printf '%s\n' $needs >>"$requirements"

# label-studio-sdk, which label-studio-ml 2.x and the tests need, requires OpenCV. Nothing here uses it, and security
# scanners report its FFmpeg.
label_studio_sdk="$(grep '^label-studio-sdk' "$requirements" | tail -n 1)" || true
if [ -n "$label_studio_sdk" ]; then
    install --no-deps -c "$root/constraints.txt" "$label_studio_sdk"
    "$python" >>"$requirements" <<'PYTHON'
import importlib.metadata

needs = [line for line in importlib.metadata.requires("label-studio-sdk") if "extra ==" not in line]
print("\n".join(line for line in needs if not line.startswith("opencv-python-headless")))
PYTHON
    sed -i.bak '/^label-studio-sdk/d' "$requirements" && rm "$requirements.bak"
fi

install --no-warn-conflicts -c "$root/constraints.txt" -r "$requirements"
install --no-deps "$label_studio_ml"
# shellcheck disable=SC2086 # empty or one word
install --no-deps $editable "$root"
