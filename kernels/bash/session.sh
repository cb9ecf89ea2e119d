# What every shell of a session sources first; README.md beside it has the picture.
#   $1  file descriptor that reports go to        $2  file descriptor of the written-down state
#   $3  free number for the runs' stdout          $4  free number for their stderr
#   $5  file descriptor of a run's variables
#
# The user may redefine anything at any time. So what runs between the user's code is spelled with a backslash, which
# keeps aliases out, asks for builtins by name, and assigns nothing that has no `__execd_` in front.

shopt -s expand_aliases
declare -r __execd_report=$1 __execd_state=/dev/fd/$2 __execd_stdout=$3 __execd_stderr=$4 __execd_variables=/dev/fd/$5
__execd_run='' __execd_exit='' __execd_parameters=()
declare -A __execd_noted=() __execd_kept=()
# What the shell says between runs, such as the traces of `set -x` and `set -v`, is nobody's output.
eval "exec $3>&1 $4>&2 >/dev/null 2>&1"

# Sends a line to the service; twice, since `builtin` or `command` may be a function by now.
__execd_say() {
    \builtin printf '%s\n' "$1" >&"$__execd_report"
    \command printf '%s\n' "$1" >&"$__execd_report"
}

# __execd_begin TOKEN STATUS PARAMETER…: a run begins, for which $? is STATUS. A state that was written down has been
# read back by now, and must not be taken for this shell's.
__execd_begin() {
    >|"$__execd_state"
    __execd_parameters=("${@:3}")
    __execd_run=$1
    __execd_say "$1 begun"
    \builtin return "$2"
}

# __execd_end TOKEN: what ran before was the run. Fails where its variables cannot be put back, as after `readonly`: a
# new shell must go on then, from the state that this one writes down.
__execd_end() {
    __execd_status=$?
    [[ -z ${__execd_kept[*]+given} ]] || __execd_take_back || \return 1
    __execd_run=''
    __execd_say "$1 $__execd_status"
}

# ---- Variables of one run. What they were before is kept, as declarations; empty for one that was not there.

# __execd_give: set and export those in the file, but for what the shell itself says, as it does with an environment.
__execd_give() {
    { \builtin local - && \builtin set +aeuxET; } >/dev/null 2>&1
    __execd_by=command
    \builtin eval '__execd_by=builtin' >/dev/null 2>&1  # unless that is a function by now
    "$__execd_by" declare -gA __execd_kept=''
    __execd_kept=()
    "$__execd_by" mapfile -d '' -t __execd_given <"$__execd_variables"
    >|"$__execd_variables"
    for __execd_each in "${__execd_given[@]}"; do
        __execd_name=${__execd_each%%=*}
        ! __execd_is_special "$__execd_name" || continue
        __execd_keep
        if ! __execd_clear "$__execd_name"; then
            "$__execd_by" unset -v "__execd_kept[$__execd_name]"
            __execd_given=() __execd_each=''
            \return 1
        fi
        "$__execd_by" declare -gx -- "$__execd_each"
    done
    __execd_given=() __execd_each=''
}

__execd_keep() {
    __execd_kept[$__execd_name]=''
    ! "$__execd_by" declare -p -- "$__execd_name" >/dev/null 2>&1 ||
        __execd_kept[$__execd_name]=$("$__execd_by" declare -p -- "$__execd_name")
}

# The attributes go too: in an integer, a text would be a sum.
__execd_clear() {
    [[ ! -R $1 ]] || "$__execd_by" unset -n -- "$1"
    "$__execd_by" unset -v -- "$1"
}

__execd_take_back() {
    { \builtin local - && \builtin set +aeuxET; } >/dev/null 2>&1
    __execd_by=command
    \builtin eval '__execd_by=builtin' >/dev/null 2>&1
    for __execd_name in "${!__execd_kept[@]}"; do
        __execd_clear "$__execd_name" || return 1
        __execd_put_back "${__execd_kept[$__execd_name]}"
    done
    __execd_kept=()
}

