# Talk to a guest on its serial line. Sourced by bash scripts; nothing here knows what the guest runs.
#
#   guest_start COMMAND ARG...    start an emulator whose serial line is stdin/stdout; log in $GUEST_LOG
#   guest_wait TEXT SECONDS       until a line contains TEXT; fails at the time limit or the guest's end
#   guest_run 'COMMAND' SECONDS   run a shell command in the guest; its output in $GUEST_OUTPUT, its exit code returned
#   guest_send TEXT               type a line
#   guest_end SECONDS             wait until the emulator has ended; its exit code
GUEST_LOG=${GUEST_LOG:-/dev/null}
GUEST_OUTPUT=
PATIENCE=${PATIENCE:-1} # time limits are multiplied by it: slow builds

guest_start() {
    : >"$GUEST_LOG"
    coproc GUEST_IO { exec "$@" 2>>"$GUEST_LOG"; }
    GUEST_JOB=$GUEST_IO_PID
    exec {GUEST_IN}>&"${GUEST_IO[1]}" {GUEST_FROM}<&"${GUEST_IO[0]}"
}

# The next line without carriage returns; 1 at the end of output, 2 at the time limit.
guest_line() { # DEADLINE
    local left=$(($1 - SECONDS))
    [ "$left" -gt 0 ] || return 2
    IFS= read -r -t "$left" -u "$GUEST_FROM" GUEST_LINE || { [ $? -gt 128 ] && return 2 || return 1; }
    GUEST_LINE=${GUEST_LINE//$'\r'/}
    printf '%s\n' "$GUEST_LINE" >>"$GUEST_LOG"
}

guest_wait() { # TEXT SECONDS
    local deadline=$((SECONDS + $2 * PATIENCE))
    while guest_line "$deadline"; do
        case $GUEST_LINE in *"$1"*) return 0 ;; esac
    done
    echo "no '$1' within $2 s; the last lines of the guest:" >&2
    tail -n 15 "$GUEST_LOG" >&2
    return 1
}

guest_send() { printf '%s\n' "$1" >&"$GUEST_IN"; }

guest_run() { # COMMAND SECONDS
    local deadline=$((SECONDS + $2 * PATIENCE)) mark=M$RANDOM$RANDOM
    GUEST_OUTPUT=
    # The marker is typed in two halves, so that the echo of the command does not look like its end.
    guest_send "$1; echo \"${mark:0:3}\"\"${mark:3}:\$?\""
    while guest_line "$deadline"; do
        case $GUEST_LINE in
        *"$mark":*) return "${GUEST_LINE##*:}" ;;
        esac
        GUEST_OUTPUT+=$GUEST_LINE$'\n'
    done
    echo "the guest did not finish '$1' within $2 s; its last lines:" >&2
    tail -n 15 "$GUEST_LOG" >&2
    return 255
}

guest_end() { # SECONDS
    local deadline=$((SECONDS + $1 * PATIENCE))
    while kill -0 "$GUEST_JOB" 2>/dev/null; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            kill "$GUEST_JOB"
            echo "the emulator did not end within $1 s" >&2
            return 255
        fi
        read -r -t 0.2 -u "$GUEST_FROM" GUEST_LINE && printf '%s\n' "$GUEST_LINE" >>"$GUEST_LOG"
        :
    done
    wait "$GUEST_JOB" 2>/dev/null
}
