#!/bin/bash
# img-tool amend: every field, and afterwards both tools find the image whole and with the same content.
. "$(dirname "$0")/../tap.sh"
command -v qemu-img >/dev/null || skip_all "qemu-img is not installed"
t=$IMG_TOOL

clean() { # FILE: both tools call it so
    qemu-img check -q "$1" && "$t" check -q "$1"
}
content() { # FILE [SNAPSHOT]: what the other tool reads
    rm -f content.raw
    qemu-img convert -O raw ${2:+-l "$2"} "$1" content.raw && sha256sum <content.raw
}
value() { # FILE KEY
    qemu-img info "$1" | sed -n "s/^ *$2: //p"
}
qemu-img create -q -f qcow2 base.qcow2 20M
qemu-io -f qcow2 -c 'write -q -P 77 0 20M' base.qcow2
make() { # OPTIONS [BACKING | plain]: plain has no compressed clusters, which share their space with many
    local packed=-c
    rm -f a.qcow2
    [ "${2:-}" = plain ] && packed='' && set -- "$1"
    qemu-img create -q -f qcow2 -o "$1" ${2:+-b "$2" -F qcow2} a.qcow2 20M &&
        qemu-io -f qcow2 -c 'write -q -P 1 0 3M' -c 'write -q -z 1M 300k' -c 'write -q -z 6M 1M' \
            -c "write -q $packed -P 3 12M 1M" -c 'write -q -P 5 19M 1M' a.qcow2 && qemu-img snapshot -c one a.qcow2 &&
        qemu-io -f qcow2 -c 'write -q -P 9 2M 1M' -c 'write -q -z -u 4M 1M' -c 'write -q -z 19M 64k' -c 'write -q -z 0 64k' a.qcow2
}
amended() { # WHAT OPTIONS...: each -o in turn, all content as before
    local what=$1 before snapshot o
    shift
    before=$(content a.qcow2) snapshot=$(content a.qcow2 one)
    for o; do
        is "$what: $o" "$t" amend -q -f qcow2 -o "$o" a.qcow2
        is "$what: $o: clean" clean a.qcow2
        same "$what: $o: content" "$(content a.qcow2)" "$before"
        same "$what: $o: snapshot" "$(content a.qcow2 one)" "$snapshot"
    done
}

for cluster in 64k 512; do
    make cluster_size=$cluster
    amended "$cluster" refcount_bits=64 refcount_bits=16 compat=0.10 compat=1.1 lazy_refcounts=on lazy_refcounts=off
    make cluster_size=$cluster base.qcow2
    amended "$cluster overlay" compat=0.10,refcount_bits=16 compat=1.1,refcount_bits=32,lazy_refcounts=on compat=0.10,refcount_bits=16,lazy_refcounts=off
    same "$cluster overlay: version" "$(value a.qcow2 compat)" 0.10
done
make cluster_size=4k plain
amended "4k" refcount_bits=8 refcount_bits=2
refused "one bit is not enough for a snapshot" "cannot change the width of the counts to 1 bits" "$t" amend -o refcount_bits=1 a.qcow2
is "and nothing is lost" clean a.qcow2
qemu-img snapshot -d one a.qcow2
is "without one it is" "$t" amend -o refcount_bits=1 a.qcow2
is "clean" clean a.qcow2
same "the width" "$(value a.qcow2 'refcount bits')" 1
is "they change it back" qemu-img amend -o refcount_bits=16 a.qcow2
is "clean" clean a.qcow2

# ---- size
is "size" "$t" amend -o size=40M a.qcow2
same "the size" "$(value a.qcow2 'virtual size')" "40 MiB (41943040 bytes)"
make cluster_size=64k base.qcow2
qemu-img create -q -f qcow2 -b a.qcow2 -F qcow2 over.qcow2 1M
is "size of an overlay shorter than its backing file" "$t" amend -o size=20M over.qcow2
same "what comes in reads as zeros" "$("$t" io -r -c 'read -q -P 0 1M 19M' over.qcow2 2>&1)" ""

# ---- progress, help
same "progress ends at 100" "$("$t" amend -p -o refcount_bits=64 a.qcow2 | tr '\r' '\n' | grep . | tail -n 1)" "    (100.00/100%)"
same "help" "$("$t" amend -f qcow2 -o help)" "$(qemu-img amend -f qcow2 -o help)"
same "help by the image" "$("$t" amend -o help a.qcow2)" "$(qemu-img amend -o help a.qcow2)"

# ---- a data file
qemu-img create -q -f qcow2 -o data_file=d.raw,data_file_raw=on ext.qcow2 1M
is "data_file_raw off" "$t" amend -o data_file_raw=off ext.qcow2
same "it is off" "$(value ext.qcow2 'data file raw')" false
refused "data_file_raw on" "data-file-raw cannot be set on existing images" "$t" amend -o data_file_raw=on ext.qcow2
mv d.raw e.raw
is "another name for the data file" "$t" amend --image-opts -o data_file=e.raw driver=qcow2,file.filename=ext.qcow2,data-file.driver=file,data-file.filename=e.raw
is "it is found" clean ext.qcow2
refused "version 2 with a data file" "incompatible features" "$t" amend -o compat=0.10 ext.qcow2

# ---- refusals
qemu-img create -q -f qcow2 b.qcow2 10M
qemu-img bitmap --add b.qcow2 bits
before=$(sha256sum <b.qcow2)
refused "version 2 with bitmaps" "dirty bitmaps" "$t" amend -o compat=0.10 b.qcow2
refused "version 2 with other widths" "compat=0.10 requires refcount_bits=16" "$t" amend -o compat=0.10,refcount_bits=64 b.qcow2
refused "version 2 with lazy counts" "Lazy refcounts" "$t" amend -o compat=0.10,lazy_refcounts=on b.qcow2
refused "width 3" "must be a power of two" "$t" amend -o refcount_bits=3 b.qcow2
refused "backing file" "Cannot amend the backing file" "$t" amend -o backing_file=base.qcow2 b.qcow2
refused "cluster size" "Invalid parameter 'cluster_size'" "$t" amend -o cluster_size=4k b.qcow2
refused "compression" "Invalid parameter 'compression_type'" "$t" amend -o compression_type=zstd b.qcow2
refused "unknown" "does not know the option 'foo'" "$t" amend -o foo=1 b.qcow2
refused "data file without one" "data-file can only be set" "$t" amend -o data_file=x b.qcow2
refused "keys without encryption" "encrypt" "$t" amend -o encrypt.state=active b.qcow2
refused "raw" "does not support option amendment" "$t" amend -f raw -o help b.qcow2
refused "no options" "Must specify options (-o)" "$t" amend b.qcow2
same "refused changes change nothing" "$(sha256sum <b.qcow2)" "$before"
qemu-img create -q -f qcow2 z.qcow2 1M
qemu-img snapshot -c s z.qcow2
qemu-img resize -q z.qcow2 2M
refused "version 2 with a snapshot of another size" "Internal snapshots prevent downgrade" "$t" amend -o compat=0.10 z.qcow2
done_testing
