#!/bin/bash
# The completion scripts, run by their shells: what is offered after a beginning of a command line.
. "$(dirname "$0")/../tap.sh"

refused "no shell" "a shell is expected" "$IMG_TOOL" completion
refused "an unknown shell" "no completion for 'tcsh'" "$IMG_TOOL" completion tcsh
for shell in bash zsh fish; do "$IMG_TOOL" completion $shell >script.$shell; done
touch disk.qcow2

# What a shell offers, sorted, on one line. For bash, words are split as it splits them: at '=', too.
bash_offers() { # WORDS...
    bash -c '. ./script.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _img_tool 2>/dev/null; printf "%s\n" "${COMPREPLY[@]}"' - "$@" |
        sort | tr '\n' ' ' | sed 's/ $//'
}
fish_offers() { # LINE
    HOME=$PWD fish --no-config -c "source script.fish; complete -C '$1'" | cut -f 1 | sort | tr '\n' ' ' | sed 's/ $//'
}
zsh_offers() { # WORDS...: with _arguments and _describe that print what they are told
    zsh -f -c '
        compdef() { :; }
        _describe() { print -l ${(P)2} }
        _arguments() { print -l -- "$@" }
        source ./script.zsh
        words=("$@"); CURRENT=$#
        _img_tool' - "$@"
}

same "bash: subcommands" "$(bash_offers img-tool co)" "commit compare completion convert"
same "bash: long options" "$(bash_offers img-tool info --b)" "--backing-chain"
same "bash: long names of letters" "$(bash_offers img-tool bench --de)" "--depth"
same "bash: formats" "$(bash_offers img-tool convert -O qco)" "qcow2"
same "bash: cache modes" "$(bash_offers img-tool convert -t write)" "writeback writethrough"
same "bash: a value after =" "$(bash_offers img-tool info --output = j)" "json"
same "bash: nothing yet after =" "$(bash_offers img-tool info --output =)" "human json"
same "bash: options of -o" "$(bash_offers img-tool create -f qcow2 -o lazy)" "lazy_refcounts="
same "bash: file names" "$(bash_offers img-tool info di)" "disk.qcow2"
same "bash: operands of dd" "$(bash_offers img-tool dd s)" "seek= skip="
same "bash: behind standard options" "$(bash_offers qemu-img -T x inf)" "info"
same "bash: shells" "$(bash_offers img-tool completion f)" "fish"

if command -v fish >/dev/null; then
    same "fish: subcommands" "$(fish_offers 'img-tool com')" "commit compare completion"
    same "fish: long options" "$(fish_offers 'img-tool info --back')" "--backing-chain"
    same "fish: long names of letters" "$(fish_offers 'img-tool bench --de')" "--depth"
    same "fish: formats" "$(fish_offers 'img-tool convert -O qco')" "qcow2"
    same "fish: cache modes" "$(fish_offers 'qemu-img convert -t write')" "writeback writethrough"
    same "fish: file names" "$(fish_offers 'img-tool info dis')" "disk.qcow2"
    same "fish: operands of dd" "$(fish_offers 'img-tool dd sk')" "skip="
fi
if command -v zsh >/dev/null; then
    is "zsh: subcommands" grep -q '^convert:copy an image' <(zsh_offers img-tool '')
    is "zsh: options" grep -qxF -- '--backing-chain[show the backing files as well]' <(zsh_offers img-tool info '')
    is "zsh: formats" grep -q -- '^-O\[format of the new image.*\]:output_fmt:(.*qcow2.*)$' <(zsh_offers img-tool convert '')
    is "zsh: long names" grep -q -- '^--depth\[' <(zsh_offers img-tool bench '')
    is "zsh: file names" grep -qxF -- '*:file:_files' <(zsh_offers img-tool map '')
    is "zsh: operands of dd" grep -q -- '^\*:operand:(.*skip=' <(zsh_offers img-tool dd '')
fi
done_testing
