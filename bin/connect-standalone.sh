#!/usr/bin/env bash
# Runs a standalone worker in the foreground: connect-standalone.sh -c conf/connect-standalone.conf
# Also called by sh, as the Java project's documentation has it.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@"
set -euo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
export CONNECT_HOME="${CONNECT_HOME:-$(dirname "$here")}"
exec bash "$here/runconnect.sh" org.apache.rocketmq.connect.runtime.StandaloneConnectStartup "$@"
