# TAP for shell tests. Sourced first: makes a scratch folder, goes there, removes it at the end.
#
#   is "what" COMMAND...           ok if the command succeeds (its output becomes a diagnostic if not)
#   does "what" COMMAND...         the same in this shell: what it sets stays
#   refused "what" TEXT COMMAND... ok if the command exits with 1, prints one line (beside warnings), and TEXT is in it
#   same "what" GOT EXPECTED       ok if the texts are equal
#   done_testing                   prints the plan; last
set -u
TAP_COUNT=0
TAP_FAILED=0
TAP_FOLDER=$(mktemp -d)
trap 'rm -rf "$TAP_FOLDER"' EXIT
cd "$TAP_FOLDER" || exit 1

tap_result() { # STATUS TEXT
    TAP_COUNT=$((TAP_COUNT + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $TAP_COUNT - $2"
    else
        TAP_FAILED=$((TAP_FAILED + 1))
        echo "not ok $TAP_COUNT - $2"
    fi
}

is() {
    local what=$1 out status
    shift
    out=$("$@" 2>&1)
    status=$?
    [ $status -eq 0 ] || printf '%s\n' "command: $*" "exit code: $status" "$out" | head -n 40 | sed 's/^/# /'
    tap_result $status "$what"
}

does() {
    local what=$1 status
    shift
    "$@" >"$TAP_FOLDER/does.out" 2>&1
    status=$?
    [ $status -eq 0 ] || { echo "command: $*"; echo "exit code: $status"; cat "$TAP_FOLDER/does.out"; } | head -n 40 | sed 's/^/# /'
    tap_result $status "$what"
}

refused() {
    local what=$1 text=$2 out status
    shift 2
    out=$("$@" 2>&1 >/dev/null)
    status=$?
    if [ $status -eq 1 ] && [ "$(printf '%s\n' "$out" | grep -vc -e '^Try ' -e ': warning: ')" -eq 1 ] && [[ $out == *"$text"* ]]; then
        tap_result 0 "$what"
    else
        printf '%s\n' "command: $*" "exit code: $status, expected 1 and '$text' in one line" "$out" | sed 's/^/# /'
        tap_result 1 "$what"
    fi
}

same() {
    if [ "$2" = "$3" ]; then
        tap_result 0 "$1"
    else
        diff <(printf '%s\n' "$3") <(printf '%s\n' "$2") | head -n 30 | sed 's/^/# /'
        tap_result 1 "$1"
    fi
}

skip_all() {
    echo "1..0 # SKIP $1"
    exit 0
}

done_testing() {
    echo "1..$TAP_COUNT"
    [ "$TAP_FAILED" -eq 0 ]
}
