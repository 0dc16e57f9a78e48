#!/bin/bash
# fetch: download, verify, convert, go on after any interruption; nothing has its name before it is right.
tests=$(cd "$(dirname "$0")/.." && pwd)
. "$tests/tap.sh"
. "$tests/http.sh"
img() { timeout 60 "$IMG_TOOL" "$@"; }
fetch() { img fetch "$@"; }

head -c 5000003 /dev/urandom >www/a.img
sum=$(sha256sum www/a.img | cut -d ' ' -f 1)
sum512=$(sha512sum www/a.img | cut -d ' ' -f 1)
url=$HTTP/ok/a.img
whole() { cmp "${1:-a.img}" "www/${2:-a.img}" && [ ! -e "${1:-a.img}.part" ] && [ ! -e "${1:-a.img}.part.journal" ]; }

same "the checksum is printed" "$(fetch "$url")" "a.img: sha256:$sum"
is "the file is there, and nothing else" whole
mkdir folder
is "into a folder" fetch -q "$url" folder
is "it has the URL's name" whole folder/a.img
is "over a file" bash -c "echo old >b; '$IMG_TOOL' fetch -q '$url' b"
is "it is replaced" whole b
rm -f a.img
is "expected: sha256" fetch --expect "sha256:$sum" "$url"
is "expected: sha512, in capitals, without its name" fetch --expect "${sum512^^}" "$url" c
is "progress" bash -c "'$IMG_TOOL' fetch -p '$url' c | grep -q '(100.00/100%)'"
is "a server without ranges" fetch -q "$HTTP/noranges/a.img" d
is "the same bytes" whole d
: >www/empty.img
is "an empty file" fetch -q "$HTTP/ok/empty.img"
is "is empty" whole empty.img empty.img

rm -f a.img
refused "another checksum" "not $(printf '0%.0s' {1..64})" fetch --expect "sha256:$(printf '0%.0s' {1..64})" "$url"
same "leaves no file of that name" "$(ls a.img 2>&1 | grep -c 'No such')" 1
is "and the part, which the right checksum makes whole" fetch -q --expect "$sum" "$url"
is "without asking for it again" whole
refused "no checksum" "no checksum" fetch --expect sha256:xyz "$url"
refused "MD5" "no checksum" fetch --expect md5:d41d8cd98f00b204e9800998ecf8427e "$url"
refused "a file that is not there" "404" fetch "$HTTP/ok/missing"
refused "an HTML page" "HTML page" fetch "$HTTP/page/a.img" e
refused "no name" "no file name" fetch "$HTTP/"
refused "a device" "no regular file" fetch "$url" /dev/null
refused "a folder that is not there" "nowhere" fetch "$url" nowhere/x
refused "-c without -O" "-O" fetch -c "$url" x
refused "both --expect and --sums" "exclude" fetch --expect "$sum" --sums x "$url" x
refused "an unknown format" "nosuch" fetch -O nosuch "$url" x
same "none of them left anything" "$(ls x* e 2>/dev/null)" ""

# lists of checksums
(cd www && sha256sum a.img empty.img >SHA256SUMS && sha512sum --tag a.img >SHA512SUMS && echo "$sum *./dir/a.img" >other)
for list in "$HTTP/ok/SHA256SUMS" www/SHA512SUMS www/other; do
    rm -f a.img
    is "a list: ${list##*/}" fetch -q --sums "$list" "$url"
done
refused "a list without the file" "no SHA-2 line" fetch --sums www/SHA512SUMS "$HTTP/ok/empty.img" f
refused "a list that is not there" "404" fetch --sums "$HTTP/ok/nolist" "$url" f
sed 's/^./x/' www/SHA256SUMS >broken
refused "a broken list" "no SHA-2 line" fetch --sums broken "$url" f
printf '%s  a.img\n' "$(printf 'a%.0s' {1..64})" >wrong
refused "a list that says otherwise" "not aaaa" fetch --sums wrong "$url" g
refused "a signature of nothing" "--sums" fetch --signature x "$url" f

