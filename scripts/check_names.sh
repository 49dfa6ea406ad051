#!/usr/bin/env bash
# Fails if a file of the repository names the host of a package registry or a path of one machine:
# both would tie the project to where it happens to be built.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

hosts='(pypi|pythonhosted|crates|npmjs|maven|sonatype|golang|debian)[.](org|io|com)\b'
paths='(^|[^[:alnum:]_.$}-])/(work|root)/[[:alnum:]_.]'

# Lock files name registries by nature, and Go's modules are called by host names.
if git grep --untracked -nIE -e "$hosts" -e "$paths" -- . ':!Cargo.lock' ':!tests/clients/go/go.*'; then
    echo "these lines name a registry's host or a path of this machine" >&2
    exit 1
fi
