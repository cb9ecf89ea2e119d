# What every shell of a session sources first; README.md beside it has the picture.
#   $1  file descriptor that reports go to        $2  file descriptor of the written-down state
#   $3  free number for the runs' stdout          $4  free number for their stderr
#
# The user may redefine anything at any time. So what runs between the user's code is spelled with a backslash, which
# keeps aliases out, asks for builtins by name, and assigns nothing that has no `__execd_` in front.

shopt -s expand_aliases
declare -r __execd_report=$1 __execd_state=/dev/fd/$2
__execd_run='' __execd_exit='' __execd_parameters=()
# What the shell says between runs, such as the traces of `set -x` and `set -v`, is nobody's output.
eval "exec $3>&1 $4>&2 >/dev/null 2>&1"

# Sends a line to the service; twice, since `builtin` or `command` may be a function by now.
__execd_say() {
    \builtin printf '%s\n' "$1" >&"$__execd_report"
    \command printf '%s\n' "$1" >&"$__execd_report"
}

# __execd_begin TOKEN STATUS PARAMETER…: a run begins, for which $? is STATUS.
__execd_begin() {
    __execd_parameters=("${@:3}")
    __execd_run=$1
    __execd_say "$1 begun"
    \return "$2"
}

# __execd_end TOKEN: what ran before was the run.
__execd_end() {
    __execd_code=$?
    __execd_run=''
    __execd_say "$1 $__execd_code"
}

# An interrupt that comes when no run is under way was meant for one that has just ended.
__execd_interrupt() {
    [[ -z $__execd_run ]] || { \builtin exit 130; \command exit 130; }
}

# ---- The end of the shell: its state is written down, then the user's own EXIT trap has its turn.

__execd_leave() {
    __execd_code=$?
    if [[ $BASHPID == "$$" ]]; then
        __execd_token=$__execd_run __execd_run=''
        __execd_frames=("${FUNCNAME[@]:1}")
        __execd_in_function || __execd_parameters=("$@")
        __execd_dump 2>/dev/null >|"$__execd_state"
    fi
    \return "$__execd_code"
}

# The user's EXIT trap may have changed something. If it ended with `exit`, this is not reached.
__execd_left() {
    [[ -z $__execd_exit || $BASHPID != "$$" ]] || __execd_dump 2>/dev/null >|"$__execd_state"
}

__execd_in_function() {
    [[ -n ${__execd_frames[*]//source/} && "${__execd_frames[*]}" == *[!\ ]* ]]
}

# The state as a script, complete if its last line says so. In a subshell, which may change what it likes.
__execd_dump() (
    __execd_builtin=$(\command declare -f builtin)
    \command unset -f builtin
    __execd_traps=$(builtin trap -p)
    builtin trap '' HUP INT TERM
    builtin trap - DEBUG ERR RETURN
    builtin mapfile -t __execd_options < <(builtin set +o; builtin shopt -p)
    builtin set +euxCETo posix
    builtin shopt -u extdebug localvar_inherit localvar_unset nocasematch
    builtin mapfile -t __execd_names < <(builtin compgen -v)
    __execd_hidden=' '
    ! __execd_in_function || __execd_unshadow

    __execd_folder=$(builtin pwd; builtin printf .)
    builtin printf '\\builtin cd -- %q\n' "${__execd_folder%$'\n'.}"
    builtin printf '\\builtin umask %s\n' "$(builtin umask)"
    builtin printf '\\builtin shopt -u expand_aliases\n\\builtin shopt -s extglob\n__execd_forget\n'
    __execd_print_variables
    builtin alias -p
    __execd_print_functions
    builtin printf '%s\n' "$__execd_traps"
    __execd_print_options
    __execd_print_last_functions
    builtin printf '\\builtin set --'
    builtin printf ' %q' "${__execd_parameters[@]}"
    builtin printf '\n%s\n# left %s\n' "$__execd_posix" "$__execd_token"
)

# In a function, `exit` leaves its local variables in sight. A local one that is unset from here makes way for the one
# behind it; the global one is known by the trace attribute, which means nothing for a variable.
__execd_unshadow() {
    builtin local __execd_name __execd_frame
    for __execd_name in "${__execd_names[@]}"; do
        ! __execd_is_special "$__execd_name" || continue
        if [[ -R $__execd_name ]]; then
            builtin unset -n -- "$__execd_name"
            continue
        fi
        builtin declare -gt -- "$__execd_name"
        for __execd_frame in "${FUNCNAME[@]}"; do
            [[ ${!__execd_name@a} != *t* ]] || break
            builtin unset -v -- "$__execd_name" || __execd_hidden+="$__execd_name "
        done
        builtin declare -g +t -- "$__execd_name"
        [[ -v $__execd_name || ${!__execd_name@a} == *[aA]* ]] || builtin unset -v -- "$__execd_name"
    done
}

# Whether a variable is ours, or says something about one shell only.
__execd_is_special() {
    case $1 in
        __execd_* | BASH | BASHOPTS | BASHPID | BASH_ALIASES | BASH_ARGC | BASH_ARGV | BASH_ARGV0 | BASH_CMDS | \
        BASH_COMMAND | BASH_LINENO | BASH_SOURCE | BASH_SUBSHELL | BASH_VERSINFO | BASH_VERSION | COMP_WORDBREAKS | \
        DIRSTACK | EPOCHREALTIME | EPOCHSECONDS | EUID | FUNCNAME | GROUPS | HISTCMD | LINENO | PIPESTATUS | \
        POSIXLY_CORRECT | PPID | PWD | RANDOM | SECONDS | SHELLOPTS | SRANDOM | UID | _) ;;
        *) builtin return 1 ;;
    esac
}

__execd_print_variables() {
    builtin local __execd_name
    for __execd_name in "${__execd_names[@]}"; do
        __execd_is_special "$__execd_name" || [[ $__execd_hidden == *" $__execd_name "* ]] ||
            builtin declare -p -- "$__execd_name"
    done
}

# Each in a here-document of its own: where bash cannot read one back, the others are not lost. The two that would be in
# the way of reading the rest come last.
__execd_print_functions() {
    builtin local __execd_line __execd_name
    builtin mapfile -t __execd_names < <(builtin declare -F)
    __execd_limit=__execd_$RANDOM$RANDOM$RANDOM
    for __execd_line in "${__execd_names[@]}"; do
        __execd_name=${__execd_line##* }
        case $__execd_name in
            __execd_* | trap) continue ;;
        esac
        __execd_print_function "$(builtin declare -f -- "$__execd_name")"
        [[ $__execd_line == 'declare -f '* ]] ||
            builtin printf '\\builtin %s -- %q\n' "${__execd_line% *}" "$__execd_name"
    done
}

__execd_print_last_functions() {
    builtin local __execd_text
    __execd_text=$(builtin declare -f trap)
    [[ -z $__execd_text || $__execd_text == *__execd_* ]] || __execd_print_function "$__execd_text"
    [[ -z $__execd_builtin ]] || __execd_print_function "$__execd_builtin"
}

__execd_print_function() {
    builtin printf "\\\\builtin . /dev/stdin <<'%s'\n%s\n%s\n" "$__execd_limit" "$1" "$__execd_limit"
}

# With `noexec` or `onecmd` there would be no next run, and `posix` must wait for all the others.
__execd_print_options() {
    builtin local __execd_line
    __execd_posix=''
    for __execd_line in "${__execd_options[@]}"; do
        case $__execd_line in
            'set -o posix') __execd_posix='\builtin set -o posix' ;;
            *' posix' | *' noexec' | *' onecmd' | *' login_shell' | *' restricted_shell') ;;
            *) builtin printf '\\builtin %s\n' "$__execd_line" ;;
        esac
    done
}