# signatures: Ed25519 keys in the formats of minisign and signify
key_pair() { # NAME
    openssl genpkey -algorithm ed25519 -out "$1.pem" 2>/dev/null
    openssl pkey -in "$1.pem" -pubout -outform DER | tail -c 32 >"$1.raw"
    { printf 'Ed%-8s' "$1" | head -c 10; cat "$1.raw"; } | base64 -w 0 >"$1.b64"
    { echo "untrusted comment: key $1"; cat "$1.b64"; echo; } >"$1.pub"
}
sign() { # KEY FILE KIND: the signature on standard output; minisign's with its second one
    if [ "$3" = ED ]; then openssl dgst -blake2b512 -binary "$2" >message; else cp "$2" message; fi
    openssl pkeyutl -sign -rawin -inkey "$1.pem" -in message -out sig.raw
    echo "untrusted comment: signature"
    { printf '%s%-8s' "$3" "$1" | head -c 10; cat sig.raw; } | base64 -w 0
    echo
    [ "${4:-}" = signify ] && return
    echo "trusted comment: timestamp:1"
    { cat sig.raw; printf 'timestamp:1'; } >message
    openssl pkeyutl -sign -rawin -inkey "$1.pem" -in message | base64 -w 0
    echo
}
key_pair one
key_pair two
sums=www/SHA256SUMS
sign one $sums Ed >www/ed.minisig
sign one $sums ED >www/prehashed.minisig
sign one $sums Ed signify >www/signify.sig
{ cat www/signify.sig $sums; } >www/embedded.sig
sign two $sums ED >two.minisig
for s in ed.minisig prehashed.minisig signify.sig; do
    rm -f a.img
    is "signed: $s" fetch -q --sums "$HTTP/ok/SHA256SUMS" --signature "$HTTP/ok/$s" --key one.pub "$url"
done
is "the key as text" fetch -q --sums $sums --signature www/ed.minisig --key "$(cat one.b64)" "$url"
is "the signature inside the list" fetch -q --sums "$HTTP/ok/embedded.sig" --key one.pub "$url"
refused "another key" "another key" fetch --sums $sums --signature two.minisig --key one.pub "$url" h
sed 's/b64/x/; s/^\(.\{20\}\)./\1A/' www/prehashed.minisig >bad.minisig
refused "a damaged signature" "signature" fetch --sums $sums --signature bad.minisig --key one.pub "$url" h
sed 's/timestamp:1/timestamp:2/' www/ed.minisig >comment.minisig
refused "a changed comment" "signature is bad" fetch --sums $sums --signature comment.minisig --key one.pub "$url" h
{ cat $sums; echo; } >longer
refused "a changed list" "signature is bad" fetch --sums longer --signature www/ed.minisig --key one.pub "$url" h
refused "no signature in the list" "no signature inside" fetch --sums $sums --key one.pub "$url" h
refused "no key" "no minisign or signify key" fetch --sums $sums --signature www/ed.minisig --key $sums "$url" h

if command -v gpg >/dev/null && command -v gpgv >/dev/null; then
    export GNUPGHOME=$PWD/gnupg
    mkdir -m 700 gnupg
    for who in good other; do
        gpg -q --batch --pinentry-mode loopback --passphrase '' --quick-gen-key "$who@x" ed25519 sign never 2>/dev/null
        gpg --export "$who@x" >$who.gpg 2>/dev/null
    done
    gpg -q --batch -u good@x --detach-sign -o www/sums.gpg $sums
    gpg -q --batch -u good@x --clearsign -o www/sums.asc $sums
    gpgconf --kill gpg-agent
    rm -f a.img
    is "OpenPGP: a signature beside" fetch -q --sums $sums --signature "$HTTP/ok/sums.gpg" --keyring good.gpg "$url"
    is "OpenPGP: a signed text" fetch -q --sums "$HTTP/ok/sums.asc" --keyring good.gpg "$url"
    refused "OpenPGP: an unknown key" "not in the keyring" fetch --sums $sums --signature www/sums.gpg --keyring other.gpg "$url" i
    refused "OpenPGP: a changed list" "signature is bad" fetch --sums longer --signature www/sums.gpg --keyring good.gpg "$url" i
    sed 's/^\([0-9a-f]\)/0/' www/sums.asc >bad.asc
    refused "OpenPGP: a changed text" "signature" fetch --sums bad.asc --keyring good.gpg "$url" i
    refused "OpenPGP: no signature" "no good signature" fetch --sums $sums --signature longer --keyring good.gpg "$url" i
    refused "OpenPGP: no such keyring" "nokeys" fetch --sums $sums --signature www/sums.gpg --keyring nokeys "$url" i
fi

