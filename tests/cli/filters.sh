#!/bin/bash
# Filters and helper nodes: each does what it says, reached by --image-opts, json: and short names.
. "$(dirname "$0")/../tap.sh"
img() { "$IMG_TOOL" "$@"; }
io() { img io "$@"; }
opts() { img io --image-opts "$@"; }
fails() { ! "$@"; }
says() { # TEXT COMMAND...: the command prints the text, whatever it returns
    local text=$1 out
    shift
    out=$("$@" 2>&1)
    [[ $out == *"$text"* ]] || { echo "$out"; return 1; }
}
ms() { echo $(($(date +%s%N) / 1000000)); }

img create -q -f qcow2 base.qcow2 1M
io -c 'write -q -P 7 0 256k' base.qcow2

# --- blkdebug -------------------------------------------------------------------------------------------------
cat >rules.cfg <<'CFG'
# the first write of data fails once
[inject-error]
event = "write_aio"
errno = "28"
once = "on"
CFG
img create -q -f qcow2 a.qcow2 1M
is "a rule of a file: the first write fails" says "No space left" io -c 'write 0 64k' blkdebug:rules.cfg:a.qcow2
is "once: the second succeeds" says "wrote 65536/65536" io -c 'write -q 0 64k' -c 'write 0 64k' blkdebug:rules.cfg:a.qcow2
is "without a file" io -c 'write -q 0 64k' blkdebug::a.qcow2
debug="driver=qcow2,file.driver=blkdebug,file.image.filename=a.qcow2"
is "iotype and sector" says "read failed" opts -c 'read 0 64k' \
    "driver=raw,file.driver=blkdebug,file.image.filename=a.qcow2,file.inject-error.0.event=none,file.inject-error.0.sector=3,file.inject-error.0.iotype=read"
is "the sector before is readable" opts -c 'read -q 0 1536' \
    "driver=raw,file.driver=blkdebug,file.image.filename=a.qcow2,file.inject-error.0.event=none,file.inject-error.0.sector=3,file.inject-error.0.iotype=read"
for event in l2_load refblock_load cluster_alloc; do
    cp base.qcow2 e.qcow2
    is "$event is an event of qcow2" says "failed: " opts -c 'write 512k 64k' \
        "driver=qcow2,file.driver=blkdebug,file.image.filename=e.qcow2,file.inject-error.0.event=$event,file.inject-error.0.errno=5"
done
is "flush_to_disk is an event" says "failed: " opts -c 'write -q 0 64k' -c flush \
    "$debug,file.inject-error.0.event=flush_to_disk,file.inject-error.0.iotype=flush"
is "states: the error waits for the second write" says "wrote 512/512 bytes at offset 0" opts -c 'write 0 512' -c 'write 512 512' \
    "$debug,file.set-state.0.event=write_aio,file.set-state.0.new_state=2,file.inject-error.0.event=write_aio,file.inject-error.0.state=2"
is "and then comes" says "write failed" opts -c 'write 0 512' -c 'write 512 512' \
    "$debug,file.set-state.0.event=write_aio,file.set-state.0.new_state=2,file.inject-error.0.event=write_aio,file.inject-error.0.state=2"
is "json:" says "write failed: Input/output error" io -c 'write 0 512' \
    'json:{"driver":"qcow2","file":{"driver":"blkdebug","image":{"driver":"file","filename":"a.qcow2"},"inject-error":[{"event":"write_aio","immediately":true,"once":true}]}}'
limits="driver=blkdebug,image.filename=limits.raw,align=4096,max-transfer=8192,max-write-zero=64k,opt-write-zero=8192,max-discard=64k,opt-discard=4096"
truncate -s 1M limits.raw
is "limits: odd requests" opts -c 'write -q -P 1 0 100k' -c 'write -q -P 2 5000 5' -c 'write -q -P 3 4090 20' \
    -c 'write -q -z 20000 30000' -c 'discard -q 60001 20000' "$limits"
is "limits: what they wrote" io -f raw -c 'read -q -P 1 0 4090' -c 'read -q -P 3 4090 20' -c 'read -q -P 1 4110 890' -c 'read -q -P 2 5000 5' \
    -c 'read -q -P 1 5005 14995' -c 'read -q -P 0 20000 30000' -c 'read -q -P 1 50000 10001' -c 'read -q -P 1 80001 20k' limits.raw
