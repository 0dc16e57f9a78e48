#!/bin/bash
# The same command line for qemu-io and for us, each in its own folder that starts with the same files: standard output
# (without times and rates) and exit codes must be equal, and afterwards the images hold the same.
. "$(dirname "$0")/../tap.sh"
command -v qemu-io >/dev/null || skip_all "qemu-io is not installed"
mkdir ours theirs
ln -s "$IMG_TOOL" ours/qemu-io

normal() {
    sed -E -e 's/[0-9:.]+( sec)? \([0-9.]+ ([KMGT]iB|bytes)\/sec and [0-9.]+ ops\/sec\)/TIME/' \
        -e 's/^([0-9]+),([0-9]+),[0-9:.]+,[0-9.]+,[0-9.]+$/\1,\2,RATE/' -e 's/^(Parsing error:).* -- /\1 -- /'
}
run_in() { # FOLDER PROGRAM ARGS...: output and exit code
    (
        cd "$1" || exit
        shift
        timeout 20 "$@" 2>stderr.txt </dev/null
        echo "exit code $?"
    ) | normal
}
alike() { # ARGS...
    same "$*" "$(run_in ours ./qemu-io "$@")" "$(run_in theirs qemu-io "$@")"
}
alike_sorted() { # the same, where requests may end in any order
    same "$*" "$(run_in ours ./qemu-io "$@" | sort)" "$(run_in theirs qemu-io "$@" | sort)"
}
exits_alike() { # only the exit code: what is said is each program's own
    same "$*" "$(run_in ours ./qemu-io "$@" | tail -n 1)" "$(run_in theirs qemu-io "$@" | tail -n 1)"
}
both() { (cd ours && "$@") && (cd theirs && "$@"); }
same_content() { # FILE FORMAT
    is "$1 holds the same in both" qemu-img compare -U -f "$2" -F "$2" "ours/$1" "theirs/$1"
}
c() { # COMMAND...: each as -c COMMAND
    ARGS=()
    for command in "$@"; do ARGS+=(-c "$command"); done
}

qemu-img create -q -f qcow2 base.qcow2 4M
qemu-io -c 'write -q -P 9 0 1M' base.qcow2
qemu-img create -q -f qcow2 a.qcow2 4M
qemu-img create -q -f raw a.raw 1M
cp base.qcow2 a.qcow2 a.raw ours && cp base.qcow2 a.qcow2 a.raw theirs
both qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 over.qcow2

# --- reading and writing -------------------------------------------------------------------------------------------
c length info map 'alloc 0' 'alloc 0 64k' 'alloc 64k 1M'; alike "${ARGS[@]}" a.qcow2
c length info map 'alloc 0 64k'; alike -f raw "${ARGS[@]}" a.raw
c 'write 0 64k' 'write -P 1 64k 0x10000' 'write -P 0xff 1000 300' 'read 0 128k' 'read -P 1 64k 64k' 'read -P 0xcd 0 1000' 'read -v 990 20' \
    'read -P 2 64k 64k' 'read -C 0 512' 'read -q 0 512' 'read -C -q 0 1k' 'write -C 128k 512' 'read 0 0' 'write 0 0' map
alike "${ARGS[@]}" a.qcow2
c 'read -P 0xff -s 10 -l 300 990 320' 'read -P 0xff -s 10 990 310' 'read -P 0xff -s 11 -l 300 990 320' 'read -P 0xff -l 5 1000 20' \
    'read -s 5 0 512' 'read -l 5 0 512' 'read -P 0 -s 500 -l 50 0 512' 'read -a 0 512' 'read -p 0 512'
alike "${ARGS[@]}" a.qcow2
c 'read 4M 512' 'read 0 5M' 'read -1 3' 'read 0' 'read -Z 0 512' 'read 0 xx' 'read xx 0' 'read 0 3G' 'read -P 300 0 512' 'read -P x 0 5' read \
    'write 4095k 2k' 'discard 0 5M' 'r 0 512' 'w 0 512' 'l' 'f' 'd 0 64k'
