#!/bin/bash
# Which files an image may make us open by naming them (docs/TRUST.md): by where it came from, --no-external, --trusted.
tests=$(cd "$(dirname "$0")/.." && pwd)
. "$tests/tap.sh"
. "$tests/http.sh"
img() { timeout 30 "$IMG_TOOL" "$@"; }
io() { img io "$@"; }

img create -q -f raw secret.raw 1M && io -f raw -c 'write -q -P 42 0 1M' secret.raw
img create -q -f qcow2 base.qcow2 1M && io -c 'write -q -P 1 0 64k' base.qcow2
img create -q -f qcow2 -b base.qcow2 -F qcow2 local.qcow2
overlay() { img create -q -f qcow2 -u -b "$2" -F "${3:-raw}" "$1" 1M; } # FILE NAME [FORMAT]

# --- local images -------------------------------------------------------------------------------------------------
for command in "map" "convert -O raw" "compare base.qcow2" "info --backing-chain" "check" "measure -O raw" "io -c quit"; do
    target=; [ "$command" = "convert -O raw" ] && target=out.raw
    # shellcheck disable=SC2086
    is "a local backing file: $command" img $command local.qcow2 $target
done
for command in "map" "convert -O raw" "compare base.qcow2" "info --backing-chain" "measure -O raw" "io -c quit" "rebase -u -b" "commit"; do
    target=local.qcow2; [ "$command" = "convert -O raw" ] && target="local.qcow2 out.raw"
    case $command in
    rebase*) is "not opened anyway: rebase -u" img rebase -q --no-external -u -b base.qcow2 -F qcow2 local.qcow2 && continue ;;
    esac
    # shellcheck disable=SC2086
    [ "${command% *}" = compare ] && status=2 || status=1
    out=$(img ${command%% *} --no-external $(set -- $command; shift; echo "$@") $target 2>&1)
    same "--no-external: $command" "$? ${out##*not }" "$status allowed"
done
is "info needs no other file" img info --no-external local.qcow2
is "check needs none" img check -q --no-external local.qcow2
is "an image that stands alone is open to all" img convert --no-external -O raw base.qcow2 out.raw

overlay url.qcow2 "$HTTP/ok/base.qcow2" qcow2
overlay json.qcow2 "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"$PWD/secret.raw\"}}"
overlay nbd.qcow2 "nbd:localhost:1" raw
cp base.qcow2 www/base.qcow2
for kind in url json nbd; do
    refused "map of a local image opens local files only: $kind" "no local file" img map $kind.qcow2
    is "info does not mind: $kind" img info $kind.qcow2
    is "check does not mind: $kind" img check -q $kind.qcow2
done
same "nobody asked the server" "$(served)" 0
is "map --trusted" img map --trusted url.qcow2
is "an overlay over a URL is there to be used" img convert -O raw url.qcow2 out.raw
is "with its content" img compare -q -f raw -F qcow2 out.raw base.qcow2
is "json:, too" img convert -O raw json.qcow2 out.raw
img create -q -f qcow2 -u -b localhost -F nbd format.qcow2 1M
refused "a backing format that is a network" "no local file" img map format.qcow2

# --- images from the network ----------------------------------------------------------------------------------------
in_www() { (cd www && img create -q -f qcow2 -u -b "$2" -F "${3:-raw}" "$1" 1M); }
in_www absolute.qcow2 "$PWD/secret.raw"
in_www file.qcow2 "file:$PWD/secret.raw"
in_www json.qcow2 "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"$PWD/secret.raw\"}}"
in_www device.qcow2 /dev/zero
in_www nbd.qcow2 nbd:localhost:1
in_www unix.qcow2 'nbd+unix:///x?socket=/run/x'
in_www host.qcow2 http://127.0.0.2:1/x
in_www user.qcow2 "http://evil@127.0.0.1:${HTTP##*:}/ok/base.qcow2" qcow2
in_www port.qcow2 "${HTTP}1/ok/base.qcow2" qcow2
in_www relative.qcow2 base.qcow2 qcow2
in_www same.qcow2 "$HTTP/ok/base.qcow2" qcow2
in_www up.qcow2 ../ok/base.qcow2 qcow2
in_www chain.qcow2 absolute.qcow2 qcow2
for f in absolute file json device nbd unix host user port; do
    for command in map "convert -O raw" "info --backing-chain"; do
        target=; [ "$command" = "convert -O raw" ] && target=out.raw
        # shellcheck disable=SC2086
        refused "from the network, $f: $command" "not on its server" img $command "$HTTP/ok/$f.qcow2" $target
    done
    is "info looks at it alone: $f" img info "$HTTP/ok/$f.qcow2"
done
for f in relative same up; do
    is "the same server: $f" img compare -q "$HTTP/ok/$f.qcow2" base.qcow2
    refused "not with --no-external: $f" "not allowed" img convert --no-external -O raw "$HTTP/ok/$f.qcow2" out.raw
done
refused "further down the chain" "not on its server" img convert -O raw "$HTTP/ok/chain.qcow2" out.raw
overlay far.qcow2 "$HTTP/ok/absolute.qcow2" qcow2
refused "a local overlay does not make it trusted" "not on its server" img convert -O raw far.qcow2 out.raw
refused "nor does one for writing" "not on its server" io -c 'read 0 1k' far.qcow2
is "--trusted does" img convert --trusted -O raw "$HTTP/ok/absolute.qcow2" out.raw
is "and reads the local file" io -f raw -c 'read -q -P 42 0 1M' out.raw
rm -f out.raw
is "what the user names is opened" img compare -q --image-opts driver=qcow2,file.driver=http,file.filename="$HTTP/ok/absolute.qcow2",backing.driver=raw,backing.file.driver=file,backing.file.filename=secret.raw \
    driver=raw,file.driver=file,file.filename=secret.raw

# --- data files -------------------------------------------------------------------------------------------------------
if img create -q -f qcow2 -o data_file=d.raw d.qcow2 1M 2>/dev/null; then
    is "a local data file" io -c 'write -q 0 64k' d.qcow2
    refused "not with --no-external" "not allowed" io --no-external -c 'read 0 1k' d.qcow2
    is "info does not open it" img info --no-external d.qcow2
    cp d.qcow2 www/d.qcow2 && cp d.raw www/d.raw
    is "from the same server" img compare -q "$HTTP/ok/d.qcow2" d.qcow2
    (cd www && img create -q -f qcow2 -o data_file="$PWD/../secret2.raw" e.qcow2 1M)
    refused "a local one, from the network" "not on its server" img convert -O raw "$HTTP/ok/e.qcow2" out.raw
fi
done_testing
