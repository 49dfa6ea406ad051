#!/usr/bin/env bash
# Brings what the build, the tests and the demo need, and nothing that is already there.
#
#   scripts/setup.sh          PostgreSQL 15 to 18, the Python environments, Node packages, and where their
#                             tools are, test clients in Go and Java
#   scripts/setup.sh bench    the same, and PgBouncer, DuckDB and ADBC
#
# As root it also installs packages of the system; as anybody else it says what it could not bring.
# With LAKEPORT_CACHE_DIR set, downloads live there and target/ links to them.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${LAKEPORT_CACHE_DIR:-$repo/target}
requirements=$repo/tests/requirements
venvs=(kit sdk-0.61.0 sdk-0.81.0 memory package apps mcp-1.30.0 mcp-2.3.0 moto browser unity)

main() {
    umask 022
    mkdir -p "$cache" "$repo/target"
    exec 9>"$cache/.setup.lock"
    flock 9

    link_cache postgres
    link_cache venv
    link_cache clients
    system_packages "$@"
    [[ ${1:-} != bench ]] || venvs+=(bench)
    for name in "${venvs[@]}"; do
        python_environment "$name"
    done
    postgres_versions
    node_packages node
    node_packages mcp
    node_packages provider
    node_packages azurite
    go_client
    java_client
    check_rust
}

say() { echo "setup: $*"; }

die() {
    echo "setup: $*" >&2
    exit 1
}

# Everything else finds these folders under target/, wherever they really are.
link_cache() {
    [[ $cache -ef $repo/target ]] && return
    mkdir -p "$cache/$1"
    [[ $repo/target/$1 -ef $cache/$1 ]] && return
    [[ -d $repo/target/$1 && ! -L $repo/target/$1 ]] && rm -rf "${repo:?}/target/$1"
    ln -sfn "$(cd "$cache/$1" && pwd)" "$repo/target/$1"
}

# --- Packages of the system -----------------------------------------------------------------------