alike "${ARGS[@]}" a.qcow2
c 'writev -P 3 0 512 1k' 'readv -P 3 0 512 1k' 'readv -v 0 16 16' 'readv 0' 'writev -P 3 0 512 xx' 'readv -P 4 0 512' 'readv -C 0 1 2 3' 'writev -f 0 512' 'writev -z 0 512'
alike "${ARGS[@]}" a.qcow2
c 'write -z 0 64k' 'write -z -u 64k 64k' 'write -z -n 1M 64k' 'write -zu 2M 1M' 'write -f 3M 512' 'write -z -f 3M 64k' 'read -P 0 0 128k' 'read -P 0 2M 1M'
alike "${ARGS[@]}" a.qcow2
c 'write -c 1M 64k' 'write -c -P 7 2M 128k' 'read -P 7 2M 128k' 'write -c 0 100' 'write -c 100 512' 'write -b 0 512' 'read -b -P 0xcd 0 512' 'write -b 100 512' 'read -b 0 100'
alike "${ARGS[@]}" a.qcow2
c 'write -b -z 0 64k' 'write -f -c 0 64k' 'write -f -b 0 64k' 'write -n 0 64k' 'write -u 0 64k' 'write -z -P 3 0 64k' 'write -s nofile -P 4 0 64k'
alike "${ARGS[@]}" a.qcow2
printf 'abc' >pattern && cp pattern ours && cp pattern theirs
c 'write -s pattern 0 10' 'read -v 0 16' 'write -s nofile 0 10'; alike "${ARGS[@]}" a.qcow2
c 'discard 0 64k' 'discard -C 64k 64k' 'discard -q 0 1M' 'discard 100 100' 'discard 0'; alike "${ARGS[@]}" a.qcow2
c 'truncate 2M' length 'truncate xx' 'truncate' 'truncate 8M' length 'flush' 'flush x' 'sleep 10' 'sleep' 'sleep x' 'frob' '' ' ' 'quit' 'length'
alike -f raw "${ARGS[@]}" a.raw
c 'truncate -m falloc 9M' length 'truncate -m nosuch 9M' 'truncate -Z 3M'; alike -f raw "${ARGS[@]}" a.raw
both qemu-img resize -q -f raw --shrink a.raw 1M
c 'read -P 9 512k 64k' 'write -P 5 600k 1k' 'read -P 9 590k 10k' 'read -P 0 1M 64k' map 'alloc 576k 64k' 'alloc 1M 64k'; alike "${ARGS[@]}" over.qcow2
same_content a.qcow2 qcow2
same_content over.qcow2 qcow2

# --- requests in flight ------------------------------------------------------------------------------------------------
c 'aio_write -P 1 0 64k' 'aio_write -P 2 64k 64k' 'aio_write -P 3 1M 64k 512' 'aio_flush' 'aio_read -P 1 0 64k' 'aio_read -P 2 64k 64k' 'aio_read -P 4 1M 512' \
    'aio_read -v 0 16' 'aio_flush' 'aio_read -C 0 64k' 'aio_read -q 0 64k' 'aio_flush' 'aio_write -u 0 64k' 'aio_write -z 0 64k 64k' 'aio_read 4M 512' 'aio_read 0' \
    'aio_read -i 0 512' 'aio_write -i 0 512' 'aio_write -q -z 0 64k' 'aio_write -q -zu 64k 64k' 'aio_flush' 'read -P 0 0 128k'
alike_sorted "${ARGS[@]}" a.qcow2
many=(); for i in $(seq 0 60); do many+=(-c "aio_write -q -P $i ${i}k 1k"); done
alike "${many[@]}" -c aio_flush -c 'read -P 60 60k 1k' -c 'read -P 17 17k 1k' a.qcow2
alike_sorted -c 'aio_write 0 64k' a.qcow2
same_content a.qcow2 qcow2

