#!/bin/bash
# Every option of every subcommand of qemu-img 7.2, given to both tools: exit codes, standard output and what is in the
# images afterwards. What shapes an image has tests of its own; this is about the command lines.
HERE=$(cd "$(dirname "$0")/.." && pwd)
. "$HERE/tap.sh"
. "$HERE/alike.sh"
SECRET=secret,id=s0,data=letmein

prepare() { # fresh images, the same in both folders
    rm -rf ours theirs
    mkdir ours theirs
    qemu-img create -q -f qcow2 base.qcow2 6M
    qemu-io -c "write -q -P 1 0 1M" -c "write -q -P 2 3M 100k" base.qcow2
    qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 over.qcow2
    qemu-io -c "write -q -P 3 512k 70k" -c "write -q -P 4 5M 64k" -c "write -q -z 1M 128k" over.qcow2
    qemu-img create -q -f qcow2 -b over.qcow2 -F qcow2 top.qcow2
    qemu-io -c "write -q -P 6 2M 64k" top.qcow2
    qemu-img convert -O raw top.qcow2 flat.raw
    qemu-img create -q -f qcow2 marked.qcow2 6M
    qemu-img bitmap --add marked.qcow2 b0
    qemu-io -c "write -q 0 64k" marked.qcow2
    cp ./*.qcow2 ./*.raw ours # both copies have the same holes
    cp ./*.qcow2 ./*.raw theirs
    rm ./*.qcow2 ./*.raw
}

# --- amend --------------------------------------------------------------------------------------------------------
prepare
alike amend --object $SECRET -f qcow2 -o lazy_refcounts=on base.qcow2
alike amend -p -t writethrough -o lazy_refcounts=off base.qcow2
alike amend -q -o lazy_refcounts=off base.qcow2
alike amend --image-opts -o compat=1.1 driver=qcow2,file.filename=base.qcow2
alike amend --force -o lazy_refcounts=on base.qcow2
alike amend -t nonsense -o compat=1.1 base.qcow2
alike amend base.qcow2
alike amend -o compat=1.1
alike amend -o nonsense=1 base.qcow2
alike info base.qcow2
alike check base.qcow2
same_content base.qcow2

# --- bitmap -------------------------------------------------------------------------------------------------------
alike bitmap --add -g 64k --object $SECRET base.qcow2 one
alike bitmap --add --disable -f qcow2 base.qcow2 two
alike bitmap --enable --image-opts driver=qcow2,file.filename=base.qcow2 two
alike bitmap --merge two base.qcow2 one
alike bitmap --merge b0 -b marked.qcow2 -F qcow2 base.qcow2 one
alike bitmap --clear base.qcow2 one
alike bitmap --remove base.qcow2 two
alike bitmap --remove base.qcow2 missing
alike bitmap base.qcow2 one
alike bitmap -g 64k --clear base.qcow2 one
alike info --output=json base.qcow2

# --- check --------------------------------------------------------------------------------------------------------
prepare
alike check --object $SECRET -f qcow2 -T none base.qcow2
alike check -q base.qcow2
alike check -U --output=json base.qcow2
alike check --output human base.qcow2
alike check -r leaks base.qcow2
alike check -r all base.qcow2
alike check -r nonsense base.qcow2
alike check --image-opts driver=qcow2,file.filename=base.qcow2
alike check --output=nonsense base.qcow2
alike check

# --- commit -------------------------------------------------------------------------------------------------------
alike commit --object $SECRET -f qcow2 -t writeback -d over.qcow2
alike commit -q top.qcow2
alike commit -p over.qcow2
prepare
alike commit -b base.qcow2 -r 100M top.qcow2
alike commit --image-opts driver=qcow2,file.filename=over.qcow2
alike commit -b nonsense.qcow2 top.qcow2
alike commit base.qcow2
alike commit
same_content base.qcow2

# --- compare ------------------------------------------------------------------------------------------------------
prepare
alike compare --object $SECRET -f qcow2 -F raw -T none top.qcow2 flat.raw
is "compare -p" sh -c '"$IMG_TOOL" compare -p ours/top.qcow2 ours/flat.raw | grep -q "(100.00/100%)"'
alike compare -q top.qcow2 over.qcow2
alike compare -s base.qcow2 over.qcow2
alike compare -U top.qcow2 flat.raw
alike compare --image-opts driver=qcow2,file.filename=top.qcow2 driver=raw,file.filename=flat.raw
alike compare -F nonsense top.qcow2 flat.raw
alike compare top.qcow2

# --- convert ------------------------------------------------------------------------------------------------------
for line in "convert --object $SECRET -f qcow2 -O qcow2" "convert -c -O qcow2" "convert -p -O raw" "convert -q -O raw" \
    "convert -t none -T none -O raw" "convert -B base.qcow2 -F qcow2 -O qcow2" "convert -o cluster_size=4k -O qcow2" \
    "convert -S 4k -O raw" "convert -S 0 -O qcow2" "convert -r 200M -O raw" "convert -m 3 -W -O qcow2" "convert -C -O raw" \
    "convert --salvage -O raw" "convert -U -O raw" "convert -O qcow2 -o size=10M"; do
    # shellcheck disable=SC2086
    alike $line top.qcow2 new.img
    format=raw && [[ $line == *"-O qcow2"* ]] && format=qcow2
    same_content new.img $format
done
options_of() { sed -n 's/^  \([a-z_.-]*\)=.*/\1/p'; } # names in a list of options
for format in qcow2 luks; do
    same "create -f $format -o help names all that qemu-img's does" \
        "$(comm -13 <("$IMG_TOOL" create -f $format -o help x.img | options_of | sort) <(qemu-img create -f $format -o help x.img | options_of | sort))" ""
    same "convert -O $format -o help lists the same as create" "$("$IMG_TOOL" convert -O $format -o help)" "$("$IMG_TOOL" create -f $format -o help)"
    same "measure -O $format -o help, too" "$("$IMG_TOOL" measure -O $format -o help)" "$("$IMG_TOOL" create -f $format -o help)"
done
alike convert --image-opts -O raw driver=qcow2,file.filename=top.qcow2 new.img
alike convert -n --target-image-opts top.qcow2 driver=raw,file.filename=flat.raw
both truncate -s 6M zero.raw
alike convert -n --target-is-zero -O raw top.qcow2 zero.raw
same_content zero.raw raw
alike convert --bitmaps -O qcow2 marked.qcow2 copy.qcow2
alike info copy.qcow2
alike convert --bitmaps --skip-broken-bitmaps -O qcow2 marked.qcow2 copy.qcow2
alike snapshot -c now base.qcow2
alike convert -l snapshot.name=now -O raw base.qcow2 snap.raw
alike convert -l nonsense -O raw base.qcow2 snap.raw
alike convert --bitmaps -O raw marked.qcow2 copy.raw
alike convert -c -O raw top.qcow2 x.raw
alike convert -S 3 top.qcow2 x.raw
alike convert -m 0 top.qcow2 x.raw
alike convert -m 17 -O raw top.qcow2 x.raw
alike convert -r nonsense top.qcow2 x.raw
alike convert -n -o size=1M top.qcow2 flat.raw
alike convert --skip-broken-bitmaps -O qcow2 marked.qcow2 copy.qcow2
alike convert top.qcow2

# --- create -------------------------------------------------------------------------------------------------------
alike create --object $SECRET -f qcow2 secret.qcow2 1M
# qemu-img measures the processor before it makes a key, which fails on a busy machine: its line is written down here.
same "create -o encrypt.format=luks" "$(cd ours && "$IMG_TOOL" create --object $SECRET -f qcow2 \
    -o encrypt.format=luks,encrypt.key-secret=s0,encrypt.iter-time=10 locked.qcow2 1M)" \
    "Formatting 'locked.qcow2', fmt=qcow2 encrypt.format=luks encrypt.key-secret=s0 encrypt.iter-time=10 cluster_size=65536 extended_l2=off compression_type=zlib size=1048576 lazy_refcounts=off refcount_bits=16"
same "create -f luks" "$(cd ours && "$IMG_TOOL" create --object $SECRET -f luks -o key-secret=s0,iter-time=10 locked.luks 1M)" \
    "Formatting 'locked.luks', fmt=luks size=1048576 key-secret=s0 iter-time=10"
cp ours/locked.qcow2 ours/locked.luks theirs
alike info locked.qcow2
alike info --output=json locked.qcow2
alike info locked.luks
alike check --object $SECRET --image-opts driver=qcow2,encrypt.key-secret=s0,file.filename=locked.qcow2
alike map --output=json --object $SECRET --image-opts driver=qcow2,encrypt.key-secret=s0,file.filename=locked.qcow2
alike create -q -f qcow2 -b base.qcow2 -F qcow2 child.qcow2
alike create -f qcow2 -u -b missing.qcow2 -F qcow2 child.qcow2 3M
alike create -f qcow2 -u -b missing.qcow2 -F qcow2 child.qcow2
alike create -f qcow2 -b base.qcow2 child.qcow2
alike create -f qcow2 -o backing_file=base.qcow2,backing_fmt=qcow2 child.qcow2
alike create -f qcow2 -b base.qcow2 -F qcow2 -o backing_fmt=raw child.qcow2
alike create -f qcow2 -o extended_l2=on,cluster_size=128k sub.qcow2 5M
alike create -f qcow2 -o data_file=sub.data,data_file_raw=on data.qcow2 5M
alike create -f qcow2 -o preallocation=falloc,nocow=on full.qcow2 1M
alike create -f qcow2 -o preallocation=full,extent_size_hint=1M full.qcow2 1M
alike create -f raw -o preallocation=off,nocow=off plain.raw 1M
alike create -f raw -o preallocation=full plain.raw 1M
alike create -f raw -o size=2M plain.raw
alike create plain.raw 1.5M
alike create plain.raw 1,5M
alike create plain.raw 5x
alike create plain.raw
alike create -f nonsense plain.raw 1M
alike create -f raw -b base.qcow2 -F qcow2 plain.raw
# What a format cannot do: qemu-img prints its line first, and then fails.
for options in cluster_size=3 cluster_size=4M refcount_bits=3 compat=7 extended_l2=on,cluster_size=4k; do
    same "create -o $options" "$(cd ours && "$IMG_TOOL" create -q -f qcow2 -o $options x.qcow2 1M 2>/dev/null; echo $?)" \
        "$(cd theirs && qemu-img create -q -f qcow2 -o $options x.qcow2 1M 2>/dev/null; echo $?)"
done
alike create -f qcow2 x.qcow2 9E
alike create -f qcow2 x.qcow2 1M 2M
for f in secret sub data full; do
    alike info $f.qcow2
done

# --- dd, info, map, measure ---------------------------------------------------------------------------------------
alike dd -f qcow2 -O qcow2 bs=64k count=9 skip=3 if=base.qcow2 of=part.qcow2
alike dd --image-opts -U bs=1M if=driver=qcow2,file.filename=over.qcow2 of=part.raw
alike info --object $SECRET -f qcow2 -U top.qcow2
alike info --backing-chain --output=human top.qcow2
alike info -f raw flat.raw
alike info --image-opts driver=qcow2,file.filename=top.qcow2
alike info 'json:{"driver":"qcow2","file":{"driver":"file","filename":"base.qcow2"}}'
alike info missing.qcow2
alike info
alike info base.qcow2 over.qcow2
alike map --object $SECRET -f qcow2 -U top.qcow2
alike map --start-offset=1M --max-length 3M --output=json top.qcow2
alike map --max-length=x top.qcow2
alike map --image-opts --output=human driver=qcow2,file.filename=top.qcow2
alike map
alike measure --object $SECRET --image-opts -l now -O qcow2 -U driver=qcow2,file.filename=base.qcow2
alike measure --output=json -o cluster_size=4k -O qcow2 -f qcow2 top.qcow2
alike measure --size 5G --output human

# --- rebase -------------------------------------------------------------------------------------------------------
prepare
both qemu-img convert -O qcow2 base.qcow2 other.qcow2
alike rebase --object $SECRET -f qcow2 -t none -T none -b other.qcow2 -F qcow2 over.qcow2
alike rebase -p -b base.qcow2 -F qcow2 top.qcow2
alike rebase -q -b '' top.qcow2
alike rebase -u -U -b missing.qcow2 -F qcow2 over.qcow2
alike rebase -u -b other.qcow2 -F qcow2 over.qcow2
alike rebase --image-opts -b base.qcow2 -F qcow2 driver=qcow2,file.filename=over.qcow2
alike rebase -b missing.qcow2 -F qcow2 over.qcow2
alike rebase -b base.qcow2 -F nonsense over.qcow2
alike rebase over.qcow2
same_content over.qcow2
same_content top.qcow2
alike info over.qcow2
alike info top.qcow2

# --- resize -------------------------------------------------------------------------------------------------------
alike resize --object $SECRET -f qcow2 base.qcow2 8M
alike resize -q base.qcow2 +1M
alike resize --shrink base.qcow2 -2M
alike resize --preallocation=full base.qcow2 +64k
alike resize --preallocation=falloc -f raw flat.raw +64k
alike resize --image-opts driver=qcow2,file.filename=base.qcow2 10M
alike resize base.qcow2 5M
alike resize base.qcow2 x
alike resize --preallocation=nonsense base.qcow2 +1M
alike resize --preallocation=full --shrink base.qcow2 1M
alike resize --shrink base.qcow2 -99M
alike resize base.qcow2
alike info base.qcow2
alike check -q base.qcow2
same_content base.qcow2

# --- snapshot -----------------------------------------------------------------------------------------------------
alike snapshot --object $SECRET -c one top.qcow2
alike snapshot -q -c two top.qcow2
alike snapshot -l top.qcow2
alike snapshot -U -l top.qcow2
alike snapshot -a one top.qcow2
alike snapshot -d two top.qcow2
alike snapshot --image-opts -l driver=qcow2,file.filename=top.qcow2
alike snapshot -a one -d one top.qcow2
alike snapshot -a missing top.qcow2
alike snapshot -d missing top.qcow2
alike snapshot -c x flat.raw
alike check top.qcow2

# --- bench --------------------------------------------------------------------------------------------------------
alike bench -c 20 -d 2 -i threads -s 512 -S 1k -o 4k flat.raw
alike bench -w --flush-interval=8 --no-drain --pattern=5 -c 32 -d 8 -t writeback -f raw flat.raw
alike bench -n -t none -c 20 flat.raw
alike bench --image-opts -U -c 5 driver=raw,file.filename=flat.raw
same_content flat.raw raw

# --- long names, as later releases have them ----------------------------------------------------------------------
prepare
cd ours || exit 1
is "create --format --options" "$IMG_TOOL" create --quiet --format qcow2 --options cluster_size=4k,compat=v3 n.qcow2 1M
is "create --backing --backing-format" "$IMG_TOOL" create --quiet --format=qcow2 --backing base.qcow2 --backing-format qcow2 n2.qcow2
is "create --backing-unsafe" "$IMG_TOOL" create -q --format=qcow2 --backing-unsafe --backing missing --backing-format raw n3.qcow2 1M
is "info --force-share" "$IMG_TOOL" info --force-share --format qcow2 base.qcow2
is "check --repair" "$IMG_TOOL" check --repair all --format qcow2 --quiet base.qcow2
is "compare --a-format --b-format" "$IMG_TOOL" compare --a-format qcow2 --b-format raw top.qcow2 flat.raw
is "convert --target-format --compress" "$IMG_TOOL" convert --format qcow2 --target-format qcow2 --compress top.qcow2 n4.qcow2
is "convert --no-create --target-cache --source-cache" \
    "$IMG_TOOL" convert --no-create --target-cache=none --source-cache=none --target-format qcow2 top.qcow2 n4.qcow2
is "convert --sparse-size --parallel --out-of-order --rate-limit" \
    "$IMG_TOOL" convert --sparse-size 64k --parallel 2 --out-of-order --rate-limit 1G top.qcow2 n5.raw
is "rebase --backing --compress" "$IMG_TOOL" rebase --backing base.qcow2 --backing-format qcow2 --compress --cache none top.qcow2
is "rebase --backing-unsafe" "$IMG_TOOL" rebase --backing-unsafe --backing other.qcow2 --backing-format qcow2 n2.qcow2
is "commit --base --cache" "$IMG_TOOL" commit --base base.qcow2 --cache writeback top.qcow2
is "snapshot --create" "$IMG_TOOL" snapshot --format qcow2 --create s base.qcow2
is "snapshot --apply" "$IMG_TOOL" snapshot --apply s base.qcow2
is "snapshot --list" "$IMG_TOOL" snapshot --list base.qcow2
is "measure --target-format --snapshot" "$IMG_TOOL" measure --target-format qcow2 --snapshot s base.qcow2
is "snapshot --delete" "$IMG_TOOL" snapshot --delete s base.qcow2
is "amend --options --cache" "$IMG_TOOL" amend --options lazy_refcounts=on --cache writeback base.qcow2
is "dd --output-format" "$IMG_TOOL" dd --format qcow2 --output-format qcow2 bs=64k if=base.qcow2 of=n6.qcow2
is "bench --count --depth --write" \
    "$IMG_TOOL" bench --count 8 --depth 2 --aio native --native --offset 0 --buffer-size 512 --step-size 512 --write n5.raw
is "bitmap --granularity" "$IMG_TOOL" bitmap --add --granularity 64k base.qcow2 long
is "bitmap --source-file --source-format" \
    "$IMG_TOOL" bitmap --merge b0 --source-file marked.qcow2 --source-format qcow2 base.qcow2 long
is "bench --object" "$IMG_TOOL" bench --object $SECRET -q -c 8 n5.raw
is "bitmap -U --list" "$IMG_TOOL" bitmap -U --list base.qcow2
is "dd --object, -p, -t, -T" sh -c '"$IMG_TOOL" dd --object '$SECRET' -p -t none -T writeback bs=1M if=base.qcow2 of=n7.raw | grep -q "(100.00/100%)"'
is "dd --cache --source-cache --quiet" "$IMG_TOOL" dd --cache unsafe --source-cache none --quiet bs=1M if=base.qcow2 of=n7.raw
reports() { grep -q '"done": *[0-9]\|"bytes": *[0-9]' progress.json; } # JSON lines of --progress
is "convert --progress=json" "$IMG_TOOL" convert --progress=json,fd=9 -O raw top.qcow2 n8.raw 9>progress.json
is "... writes lines" reports
is "compare --progress=json" "$IMG_TOOL" compare --progress=json,fd=9 top.qcow2 n8.raw 9>progress.json
is "... writes lines" reports
is "rebase --progress=json" "$IMG_TOOL" rebase --progress=json,fd=9 -b '' top.qcow2 9>progress.json
is "... writes lines" reports
"$IMG_TOOL" create -q -f qcow2 -b base.qcow2 -F qcow2 n9.qcow2
is "commit --progress=json" "$IMG_TOOL" commit --progress=json,fd=9 n9.qcow2 9>progress.json
is "... writes lines" reports
is "snapshot --output=json" sh -c '"$IMG_TOOL" snapshot -l --output=json base.qcow2 | grep -q "^\["'
is "map -s and -l" "$IMG_TOOL" map -s 0 -l 1M base.qcow2
is "info --children shows the file below" sh -c '"$IMG_TOOL" info --children base.qcow2 | grep -qx "    protocol type: file"'
is "info --children in JSON" sh -c '"$IMG_TOOL" info --children --output=json base.qcow2 | grep -q "\"children\": \["'
is "info --limits" sh -c '"$IMG_TOOL" info --limits --cache none base.qcow2 | grep -qx "    Request alignment: 4096"'
is "info --limits in JSON" sh -c '"$IMG_TOOL" info --limits --output=json base.qcow2 | grep -q "\"request-alignment\": 1,"'
"$IMG_TOOL" convert -c -O qcow2 base.qcow2 packed.qcow2
is "map says what is compressed" sh -c '"$IMG_TOOL" map --output=json packed.qcow2 | grep -q "\"data\": true, \"compressed\": true}"'
done_testing
