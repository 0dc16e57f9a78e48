/*
 * tls.c - see tls.h: sessions of OpenSSL over a socket.
 *
 * The socket is read and written here and not by OpenSSL, whose write() would raise SIGPIPE.
 */
#include "block/nbd/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "block/nbd/tls-creds.h"

/* ---- the socket as a BIO ---- */

static bool would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static int socket_fd(BIO *bio)
{
    return (int)(intptr_t)BIO_get_data(bio);
}

static int socket_write(BIO *bio, const char *buf, size_t len, size_t *done)
{
    ssize_t n = send(socket_fd(bio), buf, len, MSG_NOSIGNAL | MSG_DONTWAIT);

    BIO_clear_retry_flags(bio);
    if (n < 0 && would_block())
        BIO_set_retry_write(bio);
    *done = n > 0 ? (size_t)n : 0;
    return n > 0;
}

static int socket_read(BIO *bio, char *buf, size_t len, size_t *done)
{
    ssize_t n = recv(socket_fd(bio), buf, len, MSG_DONTWAIT);

    BIO_clear_retry_flags(bio);
    if (n < 0 && would_block())
        BIO_set_retry_read(bio);
    if (n == 0)
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    *done = n > 0 ? (size_t)n : 0;
    return n > 0;
}

static long socket_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
    (void)num;
    (void)ptr;
    switch (cmd) {
    case BIO_CTRL_FLUSH:
    case BIO_CTRL_DUP: return 1;
    case BIO_CTRL_EOF: return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    default: return 0;
    }
}

static BIO_METHOD *socket_method;

static void make_socket_method(void)
{
    socket_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "nbd socket");
    if (!socket_method)
        return;
    BIO_meth_set_write_ex(socket_method, socket_write);
    BIO_meth_set_read_ex(socket_method, socket_read);
    BIO_meth_set_ctrl(socket_method, socket_ctrl);
}

static BIO *socket_bio(int fd)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_socket_method);
    BIO *bio = socket_method ? BIO_new(socket_method) : NULL;
    if (bio) {
        BIO_set_data(bio, (void *)(intptr_t)fd);
        BIO_set_init(bio, 1);
    }
    return bio;
}

/* ---- sessions ---- */

/* The certificate must be for this name or address. */
static bool expect_host(SSL *ssl, const char *hostname)
{
    uint8_t addr[16];

    if (inet_pton(AF_INET, hostname, addr) == 1 || inet_pton(AF_INET6, hostname, addr) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), hostname);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, hostname) && SSL_set_tlsext_host_name(ssl, hostname);
}

SSL *nbd_tls_session(const NbdTls *tls, int fd, const char *hostname, Error **err)
{
    SSL *ssl = SSL_new(tls->ctx);
    BIO *bio = ssl ? socket_bio(fd) : NULL;

    if (bio)
        SSL_set_bio(ssl, bio, bio);
    if (bio && !tls->server && hostname && !expect_host(ssl, hostname))
        error_set(err, -EINVAL, "'%s' is not a host name that a certificate could have", hostname);
    else if (bio && nbd_tls_wants_hostname(tls) && !hostname)
        error_set(err, -EINVAL,
                  "whose certificate should the server show? (option tls-hostname names it)");
    else if (bio)
        return ssl;
    else
        error_set(err, -ENOMEM, "no memory for a TLS session");
    SSL_free(ssl);
    return NULL;
}

int nbd_tls_explain(SSL *ssl, int ret, Error **err)
{
    long verdict = SSL_get_verify_result(ssl);
    unsigned long code = ERR_peek_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    if (verdict != X509_V_OK)
        return error_set(err, -EACCES, "TLS handshake: the certificate is not accepted: %s",
                         X509_verify_cert_error_string(verdict));
    if (reason)
        return error_set(err, -EPROTO, "TLS handshake: %s", reason);
    ret = ret ? ret : -ECONNRESET;
    return error_set(err, ret, "TLS handshake: %s", strerror(-ret));
}

char *nbd_tls_peer_name(SSL *ssl)
{
    X509 *cert = SSL_get1_peer_certificate(ssl);
    BIO *out = cert ? BIO_new(BIO_s_mem()) : NULL;
    char *text, *name = NULL;
    long len;

    if (out && SSL_get_verify_result(ssl) == X509_V_OK &&
        X509_NAME_print_ex(out, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253) >= 0 &&
        (len = BIO_get_mem_data(out, &text)) > 0)
        name = strndup(text, (size_t)len);
    BIO_free(out);
    X509_free(cert);
    return name;
}

bool nbd_tls_is_server(const NbdTls *tls)
{
    return tls->server;
}

bool nbd_tls_wants_hostname(const NbdTls *tls)
{
    return !tls->server && tls->kind == TLS_X509 && tls->verify_peer;
}