is "a part of a request has the error" says "write failed" opts -c 'write 0 64k' "$limits,inject-error.0.event=none,inject-error.0.sector=100"
refused "an event that is none" "'frob'" opts -c quit "$debug,file.inject-error.0.event=frob"
refused "a rule without event" "event" opts -c quit "$debug,file.inject-error.0.errno=5"
refused "align that is no power of two" "align" opts -c quit "$debug,file.align=1000"
refused "a rule file that is missing" "nowhere.cfg" io -c quit blkdebug:nowhere.cfg:a.qcow2
printf '[inject-error]\nevent = "read_aio"\nfrob = "1"\n' >bad.cfg
refused "an option that no rule has" "frob" io -c quit blkdebug:bad.cfg:a.qcow2
printf 'event = "read_aio"\n' >bad.cfg
refused "a line before the first section" "line 1" io -c quit blkdebug:bad.cfg:a.qcow2
is "after all that the image is sound" img check -q a.qcow2

# --- blkverify ------------------------------------------------------------------------------------------------
truncate -s 1M v.raw
img create -q -f qcow2 v.qcow2 1M
is "blkverify: both get it" io -c 'write -q -P 8 0 64k' -c 'write -q -z 32k 1k' -c 'read -q 0 1M' blkverify:v.raw:v.qcow2
is "blkverify: the copy has it" io -f raw -c 'read -q -P 8 0 32k' v.raw
io -f raw -c 'write -q -P 1 5000 1' v.raw
is "blkverify: a difference" says "offset 5000" opts -c 'read 4k 4k' driver=blkverify,raw.filename=v.raw,test.driver=qcow2,test.file.filename=v.qcow2
refused "blkverify: half a name" "blkverify:" io -c quit blkverify:v.raw

# --- null -----------------------------------------------------------------------------------------------------
is "null-co:// has 1 GiB" says "1 GiB" io -f raw -c length null-co://
is "null-aio has any size and reads zeros" io -f raw -c 'read -q -P 0 1T 64k' -c 'write -q 0 64k' \
    'json:{"driver":"null-aio","size":"2T","read-zeroes":true}'
is "a terabyte of zeros is converted at once" timeout 10 "$IMG_TOOL" convert -O qcow2 'json:{"driver":"null-co","size":"1T","read-zeroes":true}' n.qcow2
t=$(ms)
is "latency" opts -c 'read -q 0 512' -c 'read -q 0 512' driver=null-co,latency-ns=100000000
t=$(($(ms) - t))
is "is kept ($t ms)" test $t -ge 200

# --- throttle ---------------------------------------------------------------------------------------------------
cp base.qcow2 t.qcow2
seven=(-c 'write -q 0 1k' -c 'write -q 0 1k' -c 'write -q 0 1k' -c 'write -q 0 1k' -c 'write -q 0 1k' -c 'write -q 0 1k' -c 'write -q 0 1k')
t=$(ms)
is "20 requests a second" img io --object throttle-group,id=g,x-iops-total=20 "${seven[@]}" --image-opts driver=throttle,throttle-group=g,file.filename=t.qcow2
t=$(($(ms) - t))
is "7 of them take 0.2 s at least, not 3 s ($t ms)" test $t -ge 180 -a $t -lt 3000
t=$(ms)
is "bytes a second" img io --object throttle-group,id=g,limits.bps-write=1048576 -c 'write -q 0 256k' -c 'write -q 0 256k' -c 'write -q 0 1k' -c 'read -q 0 1M' \
    --image-opts driver=qcow2,file.driver=file,file.filename=t.qcow2,file.node-name=x
is "bytes a second" img io --object throttle-group,id=g,limits.bps-write=1048576 -c 'write -q 0 256k' -c 'write -q 0 256k' -c 'write -q 0 1k' -c 'read -q 0 1M' \
    --image-opts driver=throttle,throttle-group=g,file.driver=qcow2,file.file.filename=t.qcow2
