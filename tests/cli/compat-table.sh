#!/bin/bash
# docs/QEMU-IMG.md: each row names a test that is there and uses the option; each option and command in the help of the
# installed qemu-img, qemu-io and qemu-nbd has a row.
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/tap.sh"
table=$root/docs/QEMU-IMG.md

# SECTION <tab> SUBSECTION <tab> names, blank between <tab> tests, blank between; one line a row
rows() {
    awk -F ' [|] ' '
        /^## / { section = $0; sub(/^## /, "", section); sub(/ \(.*/, "", section); sub_ = "-" }
        /^### / { sub_ = $0; sub(/^### /, "", sub_) }
        /^[|] `/ {
            gsub(/\\[|]/, "\001"); names = $1; tests = $NF; all = ""
            while (match(names, /`[^`]*`/)) {
                name = substr(names, RSTART + 1, RLENGTH - 2); names = substr(names, RSTART + RLENGTH)
                sub(/[ =\[].*/, "", name)
                if (section ~ /^Where/ || name ~ /^-/ || all == "") all = all " " name
            }
            gsub(/[`,|]/, "", tests); sub(/ +$/, "", tests); print section "\t" sub_ "\t" all "\t" tests
        }' "$table"
}
uses() { # FILE WORD [COMMAND]: on a line that is no comment, with the command unless the file's name has it
    local about=${1##*/}
    about=" $(tr '.-' '  ' <<<"${about/qemu-io/io}") "
    grep -v '^ *#' "$1" | { [ -z "$3" ] || [[ $about == *" $3 "* ]] && cat || grep -E -- "(^|[^A-Za-z0-9_])$3([^A-Za-z0-9_]|\$)"; } |
        grep -qE -- "(^|[^-A-Za-z0-9_])$(sed 's/[][\\.*^$+?(){}|]/\\&/g' <<<"$2")([^-A-Za-z0-9_]|\$)"
}
uses_flag() { # COMMAND FLAG FILES...: "read -qP", "read -P", in one of them
    local command=$1 flag=$2
    shift 2
    cat "$@" | grep -v '^ *#' | grep -qE -- "(^|[^-A-Za-z0-9_])$command [^\"']*-[A-Za-z]*${flag#-}"
}

rows >rows.txt
is "there are rows" [ "$(wc -l <rows.txt)" -gt 250 ]
bad=
while IFS=$'\t' read -r section sub names tests; do
    for t in $tests; do
        [ -f "$root/$t" ] || bad="$bad; $sub $names: there is no $t"
    done
    found=
    case "$section/$sub" in
    Where*) continue ;;
    qemu-io/Commands)
        set -- $names
        command=$1
        shift
        for flag; do
            (cd "$root" && uses_flag "$command" "$flag" $tests) || bad="$bad; $command $flag is not in $tests"
        done
        for t in $tests; do uses "$root/$t" "$command" "" && found=1; done
        ;;
    qemu-io/*) for n in $names; do uses "$root/$tests" "$n" io && found=1; done ;;
    qemu-img/* | "Ours alone"/*) for n in $names; do uses "$root/$tests" "$n" "$sub" && found=1; done ;;
    *) for n in $names; do uses "$root/$tests" "$n" "" && found=1; done ;;
    esac
    [ -n "$found" ] || bad="$bad; $section $sub $names: not used in $tests"
done <rows.txt
same "each row's test is there and uses the option" "${bad//; /
}" ""
is "nothing is only planned" bash -c "! grep -qiE 'planned|todo|not yet|[|] \`[?]' '$table'"

has_row() { # SECTION SUBSECTION NAME
    awk -F '\t' -v s="$1" -v b="$2" -v n="$3" '
        $1 == s && $2 == b { k = split($3, names, " "); for (i = 1; i <= k; i++) if (names[i] == n) found = 1 }
        END { exit !found }' rows.txt
}

# --- what the installed programs have ---
if command -v qemu-img >/dev/null; then
    missing=
    while read -r command rest; do
        for option in $(grep -oE '(^|[[( ])(--?[A-Za-z][a-z-]*|[a-z]+=)' <<<"$rest" | tr -d '[( '); do
            has_row qemu-img "$command" "${option%=}" || missing="$missing $command:$option"
        done
    done < <(qemu-img --help | sed -n '/^Command syntax:/,/^$/s/^  //p')
    same "each option of qemu-img has a row" "$missing" ""
fi
if command -v qemu-io >/dev/null; then
    missing=
    for option in $(qemu-io --help | grep -oE '^  (-[A-Za-z], )?--[a-z-]+' | tr -d ','); do
        [[ $option = -h || $option = --help ]] && continue
        has_row qemu-io Options "$option" || missing="$missing $option"
    done
    while read -r command rest; do
        has_row qemu-io Commands "$command" || missing="$missing $command"
        for flags in $(sed 's/ -- .*//' <<<"$rest" | grep -oE '(^|[^a-z])-[A-Za-z]+' | grep -oE '[A-Za-z]+'); do
            for flag in $(fold -w 1 <<<"$flags"); do
                has_row qemu-io Commands "$command" && awk -F '\t' -v c="$command" -v f="-$flag" '
                    $2 == "Commands" { k = split($3, n, " "); if (n[1] == c) for (i = 2; i <= k; i++) if (n[i] == f) found = 1 }
                    END { exit !found }' rows.txt || missing="$missing $command:-$flag"
            done
        done
    done < <(qemu-io -c help | grep ' -- ')
    same "each option and command of qemu-io has a row" "$missing" ""
fi
if command -v qemu-nbd >/dev/null; then
    missing=
    for option in $(qemu-nbd --help | grep -oE '^ +(-[A-Za-z], )?--[a-z-]+' | tr -d ','); do
        has_row qemu-nbd - "$option" || missing="$missing $option"
    done
    same "each option of qemu-nbd has a row" "$missing" ""
fi

# --- and what we have ourselves ---
missing=
for command in $("$IMG_TOOL" --help | sed -n '/^Command syntax:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
    case $command in
    io) section=qemu-io sub=Options ;;
    serve) section=qemu-nbd sub=- ;;
    cache | completion | fetch | inspect) section="Ours alone" sub=$command ;;
    *) section=qemu-img sub=$command ;;
    esac
    for option in $("$IMG_TOOL" "$command" --help | grep -oE '^  --?[A-Za-z][a-z-]*'); do
        has_row "$section" "$sub" "$option" || missing="$missing $command:$option"
    done
done
same "each option of img-tool has a row" "$missing" ""
done_testing
