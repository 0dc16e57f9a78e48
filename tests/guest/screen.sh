# Read a guest's VGA text screen through the monitor. Sourced after session.sh by bash scripts.
#
#   screen_start COMMAND ARG...   start an emulator with its monitor on stdin/stdout and no display
#   screen_text                   the 25 lines of the screen, in $SCREEN
#   screen_wait TEXT SECONDS      until TEXT is on the screen
#   screen_keys KEY...            press keys, one after the other
SCREEN=

screen_start() { guest_start "$@" -display none -monitor stdio -name screen-end; }

# The low byte of each word is the character; a row has 80.
screen_text() {
    local words= word char n=0
    guest_send 'xp /2000hx 0xb8000'
    guest_send 'info name'
    while guest_line $((SECONDS + 20)); do
        case $GUEST_LINE in
        *screen-end*) break ;;
        *000b[89]???:*) words+=" ${GUEST_LINE#*: }" ;;
        esac
    done
    SCREEN=
    for word in $words; do
        case ${word:4} in
        [01]? | [89a-f]? | 7f) char=' ' ;;
        *) printf -v char '%b' "\\x${word:4}" ;;
        esac
        SCREEN+=$char
        ((++n % 80)) || SCREEN+=$'\n'
    done
}

screen_wait() { # TEXT SECONDS
    local deadline=$((SECONDS + $2))
    while [ "$SECONDS" -lt "$deadline" ]; do
        screen_text
        [[ $SCREEN == *"$1"* ]] && return 0
        kill -0 "$GUEST_JOB" 2>/dev/null || break
        sleep 0.5
    done
    echo "no '$1' on the screen within $2 s:"
    printf '%s\n' "$SCREEN"
    return 1
}

screen_keys() {
    local key
    for key; do
        guest_send "sendkey $key"
        sleep 0.2
    done
}
