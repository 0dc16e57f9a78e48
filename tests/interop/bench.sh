#!/bin/bash
# img-tool bench beside qemu-img bench: what it prints (but for the time), exit codes, and what is written where.
HERE=$(cd "$(dirname "$0")/.." && pwd)
. "$HERE/tap.sh"
. "$HERE/alike.sh"

both qemu-img create -q -f qcow2 a.qcow2 8M
both qemu-io -c "write -q -P 1 0 8M" a.qcow2
both qemu-img create -q -f raw a.raw 3M
alike bench a.qcow2
alike bench -c 100 -d 1 a.qcow2
same "-q prints nothing" "$("$IMG_TOOL" bench -q -c 10 ours/a.qcow2)" ""
alike bench -c 50 -f raw -o 1M -s 1024 -S 512 a.raw
alike bench -n -c 50 /var/tmp/cannot-be-there.qcow2
alike bench -t none -c 20 -U a.qcow2
alike bench -t nonsense -c 20 a.qcow2
alike bench -i io_uring -c 20 a.qcow2
alike bench -i threads -c 20 a.qcow2
alike bench -i nonsense -c 20 a.qcow2
alike bench --image-opts -c 20 driver=qcow2,file.filename=a.qcow2
alike bench --flush-interval=5 a.qcow2
alike bench -w --flush-interval=5 -d 64 a.qcow2
alike bench -w --pattern=256 a.qcow2
refused "an offset outside the image" "outside the image" "$IMG_TOOL" bench -c 1 -o 1G ours/a.qcow2
alike bench -c x a.qcow2
alike bench
alike bench a.qcow2 a.raw
alike bench missing.qcow2
for options in "-c 200 --pattern=7" "-c 300 -d 3 -o 1M -s 2048 -S 8k --pattern=9" "-c 100 -d 4 --flush-interval=10 --pattern=3" \
    "-c 100 -d 4 --flush-interval=10 --no-drain --pattern=0x41" "-c 90 -t writethrough -S 64k --pattern=5 -f qcow2"; do
    # shellcheck disable=SC2086
    alike bench -w $options a.qcow2
    same_content a.qcow2
    alike check a.qcow2
done

# --- ours ---------------------------------------------------------------------------------------------------------
json=$("$IMG_TOOL" bench -c 500 --random --output=json ours/a.qcow2)
is "--output=json says what was done" grep -q '"requests": 500,' <<<"$json"
is "and how long requests took" grep -q '"p99.9": [0-9]' <<<"$json"
value() { sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" <<<"$json"; }
is "percentiles are in order" [ "$(value min)" -le "$(value p50)" -a "$(value p50)" -le "$(value p99)" -a "$(value p99)" -le "$(value max)" ]
is "--latency prints percentiles" sh -c '"$IMG_TOOL" bench -c 500 --latency ours/a.qcow2 | grep -q "^Latency in microseconds: min .*p50 .*p99.99 .*max "'
"$IMG_TOOL" create -q -f qcow2 empty.qcow2 64M
is "--random with --seed writes" "$IMG_TOOL" bench -w -c 64 --random --seed=1 --pattern=1 -q empty.qcow2
one=$("$IMG_TOOL" map --output=json empty.qcow2 | grep -c '"data": true')
is "... in many places" [ "$one" -gt 20 ]
"$IMG_TOOL" create -q -f qcow2 mixed.qcow2 64M
is "--read-percent=100 writes nothing" sh -c '"$IMG_TOOL" bench -w -q -c 64 --read-percent=100 mixed.qcow2 && ! "$IMG_TOOL" map --output=json mixed.qcow2 | grep -q "\"data\": true"'
"$IMG_TOOL" create -q -f qcow2 odd.qcow2 1000001
is "a size that is no multiple of the request's" "$IMG_TOOL" bench -w -q -c 1000 -s 4096 -S 777 odd.qcow2
is "and the image is whole afterwards" "$IMG_TOOL" check -q odd.qcow2
refused "-d 0" "it is 1 to" "$IMG_TOOL" bench -d 0 odd.qcow2
refused "-s 0" "it is 1 to" "$IMG_TOOL" bench -s 0 odd.qcow2
refused "reads by part without -w" "only available in write tests" "$IMG_TOOL" bench --read-percent=5 odd.qcow2
done_testing