# What a new shell has by itself: what the user has unset must not come back.
__execd_forget() {
    builtin local __execd_name
    builtin mapfile -t __execd_names < <(builtin compgen -v)
    for __execd_name in "${__execd_names[@]}"; do
        __execd_is_special "$__execd_name" || builtin unset -v -- "$__execd_name"
    done
}

# ---- `trap`, so that the user's EXIT trap is kept aside and ours stays where it is. Everything else goes to the
# builtin, but three of the traps are about functions, and this is one: DEBUG and ERR are put back when it returns, and
# RETURN fires then. So what they are set to is a trap that sets them.

trap() {
    { builtin local - && builtin set +euxET; } 2>/dev/null
    builtin local __execd_action=- __execd_signal __execd_code=0
    case $#$1 in
        0* | *-[lp]*)
            __execd_print_traps "$@"
            builtin return
            ;;
    esac
    [[ $1 != -- ]] || builtin shift
    if (($# > 1)) && [[ -z $1 || $1 == *[!0-9]* ]]; then
        __execd_action=$1
        builtin shift
    fi
    for __execd_signal; do
        case ${__execd_signal^^}$__execd_action in
            0* | EXIT* | SIGEXIT*) __execd_set_exit_trap "$__execd_action" ;;
            RETURN-) builtin trap -- "builtin trap -- 'builtin trap - RETURN # __execd_' RETURN" RETURN ;;
            RETURN*) builtin trap -- "builtin trap -- ${__execd_action@Q} RETURN" RETURN ;;
            DEBUG- | ERR-) builtin trap -- "builtin trap - $__execd_signal # __execd_" "$__execd_signal" ;;
            *) builtin trap -- "$__execd_action" "$__execd_signal" || __execd_code=1 ;;
        esac
    done
    builtin return "$__execd_code"
}

__execd_set_exit_trap() {
    if [[ $BASHPID != "$$" ]]; then
        builtin trap -- "$1" EXIT
    elif [[ $1 == - ]]; then
        __execd_exit=''
    elif [[ $1 != *__execd_* ]]; then
        __execd_exit=$1
    fi
}

# What `trap` and `trap -p` print, without what is ours.
__execd_print_traps() {
    builtin local __execd_line __execd_traps
    if [[ $1 == -l* ]]; then
        builtin trap "$@"
        builtin return
    fi
    __execd_traps=$(builtin trap -p "$@") || __execd_code=1
    while IFS='' builtin read -r __execd_line; do
        case $__execd_line in
            *__execd_leave*) [[ -z $__execd_exit ]] || builtin printf 'trap -- %s EXIT\n' "${__execd_exit@Q}" ;;
            *__execd_*) ;;
            *) builtin printf '%s\n' "$__execd_line" ;;
        esac
    done <<<"$__execd_traps"
    builtin return "$__execd_code"
}

readonly -f __execd_say __execd_begin __execd_end __execd_interrupt __execd_leave __execd_left
builtin trap '__execd_leave "$@" && [[ 1 ]]; \eval "$__execd_exit"; __execd_left' EXIT
builtin trap __execd_interrupt INT RTMAX