# --- blkdebug -------------------------------------------------------------------------------------------------------------
c 'break write_aio A' 'aio_write -P 6 0 512' 'wait_break A' 'aio_read -q 1M 512' 'resume A' aio_flush; alike_sorted "${ARGS[@]}" blkdebug::a.qcow2
is "remove_break resumes who stopped" "$IMG_TOOL" io -c 'break write_aio A' -c 'aio_write -q -P 7 0 512' -c 'wait_break A' -c 'remove_break A' -c aio_flush -c 'read -P 7 0 512' blkdebug::ours/a.qcow2
is "closing does, too" timeout 10 "$IMG_TOOL" io -c 'break write_aio A' -c 'aio_write -q -P 7 0 512' -c 'wait_break A' blkdebug::ours/a.qcow2
both qemu-io -c 'write -q -P 7 0 512' a.qcow2
c 'break read_aio A' 'remove_break A' 'read 0 512'; alike "${ARGS[@]}" blkdebug::a.qcow2
c 'break frob A' 'remove_break B' 'resume B' 'break write_aio' 'wait_break'; exits_alike "${ARGS[@]}" blkdebug::a.qcow2
exits_alike -c 'break write_aio A' a.qcow2
cat >rules.cfg <<'CFG'
[inject-error]
event = "write_aio"
state = "1"
errno = "28"
[set-state]
event = "write_aio"
state = "1"
new_state = "2"
[inject-error]
event = "read_aio"
state = "2"
once = "on"
CFG
cp rules.cfg ours && cp rules.cfg theirs
c 'write 0 512' 'write 0 512' 'read 0 512' 'read 0 512'; alike "${ARGS[@]}" blkdebug:rules.cfg:a.qcow2
rule() { echo "driver=qcow2,file.driver=blkdebug,file.image.filename=a.qcow2,file.inject-error.0.event=$1,file.inject-error.0.errno=$2"; }
alike --image-opts -c 'read 0 512' "$(rule read_aio 5)"
alike --image-opts -c 'read 0 512' "$(rule l2_load 5)"
alike --image-opts -c 'write 3M 64k' "$(rule write_aio 28)"
alike --image-opts -c 'write 3M 64k' -c 'write 0 64k' "$(rule write_aio 28),file.inject-error.0.once=on"
alike --image-opts -c 'read 0 2k' -c 'read 1k 512' -c 'read 512 512' "driver=raw,file.driver=blkdebug,file.image.filename=a.raw,file.inject-error.0.event=none,file.inject-error.0.sector=1,file.inject-error.0.iotype=read"
alike --image-opts -c 'write -P 1 0 10k' -c 'write -P 2 3000 100' -c 'write -z 20k 20k' -c 'discard 100k 30000' -c 'read -v 2990 16' \
    driver=blkdebug,image.driver=file,image.filename=a.raw,align=4096,max-transfer=8192,max-write-zero=8192,opt-write-zero=4096,max-discard=8192,opt-discard=4096
same_content a.qcow2 qcow2
same_content a.raw raw
exits_alike -c 'read 0 512' blkdebug:nofile.cfg:a.qcow2
exits_alike --image-opts -c 'read 0 512' "$(rule nosuch 5)"

# --- blkverify, null, quorum -----------------------------------------------------------------------------------------------
both sh -c 'truncate -s 4M copy.raw; qemu-img create -q -f qcow2 packed.qcow2 4M; qemu-img create -q -f qcow2 test.qcow2 4M'
c 'write -P 1 0 64k' 'read -P 1 0 64k' 'read 1M 64k' length; alike "${ARGS[@]}" blkverify:copy.raw:test.qcow2
c length 'read 0 512' 'write 0 64k' 'discard 0 64k'; alike -f raw "${ARGS[@]}" null-co://
c length 'read -P 0 1T 512'; alike "${ARGS[@]}" 'json:{"driver":"null-co","size":2199023255552,"read-zeroes":true}'
both sh -c 'cp a.raw q0.raw; cp a.raw q1.raw; cp a.raw q2.raw; qemu-io -f raw -c "write -q -P 99 0 512" q1.raw'
q="driver=quorum,children.0.driver=raw,children.0.file.filename=q0.raw,children.1.driver=raw,children.1.file.filename=q1.raw,children.2.driver=raw,children.2.file.filename=q2.raw"
alike --image-opts -c 'read -P 1 0 512' -c length $q,vote-threshold=2
alike --image-opts -c 'read -P 1 0 512' $q,vote-threshold=3
alike --image-opts -c 'read -P 1 0 512' $q,vote-threshold=2,rewrite-corrupted=on
alike --image-opts -c 'read -P 1 0 512' -c 'write -P 8 0 1k' -c 'read -P 8 0 1k' $q,vote-threshold=3
same_content q1.raw raw
alike --image-opts -c 'read -P 1 1k 512' -c 'write -z 0 64k' driver=throttle,throttle-group=g,file.driver=raw,file.file.filename=q0.raw --object throttle-group,id=g,x-iops-total=1000
alike --image-opts -c 'write -P 1 0 128k' -c 'read -P 1 0 128k' driver=compress,file.driver=qcow2,file.file.filename=packed.qcow2
same_content packed.qcow2 qcow2

