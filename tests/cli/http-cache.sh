#!/bin/bash
# The cache of blocks on disk: every block is fetched once, another version is noticed, damage and lack of space do no harm.
tests=$(cd "$(dirname "$0")/.." && pwd)
. "$tests/tap.sh"
. "$tests/http.sh"
img() { timeout 60 "$IMG_TOOL" "$@"; }
io() { img io "$@"; }
export ONIONSKIN_CACHE=$PWD/cache

head -c 4000001 /dev/urandom >www/a.img
url=$HTTP/ok/a.img
all() { rm -f out && img convert -f raw -O raw "$1" out && cmp out "www/${2:-a.img}"; }
bytes() { awk '{ if (match($3, /bytes=[0-9]+-[0-9]+/)) { split(substr($3, 7), r, "-"); n += r[2] - r[1] + 1 } } END { print n + 0 }' requests; }

is "the first time everything comes from the server" all "$url"
: >requests
is "the second time nothing does" all "$url"
same "but a question whether the file is the same" "$(cat requests)" "ok a.img bytes=0-0"
is "a part" io -r -c 'read 1M 64k' "$url"
same "the folder is ours alone" "$(stat -c %a cache)" 700

# another version
head -c 4000001 /dev/urandom >www/a.img
touch -d '2020-01-01' www/a.img
is "a changed file is noticed" all "$url"
head -c 3000000 /dev/urandom >www/a.img
is "and one that got shorter" all "$url"
head -c 5000000 /dev/urandom >www/a.img
is "and one that got longer" all "$url"

