#!/bin/bash
# Backing chains: deep ones, names of every kind, a base in use, overlays of another size than their base.
. "$(dirname "$0")/../tap.sh"
img() { "$IMG_TOOL" "$@"; }
io() { "$IMG_TOOL" io "$@"; }
overlay() { # BASE OVERLAY [SIZE]
    img create -q -f qcow2 -F "${FORMAT:-qcow2}" -b "$@"
}

deep_chain() {
    img create -q -f qcow2 d0 1M && io -c 'write -q -P 7 0 64k' d0 || return 1
    for ((i = 1; i <= 200; i++)); do
        overlay d$((i - 1)) d$i || return 1
        [ $((i % 20)) -ne 0 ] || io -c "write -q -P $i $((i * 4096)) 4096" d$i || return 1
    done
    io -c 'read -q -P 7 0 64k' -c "read -q -P 100 $((100 * 4096)) 4096" -c "read -q -P 200 $((200 * 4096)) 4096" d200
}
is 'a chain of 200 overlays' deep_chain
is '... lists them all' test "$(img info --backing-chain d200 | grep -c '^image:')" -eq 201
is '... converts' img convert -O raw d200 flat.raw
is '... into the same content' img compare -q d200 flat.raw

mkdir real sub
img create -q -f raw real/base 2M
io -f raw -c 'write -q -P 3 0 2M' real/base
(cd real && FORMAT=raw overlay base top)
ln -s real link
is 'a relative name is found from another folder' io -c 'read -q -P 3 0 2M' real/top
is '... through a linked folder' io -c 'read -q -P 3 0 2M' link/top
is '... from inside another folder' sh -c 'cd sub && "$IMG_TOOL" io -c "read -q -P 3 0 2M" ../link/top'
is '... by an absolute name' io -c 'read -q -P 3 0 2M' "$PWD/link/top"
json='json:{"driver":"raw","file":{"driver":"file","filename":"real/base"}}'
is 'a json: name as backing file' img create -q -f qcow2 -F raw -b "$json" json.qcow2
is '... is read' io -c 'read -q -P 3 0 2M' json.qcow2

refused 'a backing file that is not there is named' "gone" img create -f qcow2 -F raw -b gone x.qcow2
img create -q -f qcow2 -u -F raw -b gone lost.qcow2 1M
refused '... when it is opened, too' "gone" img convert -O raw lost.qcow2 x.raw
refused 'a missing format is asked for' "without backing format" img create -f qcow2 -b real/base x.qcow2
img create -q -f qcow2 -u -F qcow2 -b loop.qcow2 loop.qcow2 1M
refused 'an image that backs itself is refused' "loop" img convert -O raw loop.qcow2 x.raw

FORMAT=raw overlay real/base larger 3M
FORMAT=raw overlay real/base smaller 1M
is 'a larger overlay reads zeros behind its base' io -c 'read -q -P 3 0 2M' -c 'read -q -P 0 2M 1M' larger
is '... also after a write across the end' io -c "write -q -P 9 $((2 * 1048576 - 100)) 200" -c "read -q -P 3 $((2 * 1048576 - 65536)) 65436" \
    -c "read -q -P 0 $((2 * 1048576 + 100)) 65000" larger
is 'a smaller overlay ends where it says' io -c 'read -q -P 3 0 1M' smaller
is '... and grows into zeros, not into its base' img resize -q smaller 2M
is '... as a read shows' io -c 'read -q -P 3 0 1M' -c 'read -q -P 0 1M 1M' smaller

img create -q -f qcow2 -o compat=0.10 -F raw -b real/base old.qcow2
io -c 'write -q -P 8 0 64k' -c 'write -q -P 8 0 2M' old.qcow2
img resize -q --shrink old.qcow2 1M
is 'a shrunk version 2 overlay gives its space back' test "$(stat -c %s old.qcow2)" -lt 1500000
img resize -q old.qcow2 2M
is '... and what was cut off does not come back' io -c 'read -q -P 8 0 1M' -c 'read -q -P 0 1M 1M' old.qcow2
is '... and is clean' img check -q old.qcow2

# Somebody has it open for writing from the moment that the answer to `length` is there.
exec 9> >(exec "$IMG_TOOL" io -f raw real/base >holder 2>&1)
echo length >&9
for ((i = 0; i < 100; i++)); do [ -s holder ] && break || sleep 0.1; done
refused 'a base that is being written to is named' "real/base" img convert -O raw real/top x.raw
is '... and read with -U' img convert -U -O raw real/top x.raw
exec 9>&-
# Its L1 table does not fit into what is written at once: the disk grows before it is used.
tiny_clusters() {
    head -c 1M /dev/urandom >below.raw && "$IMG_TOOL" create -q -f qcow2 -o cluster_size=512 -b below.raw -F raw tiny.qcow2 4G &&
        "$IMG_TOOL" convert -O raw tiny.qcow2 tiny.raw && cmp -n 1048576 below.raw tiny.raw
}
is "a large overlay with small clusters shows its backing file" tiny_clusters
done_testing
