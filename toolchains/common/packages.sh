#!/bin/sh
# packages.sh NAME...: installs the Debian packages that are missing, if this is Debian and we may; else says which.
# Without them the tests that can run do run; with CI=true this is a failure.
set -u

missing=
if command -v dpkg-query >/dev/null; then
    for name; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing="$missing $name"
    done
else
    echo "set-up: not a Debian system; tests use what there is of: $*"
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=env
elif sudo -n true 2>/dev/null; then
    as_root="sudo env"
else
    echo "set-up: missing, and only root may install them: apt-get install$missing"
    [ "${CI:-}" != true ]
    exit
fi
echo "set-up: installing Debian packages:$missing"
$as_root DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
    $as_root DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $missing >/dev/null ||
    { echo "set-up: apt-get could not install:$missing"; [ "${CI:-}" != true ]; }
