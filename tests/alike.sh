# Comparing with qemu-img. Sourced after tap.sh: makes the folders ours/ and theirs/.
#
#   alike ARGS...              the same command line for both tools, each in its own folder: exit codes and standard output
#   both COMMAND...            prepare something in both folders
#   same_content FILE [FORMAT] the image holds the same in both
command -v qemu-img >/dev/null || skip_all "qemu-img is not installed"
mkdir ours theirs

# Times, the space that a file takes on the host, the order of clusters in the file, the steps of progress and random
# numbers are each tool's own.
normal() { sed -e 's/disk size: .*/disk size: */' -e 's/"actual-size": [0-9]*/"actual-size": 0/' \
    -e 's/[0-9]\{4\}-[0-9][0-9]-[0-9][0-9] [0-9:]\{8\}/DATE/' -e 's/"date-[a-z]*": [0-9]*/"date": 0/' \
    -e 's/ICOUNT */ICOUNT/' -e 's/completed in [0-9.]* seconds/completed in T seconds/' -e 's/[0-9.]*% fragmented/* fragmented/' -e '/"fragmented-clusters"/d' \
    -e 's/^\(    ([0-9.]*\/100%)\r\)*\(.\)/\2/' -e 's/^\(    ([0-9.]*\/100%)\r\)*$/PROGRESS/' \
    -e 's/[0-9a-f]\{8\}-[0-9a-f-]\{27\}/UUID/' -e 's/iters: [0-9]*/iters: N/' -e 's/"iters": [0-9]*/"iters": N/' -e 's/ *$//'; }

run_in() { # FOLDER TOOL ARGS...: output and exit code
    (
        cd "$1" || exit
        shift
        "$@" 2>stderr.txt
        echo "exit code $?"
        rm -f stderr.txt
    ) | normal
}

alike() { # ARGS...
    same "$*" "$(run_in ours "$IMG_TOOL" "$@")" "$(run_in theirs qemu-img "$@")"
}

both() { (cd ours && "$@") && (cd theirs && "$@"); } # prepare something in both folders
same_content() { # FILE [FORMAT]
    is "$1 holds the same in both" qemu-img compare -f "${2:-qcow2}" -F "${2:-qcow2}" "ours/$1" "theirs/$1"
}
