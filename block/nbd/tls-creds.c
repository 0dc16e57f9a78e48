/*
 * tls-creds.c - see tls.h: the credential objects, read from their folder when they are made.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/hex.h"
#include "block/nbd/tls-creds.h"

enum { KEYS_MAX = 1 << 20, PASSWORD_MAX = 1024 };

static int openssl_error(const char *what, Error **err)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    int ret = error_set(err, -EINVAL, "%s: %s", what, reason ? reason : "OpenSSL refuses it");

    ERR_clear_error();
    return ret;
}

/* ---- files of the folder ---- */

/* Room for any path, or NULL. */
static char *file_in(const char *dir, const char *name)
{
    char *path;

    return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

static bool is_there(const char *path)
{
    return path && access(path, F_OK) == 0;
}

static int no_file(const char *path, Error **err)
{
    return error_set(err, -ENOENT, "the file '%s' is missing", path ? path : "?");
}

static int load_authorities(NbdTls *tls, const char *dir, Error **err)
{
    AUTO_FREE char *ca = file_in(dir, "ca-cert.pem"), *crl = file_in(dir, "ca-crl.pem");
    bool needed = !tls->server || tls->verify_peer;

    if (!is_there(ca))
        return needed ? no_file(ca, err) : 0;
    if (!SSL_CTX_load_verify_file(tls->ctx, ca))
        return openssl_error(ca, err);
    if (tls->server)
        SSL_CTX_set_client_CA_list(tls->ctx, SSL_load_client_CA_file(ca));
    if (!is_there(crl))
        return 0;
    X509_STORE *store = SSL_CTX_get_cert_store(tls->ctx);
    if (!X509_LOOKUP_load_file(X509_STORE_add_lookup(store, X509_LOOKUP_file()), crl,
                               X509_FILETYPE_PEM))
        return openssl_error(crl, err);
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    return 0;
}

typedef struct Password {
    char *data;
    size_t len;
} Password;

/* Without a password we must not ask for one at the terminal. */
static int give_password(char *buf, int room, int writing, void *opaque)
{
    Password *p = opaque;

    (void)writing;
    if (!p->data || p->len > (size_t)room)
        return -1;
    memcpy(buf, p->data, p->len);
    return (int)p->len;
}

static int load_own(NbdTls *tls, const char *dir, Password *password, Error **err)
{
    const char *who = tls->server ? "server" : "client";
    char cert_name[32], key_name[32];

    snprintf(cert_name, sizeof(cert_name), "%s-cert.pem", who);
    snprintf(key_name, sizeof(key_name), "%s-key.pem", who);
    AUTO_FREE char *cert = file_in(dir, cert_name), *key = file_in(dir, key_name);
    if (!is_there(cert) && !tls->server)
        return 0; /* a client need not have one */
    if (!is_there(cert) || !is_there(key))
        return no_file(is_there(cert) ? key : cert, err);
    SSL_CTX_set_default_passwd_cb(tls->ctx, give_password);
    SSL_CTX_set_default_passwd_cb_userdata(tls->ctx, password);
    int ret = !SSL_CTX_use_certificate_chain_file(tls->ctx, cert) ? openssl_error(cert, err)
              : !SSL_CTX_use_PrivateKey_file(tls->ctx, key, SSL_FILETYPE_PEM) ||
                      !SSL_CTX_check_private_key(tls->ctx)
                  ? openssl_error(key, err)
                  : 0;
    SSL_CTX_set_default_passwd_cb_userdata(tls->ctx, NULL);
    SSL_CTX_set_default_passwd_cb(tls->ctx, NULL);
    return ret;
}

/* Diffie-Hellman parameters of the folder, or OpenSSL's own. */
static int load_dh(NbdTls *tls, const char *dir, Error **err)
{
    AUTO_FREE char *path = dir ? file_in(dir, "dh-params.pem") : NULL;
    EVP_PKEY *params = NULL;

    if (!tls->server || !is_there(path)) {
        SSL_CTX_set_dh_auto(tls->ctx, 1);
        return 0;
    }
    BIO *in = BIO_new_file(path, "r");
    if (in)
        params = PEM_read_bio_Parameters(in, NULL);
    BIO_free(in);
    if (params && SSL_CTX_set0_tmp_dh_pkey(tls->ctx, params))
        return 0;
    EVP_PKEY_free(params);
    return openssl_error(path, err);
}

/* ---- pre-shared keys: a list of NAME:HEX ---- */

static int read_keys(NbdTls *tls, const char *path, Error **err)
{
    int ret = file_read_whole(path, KEYS_MAX, &tls->keys, &tls->keys_len);

    return ret < 0 ? error_set(err, ret, "'%s': %s", path, strerror(-ret)) : 0;
}

static unsigned decode_hex(const char *hex, size_t len, uint8_t *out, unsigned room)
{
    if (len == 0 || len % 2 || len / 2 > room)
        return 0;
    return hex_decode(out, len / 2, hex) == len / 2 ? (unsigned)len / 2 : 0;
}

/* The key of `name`; 0: there is none. */
static unsigned find_key(const NbdTls *tls, const char *name, uint8_t *key, unsigned room)
{
    size_t name_len = strlen(name);

    for (const char *line = tls->keys; *line;) {
        size_t len = strcspn(line, "\r\n");

        if (len > name_len && line[name_len] == ':' && strncmp(line, name, name_len) == 0)
            return decode_hex(line + name_len + 1, len - name_len - 1, key, room);
        line += len;
        line += strspn(line, "\r\n");
    }
    return 0;
}

static const NbdTls *creds_of(SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

static unsigned psk_as_client(SSL *ssl, const char *hint, char *identity, unsigned room,
                              uint8_t *key, unsigned key_room)
{
    const NbdTls *tls = creds_of(ssl);

    (void)hint;
    if (strlen(tls->username) >= room)
        return 0;
    strcpy(identity, tls->username);
    return find_key(tls, tls->username, key, key_room);
}

static unsigned psk_as_server(SSL *ssl, const char *identity, uint8_t *key, unsigned room)
{
    return identity ? find_key(creds_of(ssl), identity, key, room) : 0;
}

/* ---- the three kinds ---- */

static int x509_load(NbdTls *tls, const char *dir, Options *o, Error **err)
{
    AUTO_FREE char *password_id = options_take(o, "passwordid");
    Password password = { 0 };
    bool sane = true;
    int ret = options_take_bool(o, "sanity-check", &sane, err), mode = SSL_VERIFY_NONE;

    if (ret == 0 && password_id)
        ret = secret_get(password_id, &password.data, &password.len, err);
    if (ret == 0 && !dir)
        ret = error_set(err, -EINVAL, "TLS credentials need the option 'dir'");
    if (ret == 0)
        ret = load_authorities(tls, dir, err);
    if (ret == 0)
        ret = load_own(tls, dir, &password, err);
    if (ret == 0)
        ret = load_dh(tls, dir, err);
    secret_free(password.data, password.len);
    if (tls->verify_peer)
        mode = SSL_VERIFY_PEER | (tls->server ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
    SSL_CTX_set_verify(tls->ctx, mode, NULL);
    return ret;
}

static int psk_load(NbdTls *tls, const char *dir, Options *o, Error **err)
{
    char *name = options_take(o, "username");
    char *file = options_take(o, "file"); /* of a URI */
    AUTO_FREE char *path = file ? file : dir ? file_in(dir, "keys.psk") : NULL;
    uint8_t key[PSK_MAX_PSK_LEN];

    tls->username = name ? name : strdup("qemu");
    if (!path || !tls->username)
        return error_set(err, -EINVAL, "TLS credentials need the option 'dir'");
    int ret = read_keys(tls, path, err);
    if (ret == 0)
        ret = load_dh(tls, dir, err);
    if (ret == 0 && !tls->server && !find_key(tls, tls->username, key, sizeof(key)))
        ret = error_set(err, -ENOENT, "'%s' has no key of '%s' (NAME:HEX, at most %d bytes)", path,
                        tls->username, PSK_MAX_PSK_LEN);
    OPENSSL_cleanse(key, sizeof(key));
    /* with certificates out of the way nobody can be talked out of the key */
    if (ret == 0 && !SSL_CTX_set_cipher_list(tls->ctx, "PSK"))
        ret = openssl_error("pre-shared keys", err);
    if (tls->server)
        SSL_CTX_set_psk_server_callback(tls->ctx, psk_as_server);
    else
        SSL_CTX_set_psk_client_callback(tls->ctx, psk_as_client);
    return ret;
}

/* Anonymous key exchange ended with TLS 1.2, and OpenSSL has it at its lowest security level only.
 */
static int anon_load(NbdTls *tls, const char *dir, Options *o, Error **err)
{
    (void)o;
    SSL_CTX_set_security_level(tls->ctx, 0);
    if (!SSL_CTX_set_max_proto_version(tls->ctx, TLS1_2_VERSION) ||
        !SSL_CTX_set_cipher_list(tls->ctx, "aNULL:!eNULL"))
        return openssl_error("anonymous TLS", err);
    return load_dh(tls, dir, err);
}

static int context_new(NbdTls *tls, Error **err)
{
    tls->ctx = SSL_CTX_new(tls->server ? TLS_server_method() : TLS_client_method());
    if (!tls->ctx || !SSL_CTX_set_min_proto_version(tls->ctx, TLS1_2_VERSION))
        return openssl_error("TLS", err);
    SSL_CTX_set_app_data(tls->ctx, tls);
    SSL_CTX_set_mode(tls->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(tls->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
    return 0;
}

static int creds_create(NbdTls *tls, NbdTlsKind kind, Options *o, Error **err)
{
    static int (*const load[])(NbdTls *, const char *, Options *, Error **) = { x509_load, psk_load,
                                                                                anon_load };
    static const char *const ends[] = { "client", "server", NULL };
    AUTO_FREE char *dir = options_take(o, "dir");
    int end = 0, ret = options_take_enum(o, "endpoint", ends, &end, err);

    free(options_take(o, "priority")); /* in GnuTLS's language: what OpenSSL chooses is safe */
    tls->kind = kind;
    tls->verify_peer = true;
    tls->server = end == 1;
    if (ret == 0)
        ret = options_take_bool(o, "verify-peer", &tls->verify_peer, err);
    if (ret == 0)
        ret = context_new(tls, err);
    return ret < 0 ? ret : load[kind](tls, dir, o, err);
}

static int x509_create(void *state, Options *o, Error **err)
{
    return creds_create(state, TLS_X509, o, err);
}

static int psk_create(void *state, Options *o, Error **err)
{
    return creds_create(state, TLS_PSK, o, err);
}

static int anon_create(void *state, Options *o, Error **err)
{
    return creds_create(state, TLS_ANON, o, err);
}

static void creds_destroy(void *state)
{
    NbdTls *tls = state;

    SSL_CTX_free(tls->ctx);
    if (tls->keys)
        OPENSSL_cleanse(tls->keys, tls->keys_len);
    free(tls->keys);
    free(tls->username);
}

const ObjectType tls_x509_type = { "tls-creds-x509", sizeof(NbdTls), x509_create, creds_destroy };
const ObjectType tls_psk_type = { "tls-creds-psk", sizeof(NbdTls), psk_create, creds_destroy };
const ObjectType tls_anon_type = { "tls-creds-anon", sizeof(NbdTls), anon_create, creds_destroy };

/* ---- finding and making them ---- */

const NbdTls *nbd_tls_find(const char *id, bool server, Error **err)
{
    static const ObjectType *const types[] = { &tls_x509_type, &tls_psk_type, &tls_anon_type };
    const NbdTls *tls = NULL;

    for (size_t i = 0; i < ARRAY_LEN(types) && !tls; i++)
        tls = object_find(types[i], id, NULL);
    if (!tls) {
        error_set(
            err, -ENOENT,
            "there are no TLS credentials '%s' (--object tls-creds-x509,id=%s,... makes them)", id,
            id);
        return NULL;
    }
    if (tls->server != server) {
        error_set(err, -EINVAL, "TLS credentials '%s' are for a %s: endpoint=%s is needed here", id,
                  tls->server ? "server" : "client", server ? "server" : "client");
        return NULL;
    }
    return tls;
}

/* The system's authorities, for names of hosts that everybody knows. */
static int system_create(NbdTls *tls, Error **err)
{
    tls->kind = TLS_X509;
    tls->verify_peer = true;
    int ret = context_new(tls, err);
    if (ret == 0 && !SSL_CTX_set_default_verify_paths(tls->ctx))
        ret = openssl_error("the system's certificate authorities", err);
    SSL_CTX_set_verify(tls->ctx, SSL_VERIFY_PEER, NULL);
    return ret;
}

NbdTls *nbd_tls_new(const ObjectType *type, Options *options, Error **err)
{
    AUTO_OPTIONS Options *o = options;
    NbdTls *tls = calloc(1, sizeof(*tls));
    int ret = !tls ? -ENOMEM : type ? type->create(tls, o, err) : system_create(tls, err);

    if (ret == 0 && type)
        ret = options_end(o, type->name, err);
    if (ret == 0)
        return tls;
    nbd_tls_free(tls);
    return NULL;
}

void nbd_tls_free(NbdTls *tls)
{
    if (!tls)
        return;
    creds_destroy(tls);
    free(tls);
}