# damage: each bit of the cache that is wrong costs a request, nothing else
file=$(ls cache/*.blocks)
for at in 65540 200000 1000000 4999999; do
    printf 'damage' | dd of="$file" bs=1 seek=$at conv=notrunc status=none
    is "bytes at $at are damaged" all "$url"
done
printf 'damage' | dd of="$file" bs=1 seek=600 conv=notrunc status=none
is "the header is damaged" all "$url"
truncate -s 70000 "$(ls cache/*.blocks)"
is "the file is cut off" all "$url"
: >"$(ls cache/*.blocks)"
is "the file is empty" all "$url"
head -c 300000 /dev/urandom >"$(ls cache/*.blocks)"
is "the file is garbage" all "$url"

# overlays fetch each block once, whoever asks
img create -q -f qcow2 www/base.qcow2 64M
io -c 'write -P 5 0 8M' www/base.qcow2 >/dev/null
base=$HTTP/ok/base.qcow2
for i in 1 2 3 4; do
    img create -q -f qcow2 -u -b "$base" -F qcow2 over$i.qcow2 64M
done
: >requests
for i in 1 2 3 4; do
    io -c 'read -P 5 0 4M' -c 'write -P 1 1M 1M' over$i.qcow2 >io$i 2>&1 &
    pids="${pids:-} $!"
done
wait $pids
is "four overlays at a time" bash -c '! grep -l -i fail io?'
: >requests
for i in 1 2 3 4; do
    is "overlay $i again" io -c 'read -P 5 0 1M' -c 'read -P 1 1M 1M' -c 'read -P 5 2M 2M' over$i.qcow2
done
same "fetches nothing more" "$(bytes)" 4

# without a server
img convert -f raw -O raw "$url" out
head -c 3000000 /dev/urandom >www/c.img
io -r -c 'read 0 64k' "$HTTP/ok/c.img" >/dev/null
server_stop
is "offline: a warm file" bash -c "'$IMG_TOOL' convert -f raw -O raw '$url' out 2>err && cmp out www/a.img"
is "and we are told" grep -q 'cannot be reached; this is what the cache holds' err
is "cache=only asks nobody and is silent" bash -c "'$IMG_TOOL' convert -O raw --image-opts driver=raw,file.driver=http,file.url='$url',file.cache=only out 2>err && cmp out www/a.img && [ ! -s err ]"
is "offline: the part that is there" io -r -c 'read -P 5 0 4M' "$base"
refused "offline: a part that is not there" "not in the cache" img convert -f raw -O raw "$HTTP/ok/c.img" out
refused "offline: a file that never was there" "Could not open" img info "$HTTP/ok/other.img"
refused "cache=only of such a file" "the cache has nothing of it" img info --image-opts "driver=raw,file.driver=http,file.url=$HTTP/ok/other.img,file.cache=only"
server_start

# the bound
export ONIONSKIN_CACHE_SIZE=2M
head -c 9000000 /dev/urandom >www/b.img
is "a file larger than the cache" all "$HTTP/ok/b.img" b.img
is "the cache stays small" [ "$(du -sk cache | cut -f 1)" -le 2600 ]
is "and is still right" all "$HTTP/ok/b.img" b.img
unset ONIONSKIN_CACHE_SIZE
refused "a bad bound" "banana" env ONIONSKIN_CACHE_SIZE=banana "$IMG_TOOL" cache list

# who shares
before=$(ls cache | wc -l)
is "another user's view is another file" bash -c "'$IMG_TOOL' convert --image-opts -O raw driver=raw,file.driver=http,file.url='$HTTP/ok/b.img',file.cookie=k=v out && [ \$(ls cache | wc -l) -gt $before ]"
ls cache >before
is "a version nobody can tell is not kept" all "$HTTP/noversion/b.img" b.img
is "cache=off keeps nothing" img info --image-opts "driver=raw,file.driver=http,file.url=$HTTP/ok/base.qcow2?off,file.cache=off"
is "nor does ONIONSKIN_CACHE=off" env ONIONSKIN_CACHE=off "$IMG_TOOL" info "$HTTP/ok/base.qcow2?none"
same "no file was made by the three" "$(ls cache)" "$(cat before)"
is "a server without ranges is cached, too" all "$HTTP/noranges/b.img" b.img
: >requests
is "and asked only whether the file is the same" all "$HTTP/noranges/b.img" b.img
same "with one request" "$(cat requests)" "noranges b.img bytes=0-0"
server_stop
is "and readable offline" bash -c "'$IMG_TOOL' convert -f raw -O raw '$HTTP/noranges/b.img' out 2>/dev/null && cmp out www/b.img"
server_start

# a cache that cannot be used is none
is "a folder that cannot be made" env ONIONSKIN_CACHE=/proc/nowhere "$IMG_TOOL" info "$url"
is "a file instead of a folder" env ONIONSKIN_CACHE="$PWD/www/a.img" "$IMG_TOOL" info "$url"

# kill -9 at any moment leaves a cache that is right
rm -rf cache
for i in 1 2 3 4 5 6 7 8; do
    "$IMG_TOOL" convert -f raw -O raw "$HTTP/slow/b.img" killed 2>/dev/null &
    pid=$!
    sleep 0.0$((RANDOM % 90 + 10))
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
done
is "after eight kills" all "$HTTP/slow/b.img" b.img

# for people
is "cache list" bash -c "'$IMG_TOOL' cache list | grep -q slow/b.img"
is "cache list --output=json" bash -c "'$IMG_TOOL' cache list --output=json | perl -MJSON::PP -e 'local \$/; my \$l = decode_json(<>); exit !(@\$l >= 1 && \$l->[0]{size})' 2>/dev/null"
is "cache size" bash -c "'$IMG_TOOL' cache size | grep -q '^[0-9.]* [KMG]*iB'"
is "cache clear URL" bash -c "'$IMG_TOOL' cache clear '$HTTP/slow/b.img' && ! '$IMG_TOOL' cache list | grep -q slow/b.img"
is "cache clear" bash -c "'$IMG_TOOL' cache clear && [ -z \"\$(ls cache)\" ]"
refused "cache frobnicate" "frobnicate" img cache frobnicate
done_testing
