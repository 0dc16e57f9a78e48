#!/bin/bash
# kill -9 at random moments of convert, commit and rebase: nothing that looks finished is left, and --resume or another try
# ends with the same data.
. "$(dirname "$0")/../tap.sh"
img() { "$IMG_TOOL" "$@"; }
seed=${SEED:-$$}
RANDOM=$seed
echo "# SEED=$seed"

# Random bytes, text and zeros, in pieces that fit no cluster: 96 MiB, about a third of it data.
make_source() {
    truncate -s 96M src.raw
    seq 1 1000000 >text
    for ((at = 1; at < 90; at += 6)); do
        dd if=text of=src.raw bs=1000 skip=$((at * 10)) count=1000 seek=$((at * 1000 + 77)) conv=notrunc status=none
        head -c 1100000 /dev/urandom | dd of=src.raw bs=1000 seek=$((at * 1000 + 2001)) conv=notrunc status=none
    done
}
make_source

# Run the program until a random moment within MILLISECONDS; 0: it came to its end in time.
run_killed() { # MILLISECONDS ARGS...
    local ms=$((RANDOM % $1 + 1)) pid
    shift
    "$IMG_TOOL" "$@" >out.txt 2>err.txt &
    pid=$!
    sleep $((ms / 1000)).$(printf %03d $((ms % 1000)))
    kill -KILL $pid 2>/dev/null
    { wait $pid; } 2>/dev/null
}

# convert --resume until it is whole; never may there be a target before that.
kill_convert() { # NAME ARGS...: kills, then resumes to the end
    local name=$1 kills=0
    shift
    rm -f "$name" "$name".part*
    for ((i = 0; i < 6; i++)); do
        run_killed 60 convert --resume "$@" "$name" && return 0
        [ $? -eq 137 ] || { cat err.txt; return 1; }
        kills=$((kills + 1))
        # the kill may come between the new name and the end of the program
        [ ! -e "$name" ] || img compare -q -f raw "$source" "$name" || { echo "a bad target after kill $kills"; return 1; }
    done
    img convert --resume "$@" "$name"
}
source=src.raw
for options in "-O raw" "-O qcow2" "-O qcow2 -t writeback" "-c -O qcow2" "-c -O qcow2 -o compression_type=zstd,cluster_size=4k" \
    "-O qcow2 -o cluster_size=4k,compat=0.10" "-O qcow2 -o preallocation=metadata" "-O raw -o preallocation=falloc"; do
    # shellcheck disable=SC2086
    is "convert $options killed and resumed" kill_convert target.img -f raw $options src.raw
    is "... has the source's data" img compare -q -f raw src.raw target.img
    is "... and no part is left" eval '! ls | grep part'
    [[ $options == *raw* ]] || is "... and is clean" img check -q target.img
done

# Two sources, one behind the other; resumed in the second as well as in the first.
head -c 40000000 src.raw >first.raw
truncate -s 40000512 first.raw
cat first.raw src.raw >both.raw
source=both.raw
is 'two sources, killed and resumed' kill_convert target.img -f raw -O qcow2 first.raw src.raw
is '... have their data' img compare -q -f raw both.raw target.img

# It really goes on: what the journal says is done is not read again.
interrupt() { # ARGS...: until the journal has a step, then kill -9
    rm -f target.img target.img.part*
    "$IMG_TOOL" convert -r 100M "$@" target.img 2>err.txt &
    local pid=$!
    for ((i = 0; i < 500; i++)); do
        grep -q '^done' target.img.part.journal 2>/dev/null && break
        sleep 0.01
    done
    kill -KILL $pid
    { wait $pid; } 2>/dev/null
    grep -q '^done' target.img.part.journal && [ ! -e target.img ]
}
does 'a convert with a step in its journal is killed' interrupt -f raw -O qcow2 src.raw
img convert --resume --progress=json -f raw -O qcow2 src.raw target.img 2>lines.txt
is '--resume starts from there' eval 'awk -F"[:,]" "NR == 2 { exit !(\$4 >= 16777216) }" lines.txt && ! grep -q warning lines.txt'
is '... and ends with the same data' img compare -q -f raw src.raw target.img

