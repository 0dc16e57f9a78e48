#!/bin/bash
# A server that does everything wrong: each case ends in bounded time with the right data or one clear sentence.
tests=$(cd "$(dirname "$0")/.." && pwd)
. "$tests/tap.sh"
. "$tests/http.sh"
head -c 2000000 /dev/urandom >www/d.img
LIMIT=40 # seconds; a busy machine

convert() { # BEHAVIOUR
    local retries=2
    case $1 in stall | silent | trickle) retries=1 ;; esac
    timeout $LIMIT "$IMG_TOOL" convert --image-opts -O raw \
        "driver=raw,file.driver=http,file.url=$HTTP/$1/d.img,file.timeout=1,file.retries=$retries" "out-$1"
}

mends() { # BEHAVIOUR WHAT
    is "$2: the right data" bash -c "cmp out-$1 www/d.img && ! grep -q . err-$1"
}

gives_up() { # BEHAVIOUR WHAT TEXT
    local code
    code=$(cat "code-$1")
    is "$2: '$3'" bash -c "[ $code = 1 ] && grep -qF -e '$3' err-$1 && [ ! -e out-$1 ] || { echo code $code; cat err-$1; false; }"
}

# All at once: most of the time is waiting.
cases='ok noranges norangescut nolengthcut stall stallonce silent cutoff cut cutonce wrongrange wronglast wrongtotal whole
wholeonce changed changed200 busy busyonce busylong busylater page page206 loop tofile gzip endless short trickle bigheader
multipart norange206 badrange206 hugerange206 lost'
for b in $cases; do
    (convert "$b" 2>"err-$b"; echo $? >"code-$b") &
    pids="${pids:-} $!"
done
wait $pids

mends ok "a good server"
mends noranges "no ranges"
mends norangescut "no ranges, and cut twice"
mends nolengthcut "no size, and cut once"
mends stallonce "stalls now and then"
mends cutonce "cuts now and then"
mends wholeonce "ignores the range once"
mends busyonce "503 twice, with Retry-After"
gives_up stall "stalls in each answer" "stalls"
gives_up silent "accepts and says nothing" "Could not open"
gives_up cutoff "closes without a word" "Could not open"
gives_up cut "cuts each answer" "remaining to read"
gives_up trickle "fifty bytes at a time" "stalls"
gives_up wrongrange "another range than asked for" "were asked for"
gives_up wronglast "a longer range than asked for" "were asked for"
gives_up wrongtotal "another size" "changed on the server"
gives_up whole "always the whole file" "whole file instead of a part"
gives_up changed "another ETag" "changed on the server"
gives_up changed200 "another file, after If-Range" "changed on the server"
gives_up busy "503 always" "503 Service Unavailable"
gives_up busylong "503 for an hour" "come back in 3600 seconds"
gives_up busylater "503 in the middle" "503 Service Unavailable"
gives_up lost "404 in the middle" "404 Not Found"
refused "no such file" "404 Not Found" timeout 10 "$IMG_TOOL" info "$HTTP/ok/missing.img"
gives_up page "an HTML page" "HTML page"
gives_up page206 "a page in ranges" "HTML page"
gives_up loop "redirects in a circle" "redirects"
gives_up tofile "redirects to file:" "not followed"
gives_up gzip "encoded" "gzip"
gives_up endless "endless body" "sends more than"
gives_up short "fewer bytes than the range" "contradicts itself"
gives_up bigheader "endless header" "header is longer"
gives_up multipart "several parts" "multipart"
gives_up norange206 "a part without Content-Range" "does not say which"
gives_up badrange206 "a range that is none" "does not say which"
gives_up hugerange206 "a range beyond 2^64" "does not say which"

refused "nobody listens" "Could not open" timeout 10 "$IMG_TOOL" info http://127.0.0.1:1/x
refused "no such host" "Could not open" timeout 20 "$IMG_TOOL" info http://no-such-host.invalid/x
refused "no host at all" "Could not open" timeout 10 "$IMG_TOOL" info http:///x

# The server goes away and comes back while somebody reads.
head -c 20M /dev/urandom >www/long.img
timeout $LIMIT "$IMG_TOOL" convert --image-opts -O raw \
    "driver=raw,file.driver=http,file.url=$HTTP/slow/long.img,file.timeout=2" out-long 2>err-long &
pid=$!
sleep 1
server_stop
sleep 0.5
server_start
wait $pid
is "a server that is started anew in the middle" cmp out-long www/long.img
done_testing
