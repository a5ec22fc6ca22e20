# Read by the scripts beside it. Prints the path of the program, or says where it was looked for and fails.
find_program() {
    local bin
    bin=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
    local candidates=("$CONNECT_HOME/bin/rmqc-fast" "$bin/rmqc-fast" "$bin/../target/release/rmqc-fast") candidate
    # A program named on purpose is the only one that will do.
    [ -z "${RMQC_FAST:-}" ] || candidates=("$RMQC_FAST")
    for candidate in "${candidates[@]}"; do
        if [ -x "$candidate" ] && [ ! -d "$candidate" ]; then
            readlink -f "$candidate"
            return 0
        fi
    done
    if [ -z "${RMQC_FAST:-}" ] && candidate=$(type -P rmqc-fast); then
        readlink -f "$candidate"
        return 0
    fi
    echo "rmqc-fast is not among ${candidates[*]}; copy it there, or name it by RMQC_FAST" >&2
    return 1
}
