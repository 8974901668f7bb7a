#!/usr/bin/env bash
# What `make cluster-test` needs of Debian: network namespaces, PostgreSQL, a clock that can be wrong.
set -euo pipefail
missing=()
command -v ip >/dev/null || missing+=(iproute2)
command -v faketime >/dev/null || missing+=(faketime)
command -v pg_ctl >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/pg_ctl' >/dev/null || missing+=(postgresql)
((${#missing[@]})) || exit 0
apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
