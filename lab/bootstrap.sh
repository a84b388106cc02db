#!/bin/sh
# Installs what the machine lacks: `venv` (Python environment, the default), `lab` (containers);
# `other-end` prints a second Python to test with.
# VENV is the directory of the environment, PYTHON the interpreter it is made with.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}
LOCK=requirements.lock

say() { printf 'bootstrap: %s\n' "$*"; }
fail() { printf 'bootstrap: %s\n' "$*" >&2; exit 1; }

# Takes pairs TEST=PACKAGE; TEST is a command or a file. Installs the packages whose test fails.
need() {
    missing=
    for pair in "$@"; do
        test=${pair%%=*}
        command -v "$test" >/dev/null 2>&1 || [ -e "$test" ] || missing="$missing ${pair#*=}"
    done
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null 2>&1 || fail "install these and run again:$missing"
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    say "installing$missing"
    log=$(mktemp)
    # shellcheck disable=SC2086
    {
        $sudo apt-get update -qq &&
            DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing
    } >"$log" 2>&1 </dev/null || { cat "$log" >&2; fail "apt-get failed"; }
    rm -f "$log"
}

venv() {
    want=$(cat "$LOCK" "$0" | sha256sum)
    if [ "$(cat "$VENV/.lock" 2>/dev/null)" = "$want" ] && [ -x "$VENV/bin/python" ]; then
        touch "$VENV/.lock"
        return
    fi
    command -v "$PYTHON" >/dev/null 2>&1 || fail "no $PYTHON here"
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$PYTHON is older than 3.11"
    if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
        need "/no/$PYTHON-venv=$("$PYTHON" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])')"
    fi
    say "making $VENV"
    [ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
    uv=$(sed -n 's/^\(uv==[0-9.]*\).*/\1/p' "$LOCK")
    [ "$("$VENV/bin/uv" --version 2>/dev/null | cut -d' ' -f2)" = "${uv#uv==}" ] ||
        "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "$uv"
    "$VENV/bin/uv" pip sync --quiet --python "$VENV/bin/python" --require-hashes "$LOCK"
    printf '%s\n' "$want" >"$VENV/.lock"
}

lab() {
    PATH=$PATH:/usr/sbin:/sbin:/usr/lib/podman:/usr/libexec/podman
    need podman=podman crun=crun netavark=netavark aardvark-dns=aardvark-dns iptables=iptables \
        newuidmap=uidmap mmdebstrap=mmdebstrap ssh=openssh-client openssl=openssl \
        /usr/share/keyrings/debian-archive-keyring.gpg=debian-archive-keyring
    [ "$(id -u)" = 0 ] || command -v pasta >/dev/null || command -v slirp4netns >/dev/null ||
        need pasta=passt slirp4netns=slirp4netns
}

# Prints an installed Python far from the default one: the newest, or the oldest if that is newer than 3.11.
other_end() {
    default=$("$PYTHON" -c 'import sys; print(sys.version_info[1])')
    minors='20 19 18 17 16 15 14 13 12'
    [ "$default" -le 11 ] || minors='11 12 13 14 15 16 17 18 19 20'
    for minor in $minors; do
        [ "$minor" != "$default" ] || continue
        for python in "python3.$minor" "${PYENV_ROOT:-$HOME/.pyenv}/versions/3.$minor".*"/bin/python3.$minor"; do
            "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || continue
            printf '%s\n' "$python"
            return
        done
    done
}

case ${1:-venv} in
    venv) venv ;;
    lab) lab ;;
    other-end) other_end ;;
    *) fail "unknown part '$1': venv, lab or other-end" ;;
esac