# --- opening ----------------------------------------------------------------------------------------------------------------
c close 'open a.qcow2' length close 'open -r a.qcow2' length 'reopen -w' 'write 0 512' 'reopen -r' 'length' 'reopen -c none' 'reopen -c writeback -w' 'write -q 0 512' close \
    'open -o driver=qcow2,file.driver=file,file.filename=a.qcow2' length close 'open -o driver=qcow2 a.qcow2' info close 'open -t none -d unmap a.qcow2' close 'open -Cn -d ignore a.qcow2' length close \
    'open -s a.qcow2' 'write -P 77 0 64k' 'read -P 77 0 64k'
alike "${ARGS[@]}" a.qcow2
same_content a.qcow2 qcow2
for bad in length 'open a.qcow2' 'open nofile' 'open' 'open -Z a.qcow2' 'open a b' 'reopen -r -w' 'reopen -c foo' 'reopen xx' 'close x' 'open -t foo a.qcow2'; do
    exits_alike -c close -c "$bad" a.qcow2
done
exits_alike -c 'open a.qcow2' a.qcow2
exits_alike -c 'reopen -o nosuch=3' a.qcow2
is "reopen changes options of the layers below" "$IMG_TOOL" io -c 'reopen -o file.align=4096' -c 'write -q -P 4 0 512' -c 'read -q -P 4 0 512' blkdebug::ours/a.qcow2
both qemu-io -c 'write -q -P 4 0 512' a.qcow2
for start in '-r -c flush' '-s -c write_0_512' '-U -r -c read_0_512' '-U -c length' '-C -c read_0_512' '-m -c read_0_512' '-n -c read_0_512' '-n -k -c length' '-k -c length' '-t none -i native -c length' \
    '-t writethrough -c write_0_512' '-t directsync -c write_0_512' '-t unsafe -c write_0_512' '-d unmap -c discard_0_64k' '-d ignore -c length' '--discard=on -c length' '-i threads -c length' \
    '-f qcow2 -c length' '--format=qcow2 -c length' '--read-only -c length' '--snapshot -c length' '--nocache -c length' '--copy-on-read -c length' '--misalign -c read_0_512' '--native-aio -c length' \
    '--cache=none --aio=io_uring -c length' '--force-share -r -c length' '-T /dev/null -c length' '-r -c write_0_512' '-t foo -c length' '-d foo -c length' '-i foo -c length' '-f foo -c length' \
    '-f raw -c length' '--cmd=length' '-c length -c length'; do
    args=(); for word in $start; do args+=("${word//_/ }"); done
    exits_alike "${args[@]}" a.qcow2
done
exits_alike -V
exits_alike -h
exits_alike -Z
exits_alike -c length
exits_alike nofile
exits_alike a b
exits_alike a.qcow2 -c length
exits_alike --image-opts -f raw driver=raw,file.filename=a.raw
exits_alike -c 'sigraise 15' a.qcow2
exits_alike -c 'sigraise 0' a.qcow2
exits_alike -c 'sigraise xx' a.qcow2
exits_alike -c 'sigraise 3000' a.qcow2
exits_alike -c abort a.qcow2
script() { (cd "$1" && shift && printf 'read 0 512\nlength\n\nwrite -P 3 0 1k\nfrob\nlength\nquit\nlength\n' | "$@" a.qcow2 2>/dev/null; echo "exit code $?") | normal; }
same "commands from standard input" "$(script ours ./qemu-io)" "$(script theirs qemu-io)"
c help 'help quit' 'help frob'; exits_alike "${ARGS[@]}"
same "every command of the peer is here" "$(qemu-io -c help | grep -o '^[a-z_]* ' | grep -v Use)" "$(cd ours && ./qemu-io -c help | grep -o '^[a-z_]* ' | grep -v Use)"

# --- secrets: an object is made before the image is opened --------------------------------------------------------------------
exits_alike --object secret,id=s,data=abc -c length a.qcow2
exits_alike --object nosuch,id=s -c length a.qcow2
same_content a.qcow2 qcow2
done_testing
