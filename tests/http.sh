# For tests of images over HTTP. Sourced after tap.sh: starts the server, in the scratch folder.
#
#   www/              what is served
#   $HTTP             http://127.0.0.1:PORT; a request is $HTTP/BEHAVIOUR/FILE (tests/http-server.pl)
#   served [PATTERN]  how many requests there were (whose line of the log matches)
#   server_stop       ends it; server_start begins again, on the same port
mkdir -p www
HTTP_SERVER=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/http-server.pl
HTTP_PORT=0
HTTP_PID=
export ONIONSKIN_CACHE=off no_proxy='*'

server_start() {
    : >requests
    perl "$HTTP_SERVER" www "$PWD/requests" "$HTTP_PORT" >port 2>server.err &
    HTTP_PID=$!
    for _ in $(seq 200); do
        [ -s port ] && break
        sleep 0.05
    done
    HTTP_PORT=$(head -n 1 port)
    HTTP=http://127.0.0.1:$HTTP_PORT
    [ -n "$HTTP_PORT" ]
}

server_stop() {
    [ -n "$HTTP_PID" ] && kill "$HTTP_PID" 2>/dev/null && wait "$HTTP_PID" 2>/dev/null
    HTTP_PID=
}

served() { grep -c -e "${1:-}" requests; }

trap 'server_stop; rm -rf "$TAP_FOLDER"' EXIT
server_start || { echo "1..0 # SKIP no server: $(cat server.err)"; exit 0; }
