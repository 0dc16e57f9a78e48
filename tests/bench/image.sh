# The image part of tests/bench/run: rows of us, the peer, and the limit (what the same data cost without an image tool), in turns;
# medians. Everything lies in o/bench, on a real file system; the source image, 2 GiB with the files of /usr, is made once.
bench=${BENCH:-$PWD/o/bench}
us=$bin/img-tool peer=qemu-img
b=$bench/work # what the rows read and write

make_source() { # a 2 GiB ext4 image with as much of /usr as fits
    local left=1750000 folder size
    [ -s "$bench/src.raw" ] && return
    rm -rf "$bench/tree" && mkdir -p "$bench/tree"
    for folder in bin sbin lib/x86_64-linux-gnu include share lib/gcc lib/python3 lib/jvm lib/git-core lib/llvm-14 lib; do
        [ -d "/usr/$folder" ] && [ ! -e "$bench/tree/$folder" ] || continue
        size=$(du -sk "/usr/$folder" | cut -f1)
        [ "$size" -le $left ] || continue
        mkdir -p "$bench/tree/$(dirname "$folder")" && cp -a "/usr/$folder" "$bench/tree/$folder"
        left=$((left - size))
    done
    rm -f "$bench/src.new" && PATH=$PATH:/sbin:/usr/sbin mkfs.ext4 -q -d "$bench/tree" "$bench/src.new" 2G
    mv "$bench/src.new" "$bench/src.raw" && rm -rf "$bench/tree"
}

make_inputs() {
    rm -rf "$b" && mkdir -p "$b"
    gcc -O2 -o "$work/measure" tests/bench/measure.c
    gcc -O2 -pthread -o "$work/codec" tests/bench/codec.c -lz -lzstd -ldeflate
    ln "$bench/src.raw" "$b/src.raw" && cp --sparse=always "$b/src.raw" "$b/same.raw"
    "$us" convert -O qcow2 "$b/src.raw" "$b/src.qcow2"
    # an overlay with 512 MiB in pieces of 1 MiB, one with 8000 scattered clusters, one over the first
    "$us" create -q -f qcow2 -b "$b/src.qcow2" -F qcow2 "$b/over.tpl"
    seq 0 2 1023 | awk '{ printf "write -q -P %d %dM 1M\n", $1 % 250 + 1, $1 * 2 }' | "$us" io -t unsafe "$b/over.tpl" >/dev/null
    "$us" create -q -f qcow2 -b "$b/src.qcow2" -F qcow2 "$b/scattered.tpl"
    seq 1 8000 | awk '{ printf "write -q -P %d %.0f 4096\n", $1 % 250 + 1, ($1 * 12345) % 32768 * 65536 }' | "$us" io -t unsafe "$b/scattered.tpl" >/dev/null
    "$us" create -q -f qcow2 -b "$b/src.qcow2" -F qcow2 "$b/child.qcow2"
    "$us" io -c 'write -q -P 4 100M 20M' "$b/child.qcow2" >/dev/null
    cp "$b/over.tpl" "$b/chain.qcow2"
    # a 64 GiB image with 4 KiB clusters all over it; a chain of 200
    "$us" create -q -f qcow2 -o cluster_size=4k "$b/frag.qcow2" 64G
    seq 1 20000 | awk '{ printf "write -q -P 7 %.0f 4096\n", ($1 * 3355443) % 16777216 * 4096 }' | "$us" io -t unsafe "$b/frag.qcow2" >/dev/null
    "$us" create -q -f qcow2 "$b/c0" 1G
    for ((i = 1; i <= 200; i++)); do "$us" create -q -f qcow2 -b "$b/c$((i - 1))" -F qcow2 "$b/c$i"; done
    cp "$b/src.qcow2" "$b/base.qcow2"
}

