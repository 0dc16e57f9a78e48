#!/bin/bash
# --no-external and --trusted on every subcommand that opens images: the first refuses an overlay where its backing file
# would be needed, the second opens it. (Which files are opened by default: tests/cli/trust.sh.)
. "$(dirname "$0")/../tap.sh"
"$IMG_TOOL" create -q -f qcow2 base.qcow2 1M

overlay() {
    rm -f over.qcow2
    "$IMG_TOOL" create -q -f qcow2 -b base.qcow2 -F qcow2 over.qcow2
}
refuses() { # ARGS...
    overlay
    "$IMG_TOOL" "$@" >out.txt 2>&1
    local status=$?
    is "$*" [ $status -ne 0 ] && is "... says why" grep -q "names another file ('base.qcow2')" out.txt
}
does_it() { # ARGS...
    overlay
    is "$*" "$IMG_TOOL" "$@"
}
refuses bench --no-external -q -c 4 over.qcow2
refuses commit --no-external over.qcow2
refuses compare --no-external over.qcow2 base.qcow2
refuses convert --no-external -O raw over.qcow2 out.raw
refuses dd --no-external if=over.qcow2 of=out.raw
refuses info --no-external --backing-chain over.qcow2
refuses map --no-external over.qcow2
refuses measure --no-external over.qcow2
refuses rebase --no-external -b '' over.qcow2
refuses resize --no-external over.qcow2 2M
refuses io --no-external -c 'read 0 4k' over.qcow2

# These need no other file.
does_it amend --no-external -o lazy_refcounts=on over.qcow2
does_it bitmap --no-external --list over.qcow2
does_it check --no-external over.qcow2
does_it info --no-external over.qcow2
does_it rebase --no-external -u -b '' over.qcow2
does_it snapshot --no-external -l over.qcow2

does_it amend --trusted -o lazy_refcounts=on over.qcow2
does_it bench --trusted -q -c 4 over.qcow2
does_it bitmap --trusted --list over.qcow2
does_it check --trusted over.qcow2
does_it commit --trusted over.qcow2
does_it compare --trusted over.qcow2 base.qcow2
does_it convert --trusted -O raw over.qcow2 out.raw
does_it dd --trusted if=over.qcow2 of=out.raw
does_it info --trusted --backing-chain over.qcow2
does_it io --trusted -c 'read 0 4k' over.qcow2
does_it map --trusted over.qcow2
does_it measure --trusted over.qcow2
does_it rebase --trusted -b '' over.qcow2
does_it resize --trusted over.qcow2 2M
does_it snapshot --trusted -l over.qcow2

# fetch never opens what the image names; the options say so, or that it may.
is "fetch --no-external" "$IMG_TOOL" fetch -q --no-external base.qcow2 fetched.qcow2
is "fetch --trusted" "$IMG_TOOL" fetch -q --trusted base.qcow2 fetched.qcow2
is "fetch --object, --connections" "$IMG_TOOL" fetch -q --object secret,id=s0,data=x --connections 2 base.qcow2 fetched.qcow2
is "the file is the same" cmp base.qcow2 fetched.qcow2
done_testing
