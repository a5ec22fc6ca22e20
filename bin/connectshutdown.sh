#!/usr/bin/env bash
# Asks the worker of this installation to stop: SIGTERM, so that it drains and commits. Does not wait for its end.
# A worker is a process of this very program, run by this user, that runs a worker and no subcommand, and that was not
# started with another CONNECT_HOME. Exit code 255 when there is none.
# Also called by sh, as the Java project's documentation has it.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@"
set -euo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
export CONNECT_HOME="${CONNECT_HOME:-$(dirname "$here")}"
. "$here/find-program.sh"

# Whether the process is a worker of this installation. All that is read here is gone when the process is.
is_worker() {
    local proc="/proc/$1" exe home word
    [ -O "$proc" ] || return 1
    exe=$(readlink "$proc/exe" 2>/dev/null) || return 1
    # An upgrade replaces the file under a running worker.
    [ "${exe% (deleted)}" = "$program" ] || return 1
    local words=()
    while IFS= read -r -d '' word; do words+=("$word"); done <"$proc/cmdline" 2>/dev/null || return 1
    [ ${#words[@]} -gt 0 ] && [ "${words[0]##*/}" != connectAdmin ] || return 1
    # A worker has flags only; a word in the first place is a subcommand.
    case "${words[1]:--}" in -*) ;; *) return 1 ;; esac
    home=$(tr '\0' '\n' <"$proc/environ" 2>/dev/null | sed -n 's/^CONNECT_HOME=//p') || return 1
    [ -z "$home" ] || [ "$(readlink -m "$home")" = "$(readlink -m "$CONNECT_HOME")" ]
}

program=$(find_program) || exit 1
found=()
for proc in /proc/[0-9]*; do
    if is_worker "${proc#/proc/}"; then found+=("${proc#/proc/}"); fi
done
if [ ${#found[@]} -eq 0 ]; then
    echo "No connect running."
    exit 255
fi
echo "The connect(${found[*]}) is running..."
kill -TERM "${found[@]}"
echo "Send shutdown request to connect(${found[*]}) OK"