system_packages() {
    local missing=()
    find_python >/dev/null || missing+=(python3 python3-venv)
    command -v cc >/dev/null || missing+=(build-essential)
    [[ -x /usr/lib/postgresql/15/bin/postgres ]] || missing+=(postgresql-15)
    command -v chromium >/dev/null || missing+=(chromium)
    [[ ${1:-} != bench ]] || command -v pgbouncer >/dev/null || [[ -x /usr/sbin/pgbouncer ]] ||
        missing+=(pgbouncer)
    without_unavailable
    ((${#missing[@]})) || return 0

    if [[ $(id -u) != 0 ]]; then
        say "not root: without ${missing[*]} (what needs them is left out or fails by name)"
    elif ! command -v apt-get >/dev/null; then
        say "no apt-get: install ${missing[*]} with this system's package manager"
    else
        apt_install "${missing[@]}"
    fi
}

# What this system turned out not to offer is not asked for at every run.
without_unavailable() {
    local name wanted=("${missing[@]}")
    missing=()
    for name in "${wanted[@]}"; do
        [[ -e $cache/.unavailable-$name ]] || missing+=("$name")
    done
}

# The packages of PostgreSQL and PgBouncer start a server when they are installed, on ports that we
# want; both are told not to, for the time of the installation only.
apt_install() {
    local no_cluster=/etc/postgresql-common/createcluster.d/lakeport-setup.conf
    local no_start=/usr/sbin/policy-rc.d
    local temporary=("$no_cluster")
    say "installing $*"
    mkdir -p "${no_cluster%/*}"
    echo "create_main_cluster = false" >"$no_cluster"
    if [[ ! -e $no_start ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$no_start"
        chmod 755 "$no_start"
        temporary+=("$no_start")
    fi
    # shellcheck disable=SC2064  # the paths of now
    trap "rm -f ${temporary[*]}" EXIT

    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    local name
    for name in "$@"; do
        apt_install_one "$name"
    done
    rm -f "${temporary[@]}"
    trap - EXIT
}

apt_install_one() {
    if ! apt-cache show "$1" >/dev/null 2>&1; then
        say "$1 is not among this system's packages: left out"
        touch "$cache/.unavailable-$1"
        return
    fi
    apt-get install -qq -y --no-install-recommends "$1" >/dev/null
}

check_rust() {
    command -v cargo >/dev/null ||
        say "cargo is missing: install rustup, it brings the toolchain of rust-toolchain.toml"
}

# --- Python environments --------------------------------------------------------------------------

find_python() {
    local candidate
    for candidate in python3 python3.11 python3.12 python3.13; do
        if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
            2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

python_environment() {
    local venv=$cache/venv/$1 list=$requirements/$1.txt python
    stamped "$venv" "$list" && "$venv/bin/python" -c '' 2>/dev/null && return
    python=$(find_python) || die "needs Python 3.11 or newer with its venv module"
    say "Python environment $1"
    rm -rf "$venv"
    "$python" -m venv "$venv"
    # The lists are complete, and the newest SDK asks for a certifi that not every index has.
    "$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check \
        --no-deps --requirement "$list"
    stamp "$venv" "$list"
}

# --- PostgreSQL 15 to 18 --------------------------------------------------------------------------

# A 15 of the system's packages stays: an instance must not change to another build of its version, which
# may lack what it uses. Some have npm from the Python environment alone.
postgres_versions() {
    local target=$cache/postgres node=$cache/venv/mcp-2.3.0/bin python=$cache/venv/kit/bin/python said
    local versions=(16 17 18)
    [[ -x /usr/lib/postgresql/15/bin/postgres ]] || versions+=(15)
    if [[ $(uname -s) != Linux ]]; then
        say "no PostgreSQL is brought for $(uname -s): the system's own is used"
        return
    fi
    said=$(PATH=$node:$PATH "$python" "$repo/scripts/install_postgres.py" "$target" "${versions[@]}") ||
        die "PostgreSQL could not be fetched or verified"
    while read -r line; do
        [[ $line != *installed* ]] || say "PostgreSQL $line"
    done <<<"$said"
}

# --- Clients in other languages -------------------------------------------------------------------

go_client() {
    local source=$repo/tests/clients/go target=$cache/clients/go
    stamped "$target" "$source"/* && return
    command -v go >/dev/null || { say "no go: tests with the Go SDK are skipped"; return; }
    say "Go SDK's test client"
    mkdir -p "$target"
    (cd "$source" && go build -trimpath -o "$target/client" .) ||
        die "the Go SDK's test client could not be built"
    stamp "$target" "$source"/*
}

java_client() {
    local source=$repo/tests/clients/java target=$cache/clients/java tool
    stamped "$target" "$source"/* && return
    for tool in java javac mvn; do
        command -v $tool >/dev/null ||
            { say "no $tool: tests with the Java SDK are skipped"; return; }
    done
    say "Java SDK's test client"
    rm -rf "$target"
    mkdir -p "$target"
    mvn --quiet --batch-mode -Dstyle.color=never --file "$source/pom.xml" dependency:copy-dependencies \
        -DoutputDirectory="$target/lib" &&
        javac -d "$target/classes" -cp "$target/lib/*" "$source"/*.java ||
        die "the Java SDK's test client could not be built"
    stamp "$target" "$source"/*
}

# --- Node -----------------------------------------------------------------------------------------

# tests/clients/NAME, with its packages, in target/clients/NAME. Some need a newer Node.js than most
# systems have: a Python wheel brings it.
node_packages() {
    local source=$repo/tests/clients/$1 target=$cache/clients/$1 node=$cache/venv/mcp-2.3.0/bin
    stamped "$target" "$source"/* && return
    say "Node packages of tests/clients/$1"
    rm -rf "$target"
    mkdir -p "$target"
    cp "$source"/* "$target"
    PATH=$node:$PATH npm ci --prefix "$target" --silent --no-audit --no-fund ||
        die "the packages of tests/clients/$1 could not be installed"
    stamp "$target" "$source"/*
}

# --- Stamps: a folder is finished when it holds the digest of what it was made from ----------------

stamped() {
    local folder=$1
    shift
    [[ -f $folder/.stamp && $(<"$folder/.stamp") == "$(digest "$@")" ]]
}

stamp() {
    local folder=$1
    shift
    digest "$@" >"$folder/.stamp"
}

digest() { cat "$@" | sha256sum | cut -d' ' -f1; }

main "$@"
