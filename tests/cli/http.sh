#!/bin/bash
# Images over HTTP: reading, names, options, overlays; what the server is asked for.
tests=$(cd "$(dirname "$0")/.." && pwd)
. "$tests/tap.sh"
. "$tests/http.sh"
img() { timeout 60 "$IMG_TOOL" "$@"; }
io() { img io "$@"; }

head -c 5000003 /dev/urandom >www/odd.img # no multiple of anything
head -c 700 /dev/urandom >www/small.img
head -c 600003 /dev/urandom >www/mid.img
: >www/empty.img
head -c 3M /dev/urandom >data
img create -q -f qcow2 www/base.qcow2 4M
io -c 'write -P 7 0 1M' -c 'write -P 9 3M 64k' www/base.qcow2 >/dev/null
img create -q -f qcow2 -b base.qcow2 -F qcow2 www/overlay.qcow2
io -c 'write -P 8 1M 64k' www/overlay.qcow2 >/dev/null
img create -q -f qcow2 -u -b 'base.qcow2?token=a/b' -F qcow2 www/query.qcow2 4M
img create -q -f qcow2 -u -b /etc/passwd -F raw www/local.qcow2 4M
img create -q -f qcow2 -u -b "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}}" -F raw www/json.qcow2 4M
img create -q -f qcow2 -u -b loop.qcow2 -F qcow2 www/loop.qcow2 4M

# WHAT URL-OR-OPTIONS FILE: the source has the file's bytes
copies() {
    local what=$1 url=$2 file=$3
    shift 3
    rm -f out
    is "$what" img convert -O raw "$@" "$url" out
    is "$what: the same bytes" cmp out "www/$file"
}

copies "a file of odd size" "$HTTP/ok/odd.img" odd.img -f raw
copies "a small file" "$HTTP/ok/small.img" small.img -f raw
copies "an empty file" "$HTTP/ok/empty.img" empty.img -f raw
copies "one worker" "$HTTP/ok/odd.img" odd.img -f raw -m 1
copies "sixteen workers, in any order" "$HTTP/ok/odd.img" odd.img -f raw -m 16 -W
copies "no ranges: the file comes as a whole" "$HTTP/noranges/odd.img" odd.img -f raw
copies "neither ranges nor a size" "$HTTP/nolength/odd.img" odd.img -f raw
copies "a small file as a whole" "$HTTP/noranges/small.img" small.img -f raw
copies "an empty file as a whole" "$HTTP/noranges/empty.img" empty.img -f raw
copies "a redirection" "$HTTP/redirect/odd.img" odd.img -f raw
same "the redirection is followed once" "$(served '^redirect ')" 1
copies "addresses that expire" "$HTTP/signed/odd.img" odd.img -f raw
copies "a date instead of an ETag" "$HTTP/dateonly/odd.img" odd.img -f raw
copies "a weak ETag" "$HTTP/weak/odd.img" odd.img -f raw
copies "neither date nor ETag" "$HTTP/noversion/odd.img" odd.img -f raw
copies "answers shorter than asked for" "$HTTP/half/small.img" small.img -f raw
copies "small read-ahead, one connection" \
    "driver=raw,file.driver=http,file.url=$HTTP/ok/odd.img,file.readahead=512,file.connections=1" odd.img --image-opts
copies "json:" "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"http\",\"url\":\"$HTTP/ok/odd.img\",\"timeout\":5,\"retries\":1}}" odd.img
copies "an escaped name" "$HTTP/ok/o%64d.img" odd.img -f raw
copies "a query" "$HTTP/ok/odd.img?a=b&c=/d" odd.img -f raw

is "qcow2: the same content" img compare -f qcow2 -F qcow2 www/base.qcow2 "$HTTP/ok/base.qcow2"
is "an overlay and its backing file on the server" img compare -F qcow2 -f qcow2 www/overlay.qcow2 "$HTTP/ok/overlay.qcow2"
same "the backing name is resolved against the URL" \
    "$(img info --output=json "$HTTP/ok/overlay.qcow2" | sed -n 's/.*"full-backing-filename": "\(.*\)".*/\1/p')" "$HTTP/ok/base.qcow2"
same "and without the query of the overlay" \
    "$(img info --output=json "$HTTP/ok/query.qcow2?x=y/z" | sed -n 's/.*"full-backing-filename": "\(.*\)".*/\1/p')" "$HTTP/ok/base.qcow2?token=a/b"
is "a backing name with a query" img compare -f qcow2 -F qcow2 www/base.qcow2 "$HTTP/ok/query.qcow2"
refused "an image from the network names no local file" "/etc/passwd" img convert -O raw "$HTTP/ok/local.qcow2" out
refused "nor with json:" "/etc/passwd" img convert -O raw "$HTTP/ok/json.qcow2" out
refused "a chain that is a loop" "loop" img convert -O raw "$HTTP/ok/loop.qcow2" out

is "a local overlay over a URL" img create -q -f qcow2 -b "$HTTP/ok/base.qcow2" -F qcow2 local.qcow2
is "reads through it" io -c 'read -P 7 0 1M' -c 'read -P 0 1M 1M' -c 'read -P 9 3M 64k' local.qcow2
is "writes to it" io -c 'write -P 1 100k 5k' -c 'read -P 7 0 100k' -c 'read -P 1 100k 5k' local.qcow2
is "commit of a local overlay cannot write to the server" bash -c "! '$IMG_TOOL' commit -q local.qcow2 2>err"
is "rebase makes it stand alone" img rebase -b '' local.qcow2
is "and the server is not needed any more" io -c 'read -P 9 3M 64k' local.qcow2