does 'another one' interrupt -f raw -O qcow2 src.raw
is 'without --resume it starts again' eval 'img convert -f raw -O qcow2 src.raw target.img && img compare -q -f raw src.raw target.img'
does 'another one' interrupt -f raw -O qcow2 src.raw
cp src.raw changed.raw && cp --preserve=all src.raw keep.raw
printf x | dd of=src.raw bs=1 seek=5 conv=notrunc status=none
img convert --resume -f raw -O qcow2 src.raw target.img 2>err.txt
is 'a source that has changed: it says so and starts again' grep -q "changed since" err.txt
is '... and has the new data' img compare -q -f raw src.raw target.img
does 'another one' interrupt -f raw -O qcow2 src.raw
img convert --resume -c -f raw -O qcow2 src.raw target.img 2>err.txt
is 'other options: it says so and starts again' grep -q "other options" err.txt
does 'another one' interrupt -f raw -O raw src.raw
dd if=/dev/urandom of=target.img.part bs=1M seek=8 count=30 conv=notrunc status=none
img convert --resume -f raw -O raw src.raw target.img 2>err.txt
is 'a part that has other bytes than the source: it says so and starts again' grep -q "not what its journal says" err.txt
is '... and has the right ones' cmp src.raw target.img
does 'another one' interrupt -f raw -O qcow2 src.raw
sed -i '2s/.*/another-boot/' target.img.part.journal
img convert --resume -f raw -O qcow2 src.raw target.img 2>err.txt
is 'after the machine has stopped, only what was flushed counts' img compare -q -f raw src.raw target.img

# An old target is there until the new one is.
echo 'the old one' >target.img
"$IMG_TOOL" convert -r 50M -f raw -O raw src.raw target.img &
pid=$!
sleep 0.15
kill -KILL $pid 2>/dev/null
{ wait $pid; } 2>/dev/null
is 'kill -9 leaves the old target alone' [ "$(cat target.img)" = 'the old one' ]
refused 'two at once into one target' 'another process' eval '
    "$IMG_TOOL" convert -r 20M -f raw -O raw src.raw target.img 2>other.txt & pid=$!
    for ((i = 0; i < 100; i++)); do [ -s target.img.part ] && break; sleep 0.02; done
    rm -f target.img; img convert -f raw -O raw src.raw target.img; status=$?; kill $pid; wait $pid 2>/dev/null; exit $status'
"$IMG_TOOL" convert --resume -r 50M -f raw -O raw src.raw kept.img 2>err.txt &
pid=$!
for ((i = 0; i < 300; i++)); do grep -q '^done' kept.img.part.journal 2>/dev/null && break; sleep 0.02; done
kill -INT $pid
wait $pid
is 'SIGINT with --resume keeps the part, and says so' eval '[ -e kept.img.part ] && [ ! -e kept.img ] && grep -q "goes on from" err.txt'
is '... from which it goes on' eval 'img convert --resume -f raw -O raw src.raw kept.img && cmp src.raw kept.img'

# commit and rebase: another try does the rest.
make_overlay() {
    rm -f base.* over.qcow2 other.raw
    img convert -f raw -O qcow2 src.raw base.qcow2
    img create -q -f qcow2 -b base.qcow2 -F qcow2 over.qcow2
    for ((at = 0; at < 90; at += 4)); do
        echo "write -q -P $((at + 1)) $((at * 1000000 + 13)) 1500000"
    done | img io over.qcow2 >/dev/null
    img convert -O raw over.qcow2 expected.raw
}
make_overlay
for ((round = 0; round < 8; round++)); do
    run_killed 60 commit -d over.qcow2
    img compare -q -F raw over.qcow2 expected.raw || break
done
is 'commit killed 8 times: the overlay shows the same after each' [ $round -eq 8 ]
is '... and the next try commits it' eval 'img commit -q over.qcow2 && img compare -q -F raw base.qcow2 expected.raw'
is '... both images are clean' eval 'img check -q -r leaks base.qcow2; img check -q base.qcow2 && img check -q -r leaks over.qcow2; img check -q over.qcow2'
for ((round = 0; round < 8; round++)); do
    make_overlay
    run_killed 60 commit over.qcow2
    img compare -q -F raw over.qcow2 expected.raw || break
done
is 'commit killed while it may empty the overlay: the same' [ $round -eq 8 ]

make_overlay
head -c 50000000 src.raw >other.raw
for ((round = 0; round < 8; round++)); do
    run_killed 60 rebase -b other.raw -F raw over.qcow2
    img compare -q -F raw over.qcow2 expected.raw || break
done
is 'rebase killed 8 times: the overlay shows the same after each' [ $round -eq 8 ]
is '... and the next try gives it its new base' eval 'img rebase -b other.raw -F raw over.qcow2 && img info over.qcow2 | grep -q "backing file: other.raw"'
is '... and it still shows the same' img compare -q -F raw over.qcow2 expected.raw
is '... with no corruption' eval 'img check -q -r leaks over.qcow2; img check -q over.qcow2'
done_testing
