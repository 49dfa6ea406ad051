#!/usr/bin/env bash
# Fails if a file of the repository names the host of a package registry or a path of one machine:
# both would tie the project to where it happens to be built.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

hosts='(pypi|pythonhosted|crates|npmjs|maven|sonatype|golang|debian)[.](org|io|com)\b'
paths='(^|[^[:alnum:]_.$}-])/(work|root)/[[:alnum:]_.]'

# The lock file names its registry by nature.
if git grep --untracked -nIE -e "$hosts" -e "$paths" -- . ':!Cargo.lock'; then
    echo "these lines name a registry's host or a path of this machine" >&2
    exit 1
fi