t=$(($(ms) - t))
is "512k before it take 0.4 s, reads nothing ($t ms)" test $t -ge 380 -a $t -lt 3000
t=$(ms)
is "a burst is let through" img io --object throttle-group,id=g,x-iops-total=1,x-iops-total-max=100 "${seven[@]}" --image-opts driver=throttle,throttle-group=g,file.filename=t.qcow2
t=$(($(ms) - t))
is "at once ($t ms)" test $t -lt 2000
refused "no such group" "'nogroup'" opts -c quit driver=throttle,throttle-group=nogroup,file.filename=t.qcow2
refused "no group" "throttle-group" opts -c quit driver=throttle,file.filename=t.qcow2
refused "total and read" "iops-total" img io --object throttle-group,id=g,x-iops-total=1,x-iops-read=1 -c quit t.qcow2
refused "burst below the rate" "max" img io --object throttle-group,id=g,x-iops-total=10,x-iops-total-max=1 -c quit t.qcow2

# --- copy-on-read -------------------------------------------------------------------------------------------------
img create -q -f qcow2 -b base.qcow2 -F qcow2 cor.qcow2
is "copy-on-read reads the backing file" opts -c 'read -q -P 7 70k 1k' -c 'read -q -P 0 512k 1k' driver=copy-on-read,file.filename=cor.qcow2
is "and keeps the cluster" bash -c "'$IMG_TOOL' map --output=json cor.qcow2 | grep -q '\"start\": 65536, \"length\": 65536, \"depth\": 0.*\"data\": true'"
is "nothing else" bash -c "'$IMG_TOOL' map --output=json cor.qcow2 | grep -q '\"start\": 131072, \"length\": 131072, \"depth\": 1'"
is "the content is the same" img compare -q cor.qcow2 base.qcow2
is "converting reads it all" img convert -O raw --image-opts driver=copy-on-read,file.filename=cor.qcow2 cor.raw
is "a filter shows the chain" img compare -q -f raw -F qcow2 cor.raw base.qcow2
cp base.qcow2 one.qcow2
img create -q -f qcow2 -b one.qcow2 -F qcow2 two.qcow2 && io -c 'write -q -P 2 512k 64k' two.qcow2
img create -q -f qcow2 -b two.qcow2 -F qcow2 three.qcow2
is "bottom: from the images above it only" opts -c 'read -q -P 7 0 64k' -c 'read -q -P 2 512k 64k' driver=copy-on-read,bottom=two.qcow2,file.filename=three.qcow2
same "copied" "$(img map --output=json three.qcow2 | grep -c '"depth": 0.*"data": true')" 1
refused "bottom that is not in the chain" "'nobody'" opts -c quit driver=copy-on-read,bottom=nobody,file.filename=three.qcow2

# --- compress -----------------------------------------------------------------------------------------------------
img create -q -f qcow2 c.qcow2 1000k
is "compress: odd writes" opts -c 'write -q -P 5 10k 200k' -c 'write -q -P 6 990k 10k' -c 'write -q -P 9 100 3' driver=compress,file.filename=c.qcow2
is "are all there" io -c 'read -q -P 5 10k 200k' -c 'read -q -P 6 990k 10k' -c 'read -q -P 9 100 3' -c 'read -q -P 0 103 1000' c.qcow2
is "and compressed" bash -c "'$IMG_TOOL' check --output=json c.qcow2 | grep -q '\"compressed-clusters\": 5'"
refused "raw has nothing to compress with" "raw" opts -c quit driver=compress,file.driver=raw,file.file.filename=v.raw

# --- preallocate --------------------------------------------------------------------------------------------------
img create -q -f qcow2 p.qcow2 64M
pre="driver=qcow2,file.driver=preallocate,file.file.filename=p.qcow2,file.prealloc-size=4M,file.prealloc-align=1M"
"$IMG_TOOL" io --image-opts -c 'write -q -P 5 0 200k' -c 'sleep 60000' "$pre" &
pid=$!
for _ in $(seq 100); do [ "$(stat -c %s p.qcow2)" -ge 4194304 ] && break; sleep 0.05; done
is "the file is long while it is open" test "$(stat -c %s p.qcow2)" -ge 4194304
kill $pid && wait $pid 2>/dev/null
is "a long file is no damage" img check -q p.qcow2
is "open and close again" opts -c 'write -q -P 6 1M 64k' "$pre"
is "then it ends behind the data" test "$(stat -c %s p.qcow2)" -lt 9000000
img create -q -f qcow2 p2.qcow2 64M
is "a fresh one" opts -c 'write -q -P 5 0 200k' "${pre/p.qcow2/p2.qcow2}"
same "ends where the data do" "$(stat -c %s p2.qcow2)" "$(img check --output=json p2.qcow2 | sed -n 's/.*"image-end-offset": \([0-9]*\).*/\1/p')"
is "and holds them" io -c 'read -q -P 5 0 200k' p2.qcow2

