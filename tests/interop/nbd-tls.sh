#!/bin/bash
# NBD under TLS, our client and server with those of others: certificates, pre-shared keys, anonymous; who is refused.
tests=$(realpath "$(dirname "$0")/..")
. "$tests/tap.sh"
. "$tests/nbd.sh"
for program in qemu-nbd qemu-img nbdkit nbdcopy openssl; do
    command -v $program >/dev/null || skip_all "$program is not installed"
done
mkdir ours
ln -s "$IMG_TOOL" ours/qemu-nbd
nbd=$PWD/ours/qemu-nbd

# ---- keys and certificates ----
authority() { # NAME
    mkdir -p "$1" &&
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
            -keyout "$1/ca-key.pem" -out "$1/ca-cert.pem"
}
certificate() { # AUTHORITY server|client SUBJECT ALTERNATIVE-NAMES
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$3" -keyout "$1/$2-key.pem" -out "$1/$2.csr" &&
        openssl x509 -req -in "$1/$2.csr" -CA "$1/ca-cert.pem" -CAkey "$1/ca-key.pem" -CAcreateserial -days 2 \
            -extfile <(printf 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature,keyAgreement\nextendedKeyUsage=%sAuth\nsubjectAltName=%s\n' \
                "$2" "$4") -out "$1/$2-cert.pem"
}
make_keys() {
    authority one && certificate one server '/CN=localhost' 'DNS:localhost,IP:127.0.0.1' &&
        certificate one client '/O=Users/CN=alice' 'DNS:alice' &&
        authority two && certificate two server '/CN=localhost' 'DNS:localhost,IP:127.0.0.1' &&
        certificate two client '/O=Users/CN=mallory' 'DNS:mallory' &&
        mkdir ca psk psk2 && cp one/ca-cert.pem ca &&
        printf 'bob:0102030405060708090a0b0c0d0e0f10\nalice:%s\n' "$(openssl rand -hex 32)" >psk/keys.psk &&
        printf 'alice:%s\n' "$(openssl rand -hex 32)" >psk2/keys.psk
}
does "certificates and keys" make_keys
qemu-img create -q -f raw disk.raw 4M
qemu-io -f raw -c 'write -q -P 5 1M 1M' -c 'write -q -P 6 3000000 100000' disk.raw
cp disk.raw reference.raw

x509() { echo "tls-creds-x509,id=tls0,dir=$PWD/$1,endpoint=$2${3:+,$3}"; }
psk() { echo "tls-creds-psk,id=tls0,dir=$PWD/$1,endpoint=$2${3:+,$3}"; }
anon() { echo "tls-creds-anon,id=tls0,endpoint=$1"; }
over_unix() { echo "driver=raw,file.driver=nbd,file.server.type=unix,file.server.path=$PWD/s,file.tls-creds=tls0${1:+,file.tls-hostname=$1}"; }
over_tcp() { echo "driver=raw,file.driver=nbd,file.server.type=inet,file.server.host=${1:-localhost},file.server.port=$port,file.tls-creds=tls0"; }
plain="driver=raw,file.filename=$PWD/reference.raw"
compare() { # PROGRAM OBJECT IMAGE
    "$1" compare --object "$2" --image-opts "$3" "$plain"
}
refuse_compare() { # WHAT TEXT OBJECT IMAGE
    refused_code 2 "$1" "$2" "$IMG_TOOL" compare --object "$3" --image-opts "$4" "$plain"
}
refused_code() { # CODE WHAT TEXT COMMAND...
    local want=$1 what=$2 text=$3 out code
    shift 3
    out=$("$@" 2>&1 >/dev/null)
    code=$?
    [ $code -eq "$want" ] && [[ $out == *"$text"* ]] || printf '%s\n' "exit code: $code" "$out" | sed 's/^/# /'
    [ $code -eq "$want" ] && [[ $out == *"$text"* ]]
    tap_result $? "$what"
}
run_nbdkit() { # DIRECTORY...
    nbdkit -f -U s --tls=require "$@" file disk.raw
}
serve_tcp() { # COMMAND...: wait until it listens at $port
    port=$(free_port)
    "$@" -b 127.0.0.1 -p "$port" >server.log 2>&1 &
    server=$!
    echo $server >>servers
    local i
    for ((i = 0; i < 200; i++)); do
        (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
        sleep 0.05
    done
    return 1
}

# ---- certificates: our client ----
does "qemu-nbd wants certificates" serve_tcp qemu-nbd -t -e 8 -r -f raw --object "$(x509 one server verify-peer=on)" --tls-creds tls0 disk.raw
is "our client shows one" compare "$IMG_TOOL" "$(x509 one client)" "$(over_tcp)"
is "by address" compare "$IMG_TOOL" "$(x509 one client)" "$(over_tcp 127.0.0.1)"
is "img-tool serve --list" "$IMG_TOOL" serve -L -b localhost -p "$port" --object "$(x509 one client)" --tls-creds tls0
is "nbds:// with a folder" "$IMG_TOOL" compare -f raw -F raw "nbds://localhost:$port/?tls-certificates=$PWD/one" reference.raw
refuse_compare "without a certificate" "" "$(x509 ca client)" "$(over_tcp)"
refuse_compare "with one of somebody else" "certificate" "$(x509 two client)" "$(over_tcp)"
refuse_compare "for another host" "hostname mismatch" "$(x509 one client)" "$(over_tcp),file.tls-hostname=example.org"
refused "without TLS" "TLS" "$IMG_TOOL" info "nbd://localhost:$port"
refused "nbds:// that the system does not trust" "certificate" "$IMG_TOOL" info "nbds://localhost:$port"
stop
does "nbdkit wants certificates" serve s run_nbdkit --tls-certificates="$PWD/one" --tls-verify-peer
is "our client shows one" compare "$IMG_TOOL" "$(x509 one client)" "$(over_unix localhost)"
refuse_compare "over a socket a host name is needed" "tls-hostname" "$(x509 one client)" "$(over_unix)"
is "verify-peer=off asks for none" compare "$IMG_TOOL" "$(x509 one client,verify-peer=off)" "$(over_unix)"
stop

# ---- certificates: our server ----
does "we want certificates" serve_tcp "$nbd" -t -e 8 -r -f raw --object "$(x509 one server)" --tls-creds tls0 disk.raw
is "qemu-img shows one" compare qemu-img "$(x509 one client)" "$(over_tcp)"
is "our client shows one" compare "$IMG_TOOL" "$(x509 one client)" "$(over_tcp)"
is "qemu-nbd -L" qemu-nbd -L -b localhost -p "$port" --object "$(x509 one client)" --tls-creds tls0
is "nbdcopy shows one" nbdcopy "nbds://localhost:$port/?tls-certificates=$PWD/one" copy.raw
is "and copies all" cmp copy.raw reference.raw
refuse_compare "without a certificate" "" "$(x509 ca client)" "$(over_tcp)"
refuse_compare "with one of somebody else" "" "$(x509 two client,verify-peer=off)" "$(over_tcp)"
refused "without TLS" "TLS" "$IMG_TOOL" info "nbd://localhost:$port"
is "is still there" compare "$IMG_TOOL" "$(x509 one client)" "$(over_tcp)"
stop
does "verify-peer=off" serve_tcp "$nbd" -t -r -f raw --object "$(x509 one server verify-peer=off)" --tls-creds tls0 disk.raw
is "a client without a certificate" compare qemu-img "$(x509 ca client)" "$(over_tcp)"
is "ours, too" compare "$IMG_TOOL" "$(x509 ca client)" "$(over_tcp)"
stop
for rule in "authz-simple,id=who,identity=CN=alice,,O=Users" \
    "authz-list,id=who,policy=deny,rules.0.match=*O=Users,rules.0.format=glob,rules.0.policy=allow"; do
    does "${rule%%,*} that allows" serve_tcp "$nbd" -t -r -f raw --object "$(x509 one server)" --object "$rule" \
        --tls-creds tls0 --tls-authz who disk.raw
    is "alice" compare "$IMG_TOOL" "$(x509 one client)" "$(over_tcp)"
    stop
done
does "authz-simple of somebody else" serve_tcp "$nbd" -t -r -f raw --object "$(x509 one server)" \
    --object "authz-simple,id=who,identity=CN=bob" --tls-creds tls0 --tls-authz who disk.raw
refuse_compare "refuses alice" "" "$(x509 one client)" "$(over_tcp)"
stop

# ---- pre-shared keys ----
does "qemu-nbd with keys" serve s qemu-nbd -t -r -f raw -k "$PWD/s" --object "$(psk psk server)" --tls-creds tls0 disk.raw
is "our client" compare "$IMG_TOOL" "$(psk psk client username=alice)" "$(over_unix)"
refuse_compare "with a wrong key" "" "$(psk psk2 client username=alice)" "$(over_unix)"
refused "with an unknown name" "no key of 'carol'" "$IMG_TOOL" info --object "$(psk psk client username=carol)" reference.raw
stop
does "nbdkit with keys" serve s run_nbdkit --tls-psk="$PWD/psk/keys.psk"
is "our client" compare "$IMG_TOOL" "$(psk psk client username=bob)" "$(over_unix)"
is "nbds+unix://NAME@" "$IMG_TOOL" compare -f raw -F raw \
    "nbds+unix://alice@/?socket=$PWD/s&tls-psk-file=$PWD/psk/keys.psk" reference.raw
stop
does "we with keys" serve s "$nbd" -t -e 4 -f raw -k "$PWD/s" --object "$(psk psk server)" --tls-creds tls0 disk.raw
is "qemu-img" compare qemu-img "$(psk psk client username=alice)" "$(over_unix)"
is "our client" compare "$IMG_TOOL" "$(psk psk client username=bob)" "$(over_unix)"
is "nbdcopy" nbdcopy "nbds+unix://alice@/?socket=$PWD/s&tls-psk-file=$PWD/psk/keys.psk" copy.raw
refuse_compare "a wrong key" "" "$(psk psk2 client username=alice)" "$(over_unix)"
is "writes through TLS" "$IMG_TOOL" convert --object "$(psk psk client username=alice)" -n -f raw --target-image-opts reference.raw "$(over_unix)"
stop
is "arrive" cmp disk.raw reference.raw

# ---- anonymous ----
does "qemu-nbd without anything" serve s qemu-nbd -t -r -f raw -k "$PWD/s" --object "$(anon server)" --tls-creds tls0 disk.raw
is "our client" compare "$IMG_TOOL" "$(anon client)" "$(over_unix)"
stop
does "we without anything" serve s "$nbd" -t -r -e 4 -f raw -k "$PWD/s" --object "$(anon server)" --tls-creds tls0 disk.raw
is "qemu-img" compare qemu-img "$(anon client)" "$(over_unix)"
is "our client" compare "$IMG_TOOL" "$(anon client)" "$(over_unix)"
stop
refused "credentials of the wrong end" "endpoint=server" "$nbd" -f raw -k s --object "$(anon client)" --tls-creds tls0 disk.raw
refused "a folder without certificates" "ca-cert.pem" "$IMG_TOOL" info --object "tls-creds-x509,id=x,dir=$PWD/psk" disk.raw
done_testing
