#!/bin/bash
# The commands of docs/TOUR-IMAGES.md, one after the other in one shell, and what they print beside what the text shows:
# `...` in a line is anything, a line of nothing else is any number of lines.
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/tap.sh"
. "$root/tests/http.sh"
unset ONIONSKIN_CACHE
export XDG_CACHE_HOME=$PWD/cache
mkdir bin
ln -s "$IMG_TOOL" bin/img-tool
PATH=$PWD/bin:$PATH

matches() { # GOT-FILE EXPECTED-FILE
    perl -e '
        local $/; open G, shift; my $got = <G> // ""; open E, shift; my $want = <E> // "";
        my $re = join "", map { $_ eq "..." ? "(?:.*\n)*?" : join(".*", map { quotemeta } split /\.\.\./, $_, -1) . "\n" } split /\n/, $want;
        exit($got =~ /\A$re\z/ ? 0 : 1)' "$1" "$2"
}

commands=0
run() { # COMMAND; what it should print is in expected.txt
    commands=$((commands + 1))
    eval "${1//http:\/\/images.example\//$HTTP/ok/}" >got.txt 2>&1
    if matches got.txt expected.txt; then
        tap_result 0 "$1"
    else
        diff expected.txt got.txt | head -n 20 | sed 's/^/# /'
        tap_result 1 "$1"
    fi
    # What the text's web server has
    case $1 in *"compression_type=zstd"*) cp small.qcow2 www ;; esac
}

command= inside=
while IFS= read -r line <&8; do
    case $line in
    '```console') inside=1 && continue ;;
    '```'*) [ -n "$inside" ] && [ -n "$command" ] && run "$command"
        command= inside= && continue ;;
    esac
    [ -n "$inside" ] || continue
    if [[ $line == '$ '* ]]; then
        [ -n "$command" ] && run "$command"
        command=${line#'$ '}
        : >expected.txt
    else
        printf '%s\n' "$line" >>expected.txt
    fi
done 8<"$root/docs/TOUR-IMAGES.md"
is "all commands were run" [ $commands -eq "$(grep -c '^\$ ' "$root/docs/TOUR-IMAGES.md")" -a $commands -gt 50 ]
[ ! -e server.pid ] || kill "$(cat server.pid)" 2>/dev/null
done_testing
