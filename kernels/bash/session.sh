# The first thing that every shell of a session sources: how a run is reported, and how the shell's state is written
# down when the shell itself ends, so that the next one can go on from there.
#   $1  file descriptor that reports go to      $2  file that the state is written to

shopt -s expand_aliases
__execd_report=$1
__execd_state=$2
exec {__execd_stderr}>&2

# Reports the exit code of what ran before, under the run's token, and leaves it in $?.
__execd_end() {
    local __execd_code=$?
    builtin printf '%s %d\n' "$1" "$__execd_code" >&"$__execd_report"
    return "$__execd_code"
}

__execd_variables() {
    local __execd_name
    for __execd_name in $(builtin compgen -v); do
        case $__execd_name in
            __execd_* | BASH | BASH_* | BASHOPTS | BASHPID | COMP_* | DIRSTACK | EPOCH* | EUID | FUNCNAME | GROUPS | \
            HISTCMD | LINENO | PIPESTATUS | PPID | PWD | RANDOM | SECONDS | SHELLOPTS | SHLVL | SRANDOM | UID | _) ;;
            *) builtin declare -p -- "$__execd_name" ;;
        esac
    done
}

__execd_functions() {
    local __execd_line __execd_name
    while builtin read -r __execd_line; do
        __execd_name=${__execd_line##* }
        case $__execd_name in
            __execd_*) continue ;;
        esac
        builtin declare -f -- "$__execd_name"
        case $__execd_line in
            'declare -fx '*) builtin printf 'declare -fx %q\n' "$__execd_name" ;;
        esac
    done <<<"$(builtin declare -F)"
}

# The state as a script. Options come last: `set -e` must not end the shell that reads this.
__execd_dump() {
    __execd_variables
    __execd_functions
    builtin alias -p
    builtin printf 'cd -- %q\n' "$PWD"
    builtin umask -p
    builtin trap -p | while builtin read -r __execd_line; do
        case $__execd_line in
            *__execd_*) ;;
            *) builtin printf '%s\n' "$__execd_line" ;;
        esac
    done
    builtin shopt -p
    builtin printf '%s\n' "$__execd_options"
}

__execd_leave() {
    local __execd_code=$?
    local __execd_options
    __execd_options=$(builtin set +o)
    builtin set +eux
    __execd_dump 2>/dev/null >|"$__execd_state.new"
    command mv -f -- "$__execd_state.new" "$__execd_state"
    builtin exit "$__execd_code"
}

trap __execd_leave EXIT
trap 'exit 130' INT
