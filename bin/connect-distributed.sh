#!/usr/bin/env bash
# Would run a worker of a distributed cluster; says that there is no such mode yet, and fails.
# Also called by sh, as the Java project's documentation has it.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@"
set -euo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
export CONNECT_HOME="${CONNECT_HOME:-$(dirname "$here")}"
exec bash "$here/runconnect.sh" org.apache.rocketmq.connect.runtime.DistributedConnectStartup "$@"
