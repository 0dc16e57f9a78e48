#!/bin/bash
# Progress: the percentage that programs read, the bar of a terminal, JSON lines, SIGUSR1.
. "$(dirname "$0")/../tap.sh"
img() { "$IMG_TOOL" "$@"; }

head -c 24M /dev/urandom >src.raw
img create -q -f qcow2 -b src.raw -F raw over.qcow2
img io -c 'write -q -P 3 1M 20M' over.qcow2
cp over.qcow2 other.qcow2

# Every piece of `text` between carriage returns is a percentage, none falls, the last is 100.
percentages() {
    tr '\r' '\n' <"$1" | grep -v '^$' | awk '
        !/^    \([0-9]+\.[0-9][0-9]\/100%\)$/ { bad = 1 }
        { v = $1; gsub(/[(]|\/.*/, "", v); if (v + 0 < last) bad = 1; last = v + 0 }
        END { exit bad || last != 100 }'
}
# Every line is an object; bytes do not fall and never pass the total; the last says "done".
json_lines() {
    awk '!/^\{"phase": "[a-z]+", "bytes": [0-9]+, "total": [0-9]+, "percent": [0-9.]+, "rate": [0-9]+, "elapsed": [0-9.]+, "eta": (null|[0-9.]+)\}$/ { bad = 1 }
        { split($0, f, /[:,]/); if (f[4] + 0 < last || f[4] + 0 > f[6] + 0) bad = 1; last = f[4] + 0; phase = f[2] }
        END { exit bad || phase !~ /done/ || NR < 2 }' "$1"
}

commands=("convert -O qcow2 src.raw new.qcow2" "compare src.raw src.raw" "rebase -f qcow2 -F raw -b src.raw over.qcow2"
    "commit over.qcow2")
for command in "${commands[@]}"; do
    # shellcheck disable=SC2086
    img $command -p 2>err.txt | grep -v -e committed -e identical >out.txt
    is "$command -p prints percentages" percentages out.txt
    # shellcheck disable=SC2086
    img $command --progress=json >out.txt 2>err.txt
    is "$command --progress=json prints objects on stderr" json_lines err.txt
    is '... and no percentage' eval '! grep -q /100% out.txt'
done
img convert --progress=json,fd=7 -O raw src.raw new.raw 7>lines.txt >out.txt 2>err.txt
is 'fd=N chooses the descriptor' json_lines lines.txt
is '... and nothing is anywhere else' eval '[ ! -s out.txt ] && [ ! -s err.txt ]'
refused 'a descriptor that is not open' "descriptor" img convert --progress=json,fd=77 -O raw src.raw new.raw
refused 'another kind of progress' "json" img convert --progress=xml -O raw src.raw new.raw
is 'a reader that goes away does not stop the copy' eval 'img convert --progress=json,fd=1 -O raw src.raw gone.raw | true; cmp src.raw gone.raw'
is 'no output without -p' eval '[ -z "$(img convert -O raw src.raw new.raw 2>&1)" ]'
is '-q wins' eval '[ -z "$(img convert -q -p -O raw src.raw new.raw 2>&1)" ]'

script -qc "stty cols 120; '$IMG_TOOL' convert -p -O raw src.raw new.raw" /dev/null >out.txt </dev/null
is 'a terminal gets a bar with sizes and a rate' eval 'tr "\r" "\n" <out.txt | grep -q "(.*/100%) \[[=> ]*\] .* / 24 MiB .*/s"'
is '... that ends at 100 %' eval 'tr "\r" "\n" <out.txt | grep -q "(100.00/100%)"'

img convert --progress=json "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"faults\",\"fail-read\":9,\"file\":{\"driver\":\"file\",\"filename\":\"src.raw\"}}}" \
    -O raw new.raw >out.txt 2>err.txt
is 'a failure says so in JSON' eval 'grep "^{" err.txt | tail -n 1 | grep -q "\"phase\": \"failed\""'
done_testing
