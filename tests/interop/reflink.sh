#!/bin/bash
# On a file system whose files can share space, a copy of a raw image takes none.
. "$(dirname "$0")/../tap.sh"
img() { "$IMG_TOOL" "$@"; }
PATH=$PATH:/sbin:/usr/sbin
command -v mkfs.xfs >/dev/null || skip_all "there is no mkfs.xfs"
truncate -s 400M disk.img && mkfs.xfs -q -m reflink=1 disk.img >/dev/null 2>&1 || skip_all "mkfs.xfs does not make a small one"
mkdir mnt && mount -o loop disk.img mnt 2>/dev/null || skip_all "nothing can be mounted here"
trap 'umount "$TAP_FOLDER/mnt"; rm -rf "$TAP_FOLDER"' EXIT
cd mnt || exit 1
used() { sync . && df -k --output=used . | tail -n 1; }

head -c 60M /dev/urandom >src.raw
head -c 777 /dev/urandom >>src.raw
truncate -s 80000512 src.raw
before=$(used)
is 'raw to raw' img convert -f raw -O raw src.raw copy.raw
is '... has the same bytes' cmp src.raw copy.raw
after=$(used)
is "... and takes no space ($before, then $after KiB)" [ $((after - before)) -lt 8192 ]
img io -f raw -c 'write -q -P 7 1M 1M' copy.raw
is 'what is written to the copy is not in the source' eval '! cmp -s src.raw copy.raw && img io -f raw -c "read -q -P 7 1M 1M" copy.raw'
is '-S asks for a real copy with holes' eval 'img convert -S 4k -f raw -O raw src.raw real.raw && cmp src.raw real.raw && [ $(($(used) - after)) -gt 50000 ]'
rm -f real.raw copy.raw
is 'qcow2 to raw' eval 'img convert -f raw -O qcow2 src.raw src.qcow2 && img convert -O raw src.qcow2 copy.raw && cmp src.raw copy.raw'
is 'a killed and resumed one' eval 'img convert --resume -f raw -O raw src.raw again.raw && cmp src.raw again.raw'
cd ..
done_testing