# An array needs an assignment of its own: only the plain word `declare`, which may be anything by now, reads one.
__execd_put_back() {
    __execd_flags=${1#declare }
    __execd_flags=${__execd_flags%% *}
    if [[ $__execd_flags == *[aA]* ]]; then
        "$__execd_by" declare -g "$__execd_flags" "$__execd_name"
        "$__execd_by" eval "${1#"declare $__execd_flags "}"
    elif [[ $1 ]]; then
        "$__execd_by" eval "\\$__execd_by declare -g ${1#declare }"
    fi
}

# An interrupt that comes when no run is under way was meant for one that has just ended.
__execd_interrupt() {
    [[ -z $__execd_run ]] || { \builtin exit 130; \command exit 130; }
}

# ---- The end of the shell: its state is written down, then the user's own EXIT trap has its turn.

__execd_leave() {
    if [[ $BASHPID == "$$" ]]; then
        __execd_token=$__execd_run __execd_run=''
        __execd_frames=("${FUNCNAME[@]:1}")
        __execd_in_function || __execd_parameters=("$@")
        __execd_write_state
    fi
}

__execd_restore_status() {
    \builtin return "$__execd_status"
}

# The user's EXIT trap may have changed something. If it ended with `exit`, this is not reached.
__execd_left() {
    [[ -z $__execd_exit || $BASHPID != "$$" ]] || __execd_write_state
}

# In a list like this, `set -e` is not in force.
__execd_write_state() {
    __execd_dump 2>/dev/null >|"$__execd_state" || [[ 1 ]]
}

__execd_in_function() {
    [[ -n ${__execd_frames[*]//source/} && "${__execd_frames[*]}" == *[!\ ]* ]]
}

# The state as a script, complete if its last line says so. In a subshell, which may change what it likes; it starts as
# few others as it can.
__execd_dump() (
    __execd_builtin=''
    if \command declare -F builtin; then
        __execd_builtin=$(\command declare -f builtin)
        \command unset -f builtin
    fi >/dev/null
    __execd_limit=__execd_$RANDOM$RANDOM$RANDOM
    __execd_quote traps builtin printf '%s\n' "$__execd_traps"
    builtin trap '' HUP INT TERM
    builtin trap - DEBUG ERR RETURN
    __execd_quote options __execd_print_options
    builtin set +euxCo posix
    builtin shopt -u extdebug localvar_inherit localvar_unset nocasematch
    builtin mapfile -t __execd_names < <(\builtin compgen -v)
    __execd_hidden=' '
    [[ -n ${__execd_kept[*]+given} ]] || builtin declare -gA __execd_kept
    ! __execd_in_function || __execd_unshadow

    builtin printf '\\builtin cd -- %q\n' "${DIRSTACK[0]-$PWD}"
    builtin umask -p
    builtin printf '\\builtin shopt -u expand_aliases\n\\builtin shopt -s extglob\n__execd_forget\n'
    __execd_print_variables
    builtin declare -p __execd_noted
    builtin alias -p
    __execd_print_functions
    builtin printf '\\builtin eval "$__execd_traps"\n'
    builtin printf '__execd_set_options\n'
    __execd_print_function trap
    [[ -z $__execd_builtin ]] || __execd_source builtin printf '%s\n' "$__execd_builtin"
    builtin printf '\\builtin set --'
    [[ ${#__execd_parameters[@]} == 0 ]] || builtin printf ' %q' "${__execd_parameters[@]}"
    builtin printf '\n[[ $__execd_options != *"set -o posix"* ]] || \\builtin set -o posix'
    builtin printf '\n# left %s\n' "$__execd_token"
)

# __execd_quote NAME COMMAND…: the new shell shall have the command's output in __execd_NAME.
__execd_quote() {
    builtin printf "IFS='' \\\\builtin read -r -d '' __execd_%s <<'%s'\n" "$1" "$__execd_limit"
    "${@:2}"
    builtin printf '%s\n' "$__execd_limit"
}

# __execd_source COMMAND…: the new shell shall source the command's output. Each function comes like this: where bash
# cannot read back what it prints, the others are not lost.
__execd_source() {
    builtin printf "\\\\builtin . /dev/stdin <<'%s'\n" "$__execd_limit"
    "$@"
    builtin printf '%s\n' "$__execd_limit"
}

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
        *) [[ '' ]] ;;
    esac
}

__execd_print_variables() {
    builtin local __execd_name
    for __execd_name in "${__execd_names[@]}"; do
        __execd_is_special "$__execd_name" || [[ $__execd_hidden == *" $__execd_name "* ]] ||
            [[ -v __execd_kept[$__execd_name] ]] || builtin declare -p -- "$__execd_name"
    done
    # What a run has changed for itself is as it was.
    [[ -z ${__execd_kept[*]+given} ]] || builtin printf '%s\n' "${__execd_kept[@]}"
}

# All but the two that would be in the way of reading the rest.
__execd_print_functions() {
    builtin local __execd_line __execd_name
    builtin mapfile -t __execd_names < <(\builtin declare -F)
    for __execd_line in "${__execd_names[@]}"; do
        __execd_name=${__execd_line##* }
        case $__execd_name in
            __execd_* | trap) continue ;;
        esac
        __execd_print_function "$__execd_name"
        [[ $__execd_line == 'declare -f '* ]] ||
            builtin printf '\\builtin %s -- %q\n' "${__execd_line% *}" "$__execd_name"
    done
}

__execd_print_function() {
    __execd_source builtin declare -f -- "$1"
}

# `shopt` comes first: `extdebug` sets two of the others.
__execd_print_options() {
    builtin shopt -p
    builtin set +o
    [[ $__execd_flags != *E* ]] || builtin printf 'set -o errtrace\n'
    [[ $__execd_flags != *T* ]] || builtin printf 'set -o functrace\n'
    [[ $__execd_flags != *x* ]] || builtin printf 'set -o xtrace\n'
}

# ---- The beginning of a shell that goes on from there.

# With `noexec` or `onecmd` there would be no next run, and `posix` must wait for all the others.
__execd_set_options() {
    builtin local __execd_command __execd_flag __execd_name
    while IFS=' ' builtin read -r __execd_command __execd_flag __execd_name; do
        case $__execd_name in
            '' | posix | noexec | onecmd | login_shell | restricted_shell) ;;
            *) builtin "$__execd_command" "$__execd_flag" "$__execd_name" ;;
        esac
    done <<<"$__execd_options"
}

# What a new shell has by itself: what the user has unset must not come back.
__execd_forget() {
    builtin local __execd_name
    builtin mapfile -t __execd_names < <(\builtin compgen -v)
    for __execd_name in "${__execd_names[@]}"; do
        __execd_is_special "$__execd_name" || builtin unset -v -- "$__execd_name"
    done
}

# ---- `trap`, so that the user's EXIT trap is kept aside and ours stays where it is. Everything else goes to the
# builtin, but three of the traps are about functions, and this is one: DEBUG and ERR are put back when it returns, and
# RETURN fires then. So it is what a RETURN trap does that they are set; and they are noted, to be printed.

trap() {
    { builtin local - && builtin set +euxET; } 2>/dev/null
    builtin local __execd_action=- __execd_signal __execd_text='' __execd_return __execd_status=0
    if [[ $# == 0 || $1 == -[lp]* ]]; then
        __execd_list_traps "$@"
        builtin return
    fi
    [[ $1 != -- ]] || builtin shift
    if (($# > 1)) && [[ -z $1 || $1 == *[!0-9]* ]]; then
        __execd_action=$1
        builtin shift
    fi
    for __execd_signal; do
        __execd_signal=${__execd_signal^^}
        case $__execd_signal in
            DEBUG | ERR | RETURN) __execd_note_trap ;;
            0 | EXIT | SIGEXIT) __execd_set_exit_trap "$__execd_action" ;;
            *) builtin trap -- "$__execd_action" "$__execd_signal" || __execd_status=1 ;;
        esac
    done
    [[ -z $__execd_text ]] || builtin trap -- "${__execd_return-builtin trap - RETURN}$__execd_text" RETURN
    builtin return "$__execd_status"
}

__execd_note_trap() {
    builtin local __execd_new="$__execd_action"
    if [[ $__execd_action == - ]]; then
        __execd_new="builtin trap - $__execd_signal # __execd_"
        __execd_noted[$__execd_signal]=''
    elif [[ $__execd_action != *__execd_* ]]; then
        __execd_noted[$__execd_signal]=$__execd_action
        # A run's file returns as well, and that is nobody's business.
        [[ $__execd_signal != RETURN ]] ||
            __execd_new="case \${BASH_SOURCE-} in '') : __execd_ ;; *) $__execd_action"$'\nesac'
    fi
    # DEBUG comes last, for it would be about the others.
    case $__execd_signal in
        RETURN) __execd_return="builtin trap -- ${__execd_new@Q} RETURN" __execd_text+=$'\n' ;;
        ERR) __execd_text=$'\n'"builtin trap -- ${__execd_new@Q} ERR$__execd_text" ;;
        DEBUG) __execd_text+=$'\n'"builtin trap -- ${__execd_new@Q} DEBUG" ;;
    esac
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
__execd_list_traps() {
    builtin local __execd_line __execd_text __execd_signal
    if [[ $1 == -l* ]]; then
        builtin trap "$@"
        builtin return
    fi
    __execd_text=$(\builtin trap -p "$@")
    __execd_status=$?
    while IFS='' builtin read -r __execd_line; do
        case $__execd_line in
            *__execd_leave*) __execd_print_trap "$__execd_exit" EXIT ;;
            *__execd_*) ;;
            *) [[ -z $__execd_text ]] || builtin printf '%s\n' "$__execd_line" ;;
        esac
    done <<<"$__execd_text"
    for __execd_signal in DEBUG ERR RETURN; do
        [[ $# -lt 2 && $1 != -p?* || " ${*^^} " == *" $__execd_signal "* ]] || continue
        __execd_print_trap "${__execd_noted[$__execd_signal]-}" "$__execd_signal"
    done
    builtin return "$__execd_status"
}

__execd_print_trap() {
    [[ -z $1 ]] || builtin printf 'trap -- %s %s\n' "${1@Q}" "$2"
}

readonly -f $(compgen -A function __execd_)
# In one line, by which `__execd_list_traps` knows it.
builtin trap '{ __execd_status=$? __execd_flags=$-; \builtin set +xET; '\
'__execd_traps=$(\command unset -f builtin; \builtin trap -p); \__execd_leave "$@"; } 2>/dev/null; '\
'[[ -n ${__execd_frames[*]} ]] || \exec >&"$__execd_stdout" 2>&"$__execd_stderr"; '\
'\__execd_restore_status && [[ 1 ]]; \builtin eval "$__execd_exit"; \__execd_left' EXIT
builtin trap '\__execd_interrupt' INT RTMAX