measure() { # WHO NAME TIMES COMMAND...: adds a line to the row's file
    local who=$1 name=$2
    shift 2
    "$work/measure" "$@" >>"$work/$name.$who" 2>>"$work/errors" || { echo "bench: failed: ${*:2}" >&2; tail -n 3 "$work/errors" >&2; }
}
median() { # COLUMN FILE
    [ -s "$2" ] || { echo -; return; }
    cut -d ' ' -f "$1" "$2" | sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# row NAME TIMES SETUP ARGS...; `limit` (a command) and `theirs` (the peer's arguments, if others) are taken and forgotten
limit=() theirs=()
row() {
    local name=$1 times=$2 setup=$3 i who order=(us peer limit)
    shift 3
    local their=("${theirs[@]:-$@}") lim=("${limit[@]}")
    [ ${#theirs[@]} -gt 0 ] || their=("$@")
    limit=() theirs=()
    [[ $name =~ ${ROWS:-.} ]] || return 0
    for ((i = 0; i < rounds; i++)); do
        ((i % 2)) && order=(limit peer us) || order=(us peer limit)
        for who in "${order[@]}"; do
            rm -f "$b"/new*
            case $who in
            us) $setup "$us"; measure us "$name" "$times" "$us" "$@" ;;
            peer) [ "${their[0]}" = - ] || ! command -v $peer >/dev/null || { $setup $peer; measure peer "$name" "$times" $peer "${their[@]}"; } ;;
            limit) [ ${#lim[@]} -eq 0 ] || { $setup "$us"; measure limit "$name" "$times" "${lim[@]}"; } ;;
            esac
        done
    done
    awk -v n="${name//_/ }" -v a="$(median 1 "$work/$name.us")" -v p="$(median 1 "$work/$name.peer")" -v l="$(median 1 "$work/$name.limit")" \
        -v ca="$(median 2 "$work/$name.us")" -v cp="$(median 2 "$work/$name.peer")" \
        -v ma="$(median 3 "$work/$name.us")" -v mp="$(median 3 "$work/$name.peer")" '
        function sec(v) { return v == "-" ? sprintf("%10s", "-") : sprintf("%10.4f", v) }
        function times(x, y) { return x == "-" || y == "-" || y == 0 ? sprintf("%8s", "-") : sprintf("%7.2fx", x / y) }
        BEGIN { printf "%-28s%s%s%s%s%s   %s%s%s   %s\n", n, sec(a), sec(p), times(p, a), sec(l), times(a, l), sec(ca), sec(cp), times(cp, ca), times(ma, mp) }'
}
none() { :; }
sizes() { # NAME OURS THEIRS: how large compressed images came out
    [[ $1 =~ ${ROWS:-.} ]] && printf '    %s: %s bytes, theirs %s\n' "${1//_/ }" "$(stat -c %s "$2")" "$(stat -c %s "$3")"
}

# --- the rows ---
copy_rows() { # SUFFIX CP-COMMAND CACHE-OPTIONS...
    local s=$1 cp=$2
    shift 2
    limit=($cp "$b/src.raw" "$b/new.raw"); row "raw_to_qcow2$s" 1 none convert "$@" -f raw -O qcow2 "$b/src.raw" "$b/new.qcow2"
    limit=($cp "$b/src.raw" "$b/new.raw"); row "qcow2_to_raw$s" 1 none convert "$@" -O raw "$b/src.qcow2" "$b/new.raw"
    limit=($cp "$b/src.raw" "$b/new.raw"); row "qcow2_to_qcow2$s" 1 none convert "$@" -O qcow2 "$b/src.qcow2" "$b/new.qcow2"
    limit=($cp "$b/src.raw" "$b/new.raw"); row "raw_to_raw$s" 1 none convert "$@" -f raw -O raw "$b/src.raw" "$b/new.raw"
    limit=($cp "$b/src.raw" "$b/new.raw"); row "chain_to_flat$s" 1 none convert "$@" -O qcow2 "$b/chain.qcow2" "$b/new.qcow2"
}

copying() {
    copy_rows '' 'cp --sparse=auto'
    limit=(cmp "$b/src.raw" "$b/same.raw"); row compare 1 none compare -f raw "$b/src.raw" "$b/src.qcow2"
    limit=(cmp "$b/src.raw" "$b/same.raw"); row compare_raw 1 none compare -f raw -F raw "$b/src.raw" "$b/same.raw"
    printf '#!/bin/sh\nexec dd if="$1" of="$2" bs=4M iflag=direct oflag=direct conv=sparse status=none\n' >"$work/direct" && chmod +x "$work/direct"
    copy_rows _direct "$work/direct" -t none -T none
}

compressing() {
    local zlib=(convert -c -f raw -O qcow2 "$b/src.raw" "$b/new.qcow2") zstd=(convert -c -f raw -O qcow2 -o compression_type=zstd "$b/src.raw" "$b/new.qcow2")
    command -v pigz >/dev/null && limit=(pigz -k -c "$b/src.raw"); row compress_zlib 1 none "${zlib[@]}"
    command -v zstd >/dev/null && limit=(zstd -q -c -3 -T0 "$b/src.raw"); row compress_zstd 1 none "${zstd[@]}"
    "$us" "${zlib[@]}" && mv "$b/new.qcow2" "$b/zlib.qcow2" && "$us" "${zstd[@]}" && mv "$b/new.qcow2" "$b/zstd.qcow2"
    if command -v $peer >/dev/null && [[ compress_size =~ ${ROWS:-.} ]]; then
        $peer "${zlib[@]}" && sizes compress_size "$b/zlib.qcow2" "$b/new.qcow2"
        $peer "${zstd[@]}" && sizes compress_size "$b/zstd.qcow2" "$b/new.qcow2"
    fi
    for kind in zlib zstd; do
        row expand_$kind 1 none convert -O raw "$b/$kind.qcow2" "$b/new.raw"
        # the codec packs the file first: what it prints counts, not how long it runs
        [[ expand_$kind =~ ${ROWS:-.} ]] && printf '    the bare %s codec, in memory, all processors: %s s\n' $kind "$("$work/codec" $kind "$b/src.raw" | cut -d ' ' -f 1)"
    done
}

# The overlay lies over a base of its own that a commit may change. Nothing waits for dirty pages of the copying before.
fresh_over() { cp "$b/$template.tpl" "$b/new.over" && "$us" rebase -u -b "$b/base.qcow2" -F qcow2 "$b/new.over" && sync "$b/new.over"; }
fresh_rebase() { cp "$b/$template.tpl" "$b/new.over" && sync "$b/new.over"; }
merging() {
    template=over
    limit=(cp "$b/new.over" "$b/new.copy"); row commit 1 fresh_over commit -t unsafe "$b/new.over"
    limit=(cp "$b/new.over" "$b/new.copy"); row commit_flushed 1 fresh_over commit "$b/new.over"
    limit=(cmp "$b/src.raw" "$b/same.raw"); row rebase_to_equal 1 fresh_rebase rebase -t unsafe -b "$b/src.raw" -F raw "$b/new.over"
    limit=(cp "$b/src.raw" "$b/new.copy"); row rebase_to_none 1 fresh_rebase rebase -t unsafe -b '' "$b/new.over"
    template=scattered
    row commit_scattered 1 fresh_over commit -t unsafe "$b/new.over"
    row rebase_to_child 1 fresh_rebase rebase -t unsafe -b "$b/child.qcow2" -F qcow2 "$b/new.over"
}

starting() {
    row create 20 none create -q -f qcow2 "$b/new.qcow2" 1T
    row create_overlay 20 none create -q -f qcow2 -b "$b/src.qcow2" -F qcow2 "$b/new.qcow2"
    row create_preallocated 3 none create -q -f qcow2 -o preallocation=metadata "$b/new.qcow2" 256G
    row info 20 none info "$b/src.qcow2"
    row info_chain_of_200 5 none info --backing-chain "$b/c200"
    row map_chain_of_200 5 none map --output=json "$b/c200"
    row map_fragmented 3 none map --output=json "$b/frag.qcow2"
    row map_raw 5 none map --output=json -f raw "$b/src.raw"
    row check 10 none check "$b/src.qcow2"
    row check_fragmented 5 none check "$b/frag.qcow2"
    row measure 5 none measure -O qcow2 "$b/src.qcow2"
}

with_snapshot() { "$us" snapshot -c one "$snapshots"; }
without_snapshot() { "$us" snapshot -d one "$snapshots" 2>/dev/null || true; }
snapshots() { # the peer needs up to a minute for each: fewer rounds
    local rounds=${SNAPSHOT_ROUNDS:-1}
    [[ snapshot =~ ${ROWS:-.} ]] || [[ ${ROWS:-.} == *snapshot* ]] || return 0
    "$us" create -q -f qcow2 -o preallocation=metadata "$b/big.qcow2" 8T
    for kind in big frag; do
        snapshots=$b/$kind.qcow2
        row snapshot_create_$kind 1 without_snapshot snapshot -c one "$snapshots"
        row snapshot_apply_$kind 1 "eval without_snapshot; with_snapshot; :" snapshot -a one "$snapshots"
        row snapshot_delete_$kind 1 "eval without_snapshot; with_snapshot; :" snapshot -d one "$snapshots"
    done
    rm -f "$b/big.qcow2"
}

requests() {
    local many=(bench -q -f qcow2 -c 100000 -d 64 -s 4096 -S 69632)
    row bench_read_depth_64 1 none "${many[@]}" "$b/src.qcow2"
    row bench_write_depth_64 1 none "${many[@]}" -w -t unsafe "$b/base.qcow2"
    row bench_read_depth_64_direct 1 none "${many[@]}" -t none "$b/src.qcow2"
}

importing() { # the peer reads no compressed files
    local ext
    declare -A unpack=([gz]="gzip -dc" [xz]="xz -T0 -dc" [zst]="zstd -q -dc") pack=([gz]="gzip -1 -c" [xz]="xz -0 -T0 -c" [zst]="zstd -q -c")
    for ext in gz xz zst; do
        [[ import_$ext =~ ${ROWS:-.} ]] && command -v "${pack[$ext]%% *}" >/dev/null || continue
        ${pack[$ext]} "$b/src.raw" >"$b/packed.$ext"
        theirs=(-) limit=(${unpack[$ext]} "$b/packed.$ext"); row import_$ext 1 none convert -f raw -O raw "$b/packed.$ext" "$b/new.raw"
    done
}

serve_files() { # an nginx of our own on the loopback; sets `url`
    local port nginx
    nginx=$(command -v nginx || ls /usr/sbin/nginx 2>/dev/null) || return 1
    for ((port = 18080; port < 18180; port++)); do
        printf 'daemon off; pid %s/nginx.pid; error_log %s/nginx.log;\nevents {}\nhttp { access_log off; sendfile on; client_body_temp_path %s; proxy_temp_path %s; fastcgi_temp_path %s; uwsgi_temp_path %s; scgi_temp_path %s; server { listen 127.0.0.1:%s; root %s; } }\n' \
            "$work" "$work" "$work" "$work" "$work" "$work" "$work" $port "$b" >"$work/nginx.conf"
        (exec "$nginx" -c "$work/nginx.conf" -e "$work/nginx.log") >/dev/null 2>&1 &
        server=$!
        for ((i = 0; i < 30; i++)); do
            kill -0 $server 2>/dev/null || break
            curl -s -o /dev/null "http://127.0.0.1:$port/c0" && { url=http://127.0.0.1:$port; return 0; }
            sleep 0.1
        done
    done
    return 1
}
downloading() {
    [[ http =~ ${ROWS:-.} ]] || [[ ${ROWS:-.} == *http* ]] || return 0
    command -v curl >/dev/null && serve_files || return 0
    export XDG_CACHE_HOME=$work/cache
    empty_cache() { rm -rf "$work/cache"; }
    limit=(curl -s -o "$b/new.copy" "$url/src.qcow2") theirs=(convert -m 1 -O qcow2 "$url/src.qcow2" "$b/new.qcow2")
    row http_convert 1 empty_cache convert -O qcow2 "$url/src.qcow2" "$b/new.qcow2"
    kill $server && wait $server 2>/dev/null || true
}

bench_image() {
    mkdir -p "$bench"
    make_source
    make_inputs
    cat "$b"/src.* "$b/same.raw" >/dev/null
    printf '\nimage tool: medians of %s rounds in turns; "limit" is cp, cmp, dd, or the bare codec on the same data\n' "$rounds"
    printf '%-28s%10s%10s%8s%10s%8s   %10s%10s%8s   %8s\n' '' seconds qemu-img faster limit ours/it processor qemu-img less memory
    copying
    merging
    starting
    requests
    compressing
    importing
    downloading
    snapshots
    rm -rf "$b"
}
