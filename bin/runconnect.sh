#!/usr/bin/env bash
# Runs a worker in the foreground. Takes what the Java project's script took: a main class, then the worker's arguments.
# Environment: CONNECT_HOME (default: the folder above this one), NAMESRV_ADDR, RMQC_FAST (the program, if it is neither
# beside this script nor on the PATH).
# Also called by sh, as the Java project's documentation has it.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@"
set -euo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
export CONNECT_HOME="${CONNECT_HOME:-$(dirname "$here")}"
. "$here/find-program.sh"

case "${1:-}" in
    *StandaloneConnectStartup) shift ;;
    *DistributedConnectStartup)
        echo "distributed mode is not there yet: run connect-standalone.sh -c conf/connect-standalone.conf" >&2
        exit 1
        ;;
    *.*[A-Z]*ConnectStartup)
        echo "there is no main class $1: use connect-standalone.sh" >&2
        exit 2
        ;;
esac

program=$(find_program) || exit 1
exec "$program" "$@"
