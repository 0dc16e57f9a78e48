# Encrypted images of both tools. Sourced after tap.sh.
#
#   theirs ARGS...    qemu-img, until it works: making a header fails for it at random ("Unable to get accurate CPU usage"),
#                     and nothing but another try helps. The last argument is the file it makes.
#   same_info IMAGE   both say the same of it, in words and in JSON
command -v qemu-img >/dev/null || skip_all "qemu-img is not installed"
io() { "$IMG_TOOL" io "$@"; }

theirs() {
    local try
    for try in {1..40}; do
        rm -f "${@: -1}"
        qemu-img "$@" 2>theirs.err && return 0
        grep -q 'accurate CPU' theirs.err || break
    done
    cat theirs.err
    return 1
}

same_info() {
    diff <(qemu-img info "$1") <("$IMG_TOOL" info "$1") && diff <(qemu-img info --output=json "$1") <("$IMG_TOOL" info --output=json "$1")
}
