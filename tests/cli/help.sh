#!/bin/bash
# Help, manual page and version; every option that the help names is one that the command knows.
. "$(dirname "$0")/../tap.sh"

commands=$("$IMG_TOOL" --help | sed -n '/^Command syntax:/,/^$/s/^  \([a-z]*\) .*/\1/p')
is "the help lists subcommands" [ "$(wc -w <<<"$commands")" -ge 18 ]
is "info's line names -U" sh -c '"$IMG_TOOL" --help | grep -q "^  info .*\[-U\]"'
is "the formats are on one line" sh -c '"$IMG_TOOL" --help | grep -q "^Supported formats: .*qcow2.* raw"'
same "--version" "$("$IMG_TOOL" --version)" "$("$IMG_TOOL" -V)"
ln -s "$IMG_TOOL" qemu-img
is "called qemu-img it says so" sh -c './qemu-img --version | grep -Eq "^qemu-img version [0-9]+\.[0-9]+\.[0-9]+"'
is "-T and --trace go before the subcommand" sh -c '"$IMG_TOOL" -T "block*" --trace=events=x -T enable=qcow2_\* --help'
is "a trace event that is not there is a warning" sh -c '"$IMG_TOOL" -T nonsense -V 2>&1 | grep -q "warning: trace event .nonsense. does not exist"'
refused "an unknown subcommand" "unknown command 'nonsense'" "$IMG_TOOL" nonsense
refused "no subcommand" "not enough arguments" "$IMG_TOOL"
refused "an unknown standard option" "invalid option" "$IMG_TOOL" -x

for c in $commands; do
    "$IMG_TOOL" "$c" --help >help.txt 2>err.txt
    same "$c --help: exit code and errors" "$? $(cat err.txt)" "0 "
    same "$c -h is the same" "$("$IMG_TOOL" "$c" -h)" "$(cat help.txt)"
    # Options that take a value get one that may be wrong: it is only of interest that they are known.
    unknown=
    for option in $(grep -oE '^  (-[A-Za-z])?(, )?(--[a-z-]+)?' help.txt | tr -d ',' | tr -s ' ' '\n' | grep '^-'); do
        [ "$option" = --help ] && continue
        "$IMG_TOOL" "$c" "$option" x </dev/null >out.txt 2>&1
        grep -Eq "unrecognized option|invalid option|unknown option" out.txt && unknown="$unknown $option"
    done
    same "$c knows the options of its help" "$unknown" ""
    same "$c lists no option twice" "$(grep -oE '^  --?[A-Za-z][a-z-]*' help.txt | sort | uniq -d)" ""
    # What the usage line names is explained, and the other way round.
    usage=$(sed '/^$/q' help.txt | tr -d '\n' | tr -s ' ')
    missing=
    for option in $(grep -oE '(^|[[( ])--?[A-Za-z][a-z-]*' <<<"$usage" | grep -oE -- '--?[A-Za-z][a-z-]*' | sort -u); do
        grep -qE -- "^  (.*, )?$option( |=|\$|,|\[)" help.txt || missing="$missing $option"
    done
    same "$c explains the options of its usage" "$missing" ""
done

"$IMG_TOOL" --help=man >man.1
is "the manual page has every subcommand" sh -c 'for c in '"$(echo $commands)"'; do grep -qx ".SS $c" man.1 || exit 1; done'
if command -v groff >/dev/null; then
    is "the manual page is sound" sh -c 'test -z "$(groff -man -ww -Tutf8 man.1 2>&1 >/dev/null)"'
fi

# --- what is installed ---------------------------------------------------------------------------
root=$(cd "$(dirname "$IMG_TOOL")/.." && pwd)
if [ -f "$root/Makefile" ]; then # not for a build elsewhere
    is "make install-compat" make -s -C "$root" install-compat DESTDIR="$PWD/inst" PREFIX=/usr
    for f in bin/img-tool bin/emulator share/man/man1/img-tool.1 share/bash-completion/completions/img-tool \
        share/zsh/site-functions/_img-tool share/fish/vendor_completions.d/img-tool.fish share/man/man1/qemu-img.1; do
        is "installs $f" [ -s "inst/usr/$f" ]
    done
    is "installs qemu-img" sh -c 'inst/usr/bin/qemu-img --version | grep -q "^qemu-img version"'
    is "installs qemu-io" sh -c 'inst/usr/bin/qemu-io -c help | grep -q "^aio_write"'
fi
done_testing
