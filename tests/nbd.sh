# NBD servers for tests; source it after tap.sh.
#
#   serve SOCKET COMMAND...   run a server in the background until it listens there; its process id is $server
#   stop                      end that server; its exit code becomes $code
#   free_port                 print a TCP port of this host that nobody listens at
touch "$TAP_FOLDER/servers"
trap 'kill $(cat "$TAP_FOLDER/servers") 2>/dev/null; rm -rf "$TAP_FOLDER"' EXIT

wait_for_socket() { # PATH
    local i
    for ((i = 0; i < 400; i++)); do
        [ -S "$1" ] && return
        sleep 0.05
    done
    echo "no socket $1"
    return 1
}

serve() {
    local socket=$1
    shift
    rm -f "$socket"
    "$@" >server.log 2>&1 &
    server=$!
    echo $server >>"$TAP_FOLDER/servers"
    wait_for_socket "$socket"
}

stop() {
    kill "$server" 2>/dev/null
    wait "$server" 2>/dev/null
    code=$?
    return 0
}

free_port() {
    local port
    for ((port = 20000 + RANDOM % 20000; ; port++)); do
        (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || {
            echo $port
            return
        }
    done
}
