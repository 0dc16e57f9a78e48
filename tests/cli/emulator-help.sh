#!/bin/sh
# --help and the manual page come from one table and name the same options.
set -u
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n=0
check() {
    n=$((n + 1))
    what=$1
    shift
    if "$@"; then echo "ok $n - $what"; else echo "not ok $n - $what"; fi
}

"$EMULATOR" -help >"$dir/help"
check "-help succeeds" [ $? = 0 ]
"$EMULATOR" --help=man >"$dir/man"
check "--help=man succeeds" [ $? = 0 ]
check "no line of the help is wider than a terminal" \
    sh -c "! grep -q '.\{81\}' '$dir/help'"
sed -n 's/^  \(-[a-zA-Z-]*\).*/\1/p' "$dir/help" | sort >"$dir/in-help"
sed -n 's/^\.B \\\(-[a-zA-Z\\-]*\).*/\1/p' "$dir/man" | sed 's/\\f.*//; s/\\//g' | sort >"$dir/in-man"
check "both name the same options" cmp -s "$dir/in-help" "$dir/in-man"
check "there are many" [ "$(wc -l <"$dir/in-help")" -gt 30 ]
check "-version prints a version" sh -c "'$EMULATOR' -version | grep -q 'emulator [0-9]'"
check "-cpu help lists models" sh -c "'$EMULATOR' -cpu help | grep -qx qemu64"
echo "1..$n"