same "info" "$(img info "$HTTP/ok/odd.img" | sed "s|$HTTP/ok|www|")" "$(img info www/odd.img | sed 's/^disk size: .*/disk size: unavailable/')"
same "no actual-size in JSON" "$(img info --output=json "$HTTP/ok/odd.img" | grep -c actual-size)" 0
is "info -U, and measure" img measure -U -O qcow2 "$HTTP/ok/base.qcow2"
: >requests
is "map" img map --output=json "$HTTP/ok/base.qcow2"
is "with few requests" [ "$(served)" -le 3 ]
refused "writing" "only be read" io -c "write 0 512" "$HTTP/ok/base.qcow2"
is "read-only by auto-read-only" img io -c 'read 0 512' --image-opts "driver=qcow2,read-only=on,auto-read-only=on,file.driver=http,file.url=$HTTP/ok/base.qcow2"
refused "check -r" "only be read" img check -r all "$HTTP/ok/base.qcow2"
is "check" img check "$HTTP/ok/base.qcow2"

# clusters in any order: reads that jump about
img create -q -f qcow2 -o cluster_size=4k www/jumps.qcow2 16M
for at in $(seq 0 4095 | shuf -n 300 --random-source=<(yes)); do
    echo "write -P $((at % 250 + 1)) $((at * 4))k $((at % 3 + 1))k"
done >writes
io www/jumps.qcow2 <writes >/dev/null
export ONIONSKIN_CACHE=$PWD/cache
for mode in off auto on auto; do
    is "clusters in any order, cache=$mode" img compare --image-opts driver=qcow2,file.filename=www/jumps.qcow2 \
        "driver=qcow2,file.driver=http,file.url=$HTTP/ok/jumps.qcow2,file.cache=$mode,file.readahead=4096"
done
export ONIONSKIN_CACHE=off

for tool in gzip xz zstd bzip2; do
    command -v $tool >/dev/null || continue
    $tool -c www/mid.img >www/mid.img.$tool
    copies "$tool, unpacked on the way" "$HTTP/ok/mid.img.$tool" mid.img
    copies "$tool, without ranges" "$HTTP/nolength/mid.img.$tool" mid.img
done

# who may read
opts="driver=raw,file.driver=http,file.url="
refused "a file behind a password" "401" img info "$HTTP/private/odd.img"
is "user and password by secret" img info --object secret,id=s,data=secret --image-opts "${opts}$HTTP/private/odd.img,file.username=user,file.password-secret=s"
is "user and password in the URL" img info "${HTTP/\/\////user:s%65cret@}/private/odd.img"
refused "a wrong password" "401" img info "${HTTP/\/\////user:wrong@}/private/odd.img"
is "a cookie" img info --image-opts "${opts}$HTTP/cookie/odd.img,file.cookie=key=secret"
is "a cookie by secret" img info --object secret,id=c,data=key=secret --image-opts "${opts}$HTTP/cookie/odd.img,file.cookie-secret=c"
refused "two cookies" "cookie" img info --object secret,id=c,data=x --image-opts "${opts}$HTTP/cookie/odd.img,file.cookie-secret=c,file.cookie=d"
refused "a secret that is not there" "nosuch" img info --image-opts "${opts}$HTTP/ok/odd.img,file.cookie-secret=nosuch"

# a proxy is asked with the whole URL, which our server takes as a file it does not have
unset no_proxy
is "the environment's proxy is used" bash -c "http_proxy=$HTTP '$IMG_TOOL' info http://example.invalid/x 2>&1 | grep -q 404"
export no_proxy='*'

refused "an option of nobody" "frob" img info --image-opts "${opts}$HTTP/ok/odd.img,file.frob=1"
refused "timeout=0" "timeout" img info --image-opts "${opts}$HTTP/ok/odd.img,file.timeout=0"
refused "readahead=100" "readahead" img info --image-opts "${opts}$HTTP/ok/odd.img,file.readahead=100"
refused "connections=0" "connections" img info --image-opts "${opts}$HTTP/ok/odd.img,file.connections=0"
refused "another scheme than the driver's" "https://" img info --image-opts "driver=raw,file.driver=https,file.url=$HTTP/ok/odd.img"
refused "no URL" "url" img info --image-opts "driver=raw,file.driver=http,file.timeout=3"
refused "force-range on a server without" "byte ranges" img info --image-opts "${opts}$HTTP/noranges/odd.img,file.force-range=on"
is "sslverify, force-range and read-only are known" img info --image-opts "${opts}$HTTP/ok/odd.img,file.sslverify=off,file.force-range=on,read-only=on"

if [ -x "${EMULATOR:-}" ]; then
    echo 'info block
quit' | timeout 20 "$EMULATOR" -display none -monitor stdio -S -drive "file=$HTTP/ok/base.qcow2,snapshot=on" >monitor.out 2>&1
    is "the emulator takes a URL as a disk with snapshot=on" grep -q 'ide0-hd0' monitor.out
fi
done_testing