# --- quorum -------------------------------------------------------------------------------------------------------
for i in 1 2 3; do cp base.qcow2 q$i.qcow2; done
io -c 'write -q -P 9 5k 5' q2.qcow2
q="driver=quorum,children.0.file.filename=q1.qcow2,children.1.file.filename=q2.qcow2,children.2.file.filename=q3.qcow2"
q="$q,children.0.driver=qcow2,children.1.driver=qcow2,children.2.driver=qcow2"
is "two of three win" opts -c 'read -q -P 7 0 256k' $q,vote-threshold=2
is "the loser is named" says "child 1 differs" opts -c 'read -q -P 7 0 64k' $q,vote-threshold=2
is "three are wanted, two agree" says "read failed: Input/output error" opts -c 'read 0 64k' $q,vote-threshold=3
is "fifo reads the first" opts -c 'read -q -P 7 0 64k' $q,read-pattern=fifo,vote-threshold=1
is "rewrite-corrupted mends" opts -c 'read -q -P 7 0 64k' $q,vote-threshold=2,rewrite-corrupted=on
is "now all agree" opts -c 'read -q -P 7 0 256k' $q,vote-threshold=3
is "a write goes to all" opts -c 'write -q -P 8 0 64k' -c 'write -q -z 128k 64k' -c 'read -q -P 8 0 64k' $q,vote-threshold=3
is "1 and 2 are the same" img compare -q q1.qcow2 q2.qcow2
is "2 and 3 are the same" img compare -q q2.qcow2 q3.qcow2
is "convert from a quorum" img convert -O raw --image-opts $q,vote-threshold=2 q.raw
is "has it all" img compare -q -f raw -F qcow2 q.raw q1.qcow2
bad="children.1.driver=qcow2,children.1.file.driver=blkdebug,children.1.file.image.filename=q2.qcow2,children.1.file.inject-error.0.event"
q1="driver=quorum,children.0.file.filename=q1.qcow2,children.0.driver=qcow2,children.2.driver=qcow2,children.2.file.filename=q3.qcow2"
is "one that cannot be read is outvoted" opts -c 'read -q -P 8 0 64k' "$q1,$bad=read_aio,vote-threshold=2"
is "one that cannot be written, too" opts -c 'write -q -P 8 0 64k' "$q1,$bad=write_aio,vote-threshold=2"
is "but not if all are wanted" says "write failed" opts -c 'write -P 8 0 64k' "$q1,$bad=write_aio,vote-threshold=3"
is "blkverify mode" says "differ" opts -c 'read 0 64k' driver=quorum,children.0.filename=base.qcow2,children.1.filename=q1.qcow2,vote-threshold=2,blkverify=on
refused "threshold above the count" "vote-threshold" opts -c quit $q,vote-threshold=4
refused "no threshold" "vote-threshold" opts -c quit $q
refused "children of different sizes" "bytes" opts -c quit driver=quorum,children.0.filename=base.qcow2,children.1.filename=p.qcow2,vote-threshold=1

# --- blklogwrites ---------------------------------------------------------------------------------------------------
truncate -s 1M l.raw && : >l.log
is "blklogwrites" opts -c 'write -q -P 1 0 1k' -c 'flush' -c 'write -q -P 2 700 10' -c 'discard -q 0 512' \
    driver=blklogwrites,discard=unmap,file.filename=l.raw,log.filename=l.log
same "the magic, the version, and 5 entries at least" "$(od -A n -t x8 -N 16 l.log | tr -s ' ')" " 006a736677736872 0000000000000001"
is "entries are counted" test "$(od -A n -t u8 -j 16 -N 8 l.log)" -ge 4
is "the first is sector 0, 2 sectors" test "$(od -A n -t u8 -j 512 -N 32 l.log | tr -s ' \n' ' ')" = " 0 2 0 1024 "
is "append" opts -c 'write -q -P 3 4096 512' driver=blklogwrites,file.filename=l.raw,log.filename=l.log,log-append=on
is "makes it longer" test "$(od -A n -t u8 -j 16 -N 8 l.log)" -ge 5

