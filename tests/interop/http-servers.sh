#!/bin/bash
# Images from real servers: nginx with TLS, passwords and redirections, an FTP server; beside curl and qemu-img.
tests=$(cd "$(dirname "$0")/.." && pwd)
. "$tests/tap.sh"
nginx=$(command -v nginx || ls /usr/sbin/nginx 2>/dev/null) || skip_all "nginx is not installed"
export ONIONSKIN_CACHE=$PWD/cache no_proxy='*'
unset CURL_CA_BUNDLE SSL_CERT_FILE
img() { timeout 60 "$IMG_TOOL" "$@"; }
io() { img io "$@"; }

free_port() { perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'; }
stop() {
    [ -s nginx.pid ] && kill "$(cat nginx.pid)" 2>/dev/null
    [ -n "${FTP_PID:-}" ] && kill "$FTP_PID" 2>/dev/null
    rm -rf "$TAP_FOLDER"
}
trap stop EXIT

# a certificate authority of our own, and a server's certificate
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tls.key -out tls.csr -subj /CN=localhost 2>/dev/null
printf 'subjectAltName=DNS:localhost' >ext
openssl x509 -req -in tls.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out tls.pem -days 2 -extfile ext 2>/dev/null

mkdir www www/private
PLAIN=$(free_port) TLS=$(free_port)
printf 'user:%s\n' "$(openssl passwd -apr1 secret)" >passwords
cat >nginx.conf <<END
pid $PWD/nginx.pid;
error_log $PWD/error.log;
events { worker_connections 256; }
http {
    access_log $PWD/access.log;
    client_body_temp_path $PWD/t1; proxy_temp_path $PWD/t2; fastcgi_temp_path $PWD/t3; uwsgi_temp_path $PWD/t4; scgi_temp_path $PWD/t5;
    sendfile on;
    default_type application/octet-stream;
    server {
        listen 127.0.0.1:$PLAIN;
        listen 127.0.0.1:$TLS ssl;
        server_name localhost;
        ssl_certificate $PWD/tls.pem;
        ssl_certificate_key $PWD/tls.key;
        root $PWD/www;
        location /private/ { auth_basic x; auth_basic_user_file $PWD/passwords; }
        location /norange/ { alias $PWD/www/; max_ranges 0; }
        location /to-tls/ { return 302 https://localhost:$TLS/disk.qcow2; }
        location /to-plain/ { return 302 http://localhost:$PLAIN/disk.qcow2; }
    }
}
END
chmod -R a+rX . && chmod a+rx "$PWD"
"$nginx" -c "$PWD/nginx.conf" 2>nginx.err || skip_all "nginx does not start: $(cat nginx.err)"

head -c 20000001 /dev/urandom >www/raw.img
img create -q -f qcow2 www/disk.qcow2 64M
io -c 'write -P 3 0 5M' -c 'write -P 4 50M 100k' www/disk.qcow2 >/dev/null
img convert -f qcow2 -O qcow2 -c www/disk.qcow2 www/packed.qcow2
cp www/disk.qcow2 www/private/
plain=http://localhost:$PLAIN tls=https://localhost:$TLS

is "nginx: a raw image" img convert -f raw -O raw $plain/raw.img out
is "nginx: the same bytes" cmp out www/raw.img
is "nginx: a qcow2 image" img compare -f qcow2 -F qcow2 $plain/disk.qcow2 www/disk.qcow2
is "nginx: compressed clusters" img compare -f qcow2 -F qcow2 $plain/packed.qcow2 www/disk.qcow2
is "nginx: without ranges" img compare -f qcow2 -F qcow2 $plain/norange/disk.qcow2 www/disk.qcow2
is "nginx: check" img check $plain/packed.qcow2
cp --sparse=never www/disk.qcow2 dense.qcow2
same "nginx: map is that of the file" "$(img map --output=json $plain/disk.qcow2)" "$(img map --output=json dense.qcow2)"

truncate -s 3T www/huge.img
printf 'far away' | dd of=www/huge.img bs=1 seek=$((2 << 40)) conv=notrunc status=none
is "nginx: 3 TiB, a little of it" io -r -c 'read -P 0 1T 64k' -c 'read -P 0x66 2T 1' -c 'read -P 0 3298534883327 1' $plain/huge.img
refused "nginx: beyond its end" "" io -r -c 'read 3T 1' $plain/huge.img
rm www/huge.img

refused "TLS: an unknown authority" "certificate" img info $tls/disk.qcow2
is "TLS: with the option cacert" img info --image-opts driver=qcow2,file.driver=https,file.url=$tls/disk.qcow2,file.cacert="$PWD/ca.pem"
is "TLS: unverified" img info --image-opts driver=qcow2,file.driver=https,file.url=$tls/disk.qcow2,file.sslverify=off
export SSL_CERT_FILE=$PWD/ca.pem
is "TLS: with SSL_CERT_FILE" img compare -f qcow2 -F qcow2 $tls/disk.qcow2 www/disk.qcow2
refused "TLS: another name than the certificate's" "certificate" img info https://127.0.0.1:$TLS/disk.qcow2
refused "TLS: an authority that is not there" "Could not open" img info --image-opts driver=qcow2,file.driver=https,file.url=$tls/disk.qcow2,file.cacert=/nowhere
is "a redirection to TLS" img compare -f qcow2 -F qcow2 $plain/to-tls/x www/disk.qcow2
refused "but not away from it" "not followed" img info $tls/to-plain/x
refused "TLS to a plain port" "Could not open" img info https://localhost:$PLAIN/disk.qcow2
is "TLS: fetch" img fetch -q --expect "$(sha256sum <www/raw.img | cut -c 1-64)" $tls/raw.img fetched
is "TLS: the same bytes" cmp fetched www/raw.img

refused "a password is needed" "401" img info $plain/private/disk.qcow2
is "a password by secret" img info --object secret,id=p,data=secret --image-opts driver=qcow2,file.driver=http,file.url=$plain/private/disk.qcow2,file.username=user,file.password-secret=p
refused "a wrong one" "401" img info --object secret,id=p,data=wrong --image-opts driver=qcow2,file.driver=http,file.url=$plain/private/disk.qcow2,file.username=user,file.password-secret=p
same "what was cached with a password needs it offline, too" \
    "$(img info --image-opts driver=qcow2,file.driver=http,file.url=$plain/private/disk.qcow2,file.cache=only 2>&1 | grep -c 'has nothing')" 1

# a served image that changes between two reads of one run
head -c 30000000 /dev/urandom >www/changes.img
cp www/changes.img keep
{ img dd -f raw -O raw bs=1M if=$plain/changes.img of=d1 count=1 && sleep 1 && head -c 30000000 /dev/urandom >www/changes.img; } >/dev/null 2>&1
is "a new version is fetched anew" img convert -f raw -O raw $plain/changes.img out
is "all of it" cmp out www/changes.img

# the same through the peer, if it has its module for curl
if qemu-img info $plain/disk.qcow2 >peer.out 2>&1; then
    same "info as qemu-img prints it" "$(img info $plain/disk.qcow2 | grep -v 'disk size' | head -n 12)" "$(grep -v 'disk size' peer.out | head -n 12)"
    is "an overlay made by qemu-img" qemu-img create -q -f qcow2 -b $plain/disk.qcow2 -F qcow2 peer.qcow2
    is "is read" io -r -c 'read -P 3 0 5M' -c 'read -P 4 50M 100k' peer.qcow2
    img create -q -f qcow2 -b $plain/disk.qcow2 -F qcow2 ours.qcow2
    is "qemu-img reads an overlay of ours" qemu-img compare -f qcow2 -F qcow2 ours.qcow2 www/disk.qcow2
    is "json: as the peer understands it" img info "json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"http\",\"url\":\"$plain/disk.qcow2\",\"readahead\":65536,\"timeout\":20}}"
fi

if /usr/bin/python3 -c 'import pyftpdlib' 2>/dev/null; then
    FTP=$(free_port)
    /usr/bin/python3 -m pyftpdlib -i 127.0.0.1 -p "$FTP" -d "$PWD/www" >ftp.log 2>&1 &
    FTP_PID=$!
    for _ in $(seq 100); do
        curl -s "ftp://127.0.0.1:$FTP/" >/dev/null && break
        sleep 0.1
    done
    ftp=ftp://127.0.0.1:$FTP
    is "FTP: a raw image" img convert -f raw -O raw $ftp/raw.img out
    is "FTP: the same bytes" cmp out www/raw.img
    is "FTP: a qcow2 image" img compare -f qcow2 -F qcow2 $ftp/disk.qcow2 www/disk.qcow2
    is "FTP: an overlay" img create -q -f qcow2 -b $ftp/disk.qcow2 -F qcow2 ftp.qcow2
    is "FTP: is read" io -c 'read -P 4 50M 100k' -c 'write -P 1 0 64k' -c 'read -P 3 64k 1M' ftp.qcow2
    is "FTP: fetch" img fetch -q $ftp/raw.img ftp.img
    is "FTP: the same bytes" cmp ftp.img www/raw.img
    : >www/empty
    is "FTP: an empty file" img convert -f raw -O raw $ftp/empty out
    refused "FTP: no such file" "Could not open" img info $ftp/missing
    refused "FTP: a folder" "is a folder" img info $ftp/private/
    refused "FTP: a wrong password" "Could not open" img info ftp://user:wrong@127.0.0.1:$FTP/disk.qcow2
    refused "FTP: nobody listens" "Could not open" img info ftp://127.0.0.1:1/x
fi
done_testing
