#!/usr/bin/env bash
# What `make slurm-test` needs of Debian: network namespaces, Slurm and its authentication.
set -euo pipefail
missing=()
command -v ip >/dev/null || missing+=(iproute2)
command -v slurmctld >/dev/null || missing+=(slurm-wlm)
command -v munged >/dev/null || missing+=(munge)
((${#missing[@]})) || exit 0
apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
