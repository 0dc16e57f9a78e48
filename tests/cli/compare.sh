#!/bin/bash
# compare: verdicts, exit codes, strict mode, and the list of all that differs.
. "$(dirname "$0")/../tap.sh"
img() { "$IMG_TOOL" "$@"; }
code() { "$@" >out.txt 2>err.txt; echo $?; }

head -c 6M /dev/urandom >a.raw
truncate -s 9M a.raw
cp a.raw b.raw
img convert -f raw -O qcow2 a.raw a.qcow2
same 'equal images' "$(img compare -f raw -F qcow2 a.raw a.qcow2)" 'Images are identical.'
put() { printf '%s' "$2" | dd of=b.raw bs=1 seek="$1" conv=notrunc status=none; }
put 1000 x
put 1048570 yyyyyyyyyyyy # across the end of a piece
put 8000000 z
same 'the first difference is named' "$(img compare -f raw -F raw a.raw b.raw)" 'Content mismatch at offset 1000!'
same '... and the exit code says so' "$(code img compare -f raw -F raw a.raw b.raw)" 1
same 'JSON lists all that differs, in sectors' "$(img compare --output=json -f raw -F raw a.raw b.raw)" '{
    "identical": false,
    "complete": true,
    "size-a": 9437184,
    "size-b": 9437184,
    "different-bytes": 2048,
    "ranges": [
        {
            "start": 512,
            "length": 512,
            "differs": "content"
        },
        {
            "start": 1048064,
            "length": 1024,
            "differs": "content"
        },
        {
            "start": 8000000,
            "length": 512,
            "differs": "content"
        }
    ],
    "truncated": false
}'
same '... with the same exit code' "$(code img compare --output=json -f raw -F raw a.raw b.raw)" 1
same '... which is 0 for equal ones' "$(code img compare --output=json -f raw -F qcow2 a.raw a.qcow2)" 0
is '... that have no ranges' grep -q '"ranges": \[' out.txt
is '... and are identical' grep -q '"identical": true' out.txt
truncate -s 10000000 b.raw
is 'a longer one with zeros behind is the same' eval 'cp a.raw c.raw && truncate -s 10M c.raw && img compare -f raw -F raw a.raw c.raw | grep -q "size mismatch"'
same '... but not with -s' "$(code img compare -s -f raw -F raw a.raw c.raw)" 1
same '... in JSON, too' "$(code img compare -s --output=json -f raw -F raw a.raw c.raw)" 1
img create -q -f qcow2 p.qcow2 1M && img create -q -f qcow2 -b p.qcow2 -F qcow2 q.qcow2
img io -c 'write -q -z 0 64k' q.qcow2
same 'strict: what is allocated counts' "$(code img compare -s p.qcow2 q.qcow2)" 1
img compare -s --output=json p.qcow2 q.qcow2 >out.txt
is '... and JSON says that only that differs' eval 'grep -q "\"differs\": \"allocation\"" out.txt && grep -q "\"different-bytes\": 0" out.txt'
same 'a file that is not there' "$(code img compare a.raw gone.raw)" 2
cp a.raw e.raw
bad='json:{"driver":"raw","file":{"driver":"faults","fail-read":2,"file":{"driver":"file","filename":"e.raw"}}}'
same 'a file that cannot be read' "$(code img compare -f raw a.raw "$bad")" 4
same '... in JSON, too' "$(code img compare --output=json -f raw a.raw "$bad")" 4
is '... which is not complete' grep -q '"complete": false' out.txt
done_testing