# conversion
img create -q -f qcow2 www/disk.qcow2 8M
img io -c 'write -P 3 0 1M' -c 'write -P 4 5M 100k' www/disk.qcow2 >/dev/null
img convert -f qcow2 -O raw www/disk.qcow2 disk.raw
xz -k -c disk.raw >www/disk.raw.xz
is "qcow2 to raw" fetch -q -O raw "$HTTP/ok/disk.qcow2" out.raw
is "the same content" cmp out.raw disk.raw
is "qcow2 to compressed qcow2" fetch -q -O qcow2 -c -o compression_type=zstd "$HTTP/ok/disk.qcow2" out.qcow2
is "the same content" img compare -f qcow2 -F raw out.qcow2 disk.raw
is "the format it has already: the file itself" fetch -q -O qcow2 "$HTTP/ok/disk.qcow2" same.qcow2
is "byte for byte" cmp same.qcow2 www/disk.qcow2
is "xz, verified and unpacked" fetch -q -O qcow2 --expect "$(sha256sum <www/disk.raw.xz | cut -c 1-64)" "$HTTP/ok/disk.raw.xz" unpacked.qcow2
is "the same content" img compare -f qcow2 -F raw unpacked.qcow2 disk.raw
is "xz as it is" fetch -q "$HTTP/ok/disk.raw.xz"
is "byte for byte" cmp disk.raw.xz www/disk.raw.xz
img create -q -f qcow2 -u -b /etc/passwd -F raw www/names.qcow2 1M
refused "an image that names a file" "/etc/passwd" fetch -O raw "$HTTP/ok/names.qcow2" names.raw
same "no file of that name" "$(ls names.raw names.raw.new 2>/dev/null)" ""
head -c 70000 www/disk.qcow2 >www/short.qcow2
is "a wrong option of the target fails" bash -c "! '$IMG_TOOL' fetch -O qcow2 -o frob=1 -c '$HTTP/ok/disk.qcow2' frob.qcow2 2>err && grep -q frob err && [ ! -e frob.qcow2 ]"
is "with --image-opts" fetch -q --image-opts -O raw "driver=http,url=$HTTP/cookie/disk.qcow2,cookie=key=secret" opts.raw
is "the same content" cmp opts.raw disk.raw

# interruptions
head -c 8M /dev/urandom >www/slow.img
slow=$HTTP/slow/slow.img
kills=0
for i in $(seq 12); do
    "$IMG_TOOL" fetch -q "$slow" killed.img 2>kill.err &
    pid=$!
    sleep 0.$((RANDOM % 50 + 10))
    kill -9 $pid 2>/dev/null && kills=$((kills + 1))
    wait $pid 2>/dev/null
    [ -e killed.img ] && break
done
is "killed $kills times" fetch -q "$slow" killed.img
is "and whole in the end" whole killed.img slow.img
: >requests
"$IMG_TOOL" fetch -q --limit-rate 2M "$HTTP/ok/slow.img" limited.img &
pid=$!
sleep 1.5
kill -9 $pid
wait $pid 2>/dev/null
is "a part is there" [ -s limited.img.part ]
have=$(stat -c %s limited.img.part)
: >requests
is "it goes on" fetch -q "$HTTP/ok/slow.img" limited.img
is "and is right" whole limited.img slow.img
is "without asking for what was there" bash -c "! grep -q 'bytes=\([1-9][0-9]\{0,5\}\)-' requests || [ $have -lt 1000000 ]"

"$IMG_TOOL" fetch -q --limit-rate 2M "$HTTP/ok/slow.img" term.img 2>term.err &
pid=$!
sleep 1
kill -TERM $pid
wait $pid
is "SIGTERM ends it with a sentence" grep -q "interrupted" term.err
printf 'x' | dd of=term.img.part bs=1 seek=100 conv=notrunc status=none
is "a damaged part is noticed by the checksum" fetch -q --expect "$(sha256sum <www/slow.img | cut -c 1-64)" "$HTTP/ok/slow.img" term.img
is "and fetched again" whole term.img slow.img
"$IMG_TOOL" fetch -q --limit-rate 2M "$HTTP/ok/slow.img" crash.img 2>/dev/null &
pid=$!
sleep 1
kill -9 $pid
wait $pid 2>/dev/null
sed -i '2s/.*/another-run-of-the-host/' crash.img.part.journal
head -c 300000 /dev/zero | dd of=crash.img.part bs=1000 seek=100 conv=notrunc status=none
is "after a crash of the host only what was on disk counts" fetch -q "$HTTP/ok/slow.img" crash.img
is "the rest comes again" whole crash.img slow.img

"$IMG_TOOL" fetch -q --limit-rate 2M "$HTTP/ok/slow.img" changed.img 2>/dev/null &
pid=$!
sleep 1
refused "two at a time" "another process" fetch "$HTTP/ok/slow.img" changed.img
kill -9 $pid
wait $pid 2>/dev/null
head -c 8M /dev/urandom >www/slow.img
touch -d 2021-01-01 www/slow.img
is "a file that changed meanwhile begins anew" fetch -q "$HTTP/ok/slow.img" changed.img
is "and is the new one" whole changed.img slow.img
echo garbage >x.img.part
refused "somebody else's file of that name" "in the way" fetch "$url" x.img
same "is left alone" "$(cat x.img.part)" garbage
ln -s /etc/passwd link.img.part
refused "a part that is a link" "link.img.part" fetch "$url" link.img
done_testing