# --- options of every node ------------------------------------------------------------------------------------------
img create -q -f qcow2 d.qcow2 1M
is "detect-zeroes" opts -c 'write -q -P 0 0 128k' -c 'write -q -P 1 128k 64k' driver=qcow2,file.filename=d.qcow2,detect-zeroes=on
is "stores no zeros" bash -c "'$IMG_TOOL' map --output=json d.qcow2 | grep -q '\"start\": 0, \"length\": 131072, \"depth\": 0, \"present\": [a-z]*, \"zero\": true, \"data\": false'"
img create -q -f raw below.raw 1M
io -f raw -c 'write -q -P 7 0 1M' below.raw
for options in "compat=1.1 on" "compat=0.10 on" "compat=1.1 unmap" "compat=1.1,extended_l2=on on"; do
    img create -q -f qcow2 -o "${options% *}" -b below.raw -F raw part.qcow2
    node=driver=qcow2,discard=unmap,file.filename=part.qcow2,detect-zeroes=${options#* }
    is "detect-zeroes, ${options/ /, }: zeros in part of a cluster" opts -c 'write -q -P 0 0 64k' -c 'write -q -P 0 100k 3k' -c 'write -q -P 0 300k 130k' \
        -c 'read -q -P 0 0 64k' -c 'read -q -P 7 64k 36k' -c 'read -q -P 0 100k 3k' -c 'read -q -P 7 103k 197k' -c 'read -q -P 0 300k 130k' -c 'read -q -P 7 430k 80k' "$node"
    is "... and the image is clean" img check -q part.qcow2
done
refused "detect-zeroes=unmap without discard" "discard" opts -c quit driver=qcow2,file.filename=d.qcow2,detect-zeroes=unmap,discard=ignore
is "names and caches of QEMU" opts -c 'read -q -P 1 128k 64k' driver=qcow2,node-name=top,cache.direct=off,cache.no-flush=off,read-only=on,auto-read-only=on,force-share=off,discard=unmap,file.driver=file,file.filename=d.qcow2,file.locking=on,file.aio=native,file.drop-cache=on,file.x-check-cache-dropped=off,file.node-name=proto
refused "aio that nobody has" "aio" opts -c quit driver=qcow2,file.driver=file,file.filename=d.qcow2,file.aio=fast
refused "host_device is no file" "device" img io -f raw -c quit host_device:d.qcow2
chmod 444 d.qcow2
if [ "$(id -u)" -ne 0 ]; then
    is "auto-read-only" opts -c 'read -q 0 1k' driver=qcow2,file.filename=d.qcow2,auto-read-only=on
fi

# --- what can be made ------------------------------------------------------------------------------------------------
refused "blkdebug: makes no images" "blkdebug" img create -f qcow2 blkdebug::made.qcow2 1M
refused "nor does an unknown protocol" "nosuch" img create -f raw nosuch:made.raw 1M
refused "converting to one" "null-co" img convert -O raw d.qcow2 null-co://
is "a name with a colon is a path behind ./" img create -q -f qcow2 ./a:b.qcow2 1M
is "and is opened by it" img info ./a:b.qcow2

# --- raw with offset and size ----------------------------------------------------------------------------------------
part='json:{"driver":"raw","offset":65536,"size":131072,"file":{"driver":"file","filename":"big.raw"}}'
truncate -s 1M big.raw
io -f raw -c 'write -q -P 3 0 64k' -c 'write -q -P 4 64k 128k' -c 'write -q -P 5 192k 64k' big.raw
is "info of a part" says "virtual size: 128 KiB (131072 bytes)" img info "$part"
is "convert a part" img convert -O qcow2 "$part" part.qcow2
is "holds it" io -c 'read -q -P 4 0 128k' part.qcow2
is "convert into a part" img convert -n --target-image-opts -O raw -f qcow2 part.qcow2 driver=raw,offset=512k,size=128k,file.driver=file,file.filename=big.raw
is "stays in it" io -f raw -c 'read -q -P 5 192k 64k' -c 'read -q -P 0 256k 256k' -c 'read -q -P 4 512k 128k' -c 'read -q -P 0 640k 384k' big.raw
refused "an overlay's header in a part" "size" io -c quit 'json:{"driver":"raw","offset":0,"size":"2M","file":{"driver":"file","filename":"big.raw"}}'
done_testing
