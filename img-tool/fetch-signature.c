/*
 * fetch-signature.c - see fetch.h: signatures by OpenPGP (gpgv does it), minisign and signify.
 *
 * minisign and signify sign with Ed25519. Keys: "Ed", 8 bytes of number, 32 of key. Signatures:
 * "Ed" (of the text) or "ED" (of its BLAKE2b-512), 8 bytes of number, 64 of signature; minisign
 * adds a second one, of the first and a comment. Both are base64 after a line of comment.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/math.h"
#include "img-tool/fetch.h"

enum { TEXT_MAX = 16 << 20, KEY_BYTES = 42, SIGNATURE_BYTES = 74, ED25519 = 64, NUMBER_AT = 2 };

/* ---- reading -----------------------------------------------------------------------------------
 */

int fetch_text(const char *name, char **text, size_t *len, Error **err)
{
    size_t n = strcspn(name, ":/");
    AUTO_FREE char *scheme = strndup(name, n);
    bool url = name[n] == ':' && strncmp(name + n, "://", 3) == 0;
    AUTO_NODE Node *node = NULL;
    int ret = node_open(name, url ? scheme : "file", NULL, OPEN_NO_LOCK, &node, err);

    if (ret < 0)
        return ret;
    if (node_size(node) > TEXT_MAX)
        return error_set(err, -EFBIG, "'%s' is larger than %d bytes", name, TEXT_MAX);
    *len = node_size(node);
    *text = malloc(*len + 1);
    ret = *text ? node_pread(node, *text, *len, 0) : -ENOMEM;
    if (ret < 0) {
        free(take(text));
        return error_set(err, ret, "cannot read '%s': %s", name, strerror(-ret));
    }
    (*text)[*len] = '\0';
    return 0;
}

/* ---- minisign and signify ----------------------------------------------------------------------
 */

/* Exactly `want` bytes of base64 at the start of `line`. */
static bool decode(const char *line, size_t want, uint8_t *out)
{
    size_t len = strcspn(line, "\r\n");
    uint8_t bytes[SIGNATURE_BYTES + 3];

    if (len != (want + 2) / 3 * 4 || want > SIGNATURE_BYTES)
        return false;
    if (EVP_DecodeBlock(bytes, (const uint8_t *)line, (int)len) < (int)want)
        return false;
    memcpy(out, bytes, want);
    return true;
}

/* The line after this one, or "". */
static const char *next_line(const char *s)
{
    s += strcspn(s, "\n");
    return *s ? s + 1 : s;
}

static bool is_comment(const char *line)
{
    return strncmp(line, "untrusted comment:", 18) == 0;
}

static int read_key(const char *key, uint8_t out[KEY_BYTES], Error **err)
{
    AUTO_FREE char *text = NULL;
    size_t len;

    if (!decode(key, KEY_BYTES, out)) { /* not the key itself */
        int ret = fetch_text(key, &text, &len, err);

        if (ret < 0)
            return ret;
        if (!decode(is_comment(text) ? next_line(text) : text, KEY_BYTES, out))
            return error_set(err, -EINVAL, "'%s' is no minisign or signify key", key);
    }
    return memcmp(out, "Ed", 2) == 0 ? 0 : error_set(err, -EINVAL, "the key is not Ed25519");
}

static bool ed25519_good(const uint8_t *key, const uint8_t *sig, const void *text, size_t len)
{
    EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, 32);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = pkey && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
                EVP_DigestVerify(ctx, sig, ED25519, text, len) == 1;

    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    return good;
}

/* minisign's second signature: of the first and the comment beside it. */
static bool comment_good(const uint8_t *key, const uint8_t *sig, const char *line)
{
    static const char prefix[] = "trusted comment: ";
    uint8_t global[ED25519];

    if (strncmp(line, prefix, sizeof(prefix) - 1) != 0)
        return true; /* signify has none */
    const char *comment = line + sizeof(prefix) - 1;
    size_t n = strcspn(comment, "\r\n");
    AUTO_FREE uint8_t *both = malloc(ED25519 + n);
    if (!both || !decode(next_line(line), ED25519, global))
        return false;
    memcpy(both, sig, ED25519);
    memcpy(both + ED25519, comment, n);
    return ed25519_good(key, global, both, ED25519 + n);
}

static int check_ed25519(const char *key_text, const char *sig_text, const char *text, size_t len,
                         bool embedded, Error **err)
{
    uint8_t key[KEY_BYTES], sig[SIGNATURE_BYTES], hash[EVP_MAX_MD_SIZE];
    unsigned hash_len = 0;
    int ret = read_key(key_text, key, err);

    if (ret < 0)
        return ret;
    const char *line = is_comment(sig_text) ? next_line(sig_text) : sig_text;
    if (!decode(line, SIGNATURE_BYTES, sig) || sig[0] != 'E' || (sig[1] | 0x20) != 'd')
        return error_set(err, -EINVAL, "that is no minisign or signify signature");
    if (memcmp(sig + NUMBER_AT, key + NUMBER_AT, 8) != 0)
        return error_set(err, -EACCES, "the signature was made with another key");
    if (sig[1] == 'D') {
        if (EVP_Digest(text, len, hash, &hash_len, EVP_blake2b512(), NULL) != 1)
            return error_set(err, -ENOTSUP, "OpenSSL has no BLAKE2b here");
        text = (const char *)hash;
        len = hash_len;
    }
    if (!ed25519_good(key + 10, sig + 10, text, len) ||
        (!embedded && !comment_good(key + 10, sig + 10, next_line(line))))
        return error_set(err, -EACCES, "the signature is bad");
    return 0;
}

/* ---- gpgv --------------------------------------------------------------------------------------
 */

typedef struct {
    char folder[64];
    char text[80], sig[80], out[80];
} Scratch;

static int put_file(const char *path, const char *data, size_t len, Error **err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = fd >= 0 && write(fd, data, len) == (ssize_t)len;

    if (fd >= 0)
        close(fd);
    return good ? 0 : error_set(err, -EIO, "cannot write '%s'", path);
}

static void scratch_remove(Scratch *s)
{
    unlink(s->text);
    unlink(s->sig);
    unlink(s->out);
    rmdir(s->folder);
}

static int scratch_make(Scratch *s, Error **err)
{
    const char *dir = getenv("TMPDIR");

    if (!dir || strlen(dir) > 40)
        dir = "/tmp";
    snprintf(s->folder, sizeof(s->folder), "%s/fetch-XXXXXX", dir);
    if (!mkdtemp(s->folder))
        return error_set(err, -errno, "cannot make a folder in '%s': %s", dir, strerror(errno));
    snprintf(s->text, sizeof(s->text), "%s/text", s->folder);
    snprintf(s->sig, sizeof(s->sig), "%s/sig", s->folder);
    snprintf(s->out, sizeof(s->out), "%s/out", s->folder);
    return 0;
}

/* Run gpgv and take in what it says for programs (--status-fd). */
static int run_gpgv(char *const *argv, char *status, size_t room, Error **err)
{
    int fds[2], code;
    size_t have = 0;
    ssize_t n;

    if (pipe(fds) < 0)
        return error_set(err, -errno, "cannot make a pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);

        dup2(fds[1], 1);
        dup2(null, 0);
        dup2(null, 2);
        execvp(argv[0], argv);
        _exit(127);
    }
    close(fds[1]);
    while (pid > 0 && have < room - 1 && (n = read(fds[0], status + have, room - 1 - have)) > 0)
        have += (size_t)n;
    status[have] = '\0';
    close(fds[0]);
    while (pid > 0 && waitpid(pid, &code, 0) < 0 && errno == EINTR)
        ;
    if (pid < 0)
        return error_set(err, -errno, "cannot start gpgv: %s", strerror(errno));
    if (WIFEXITED(code) && WEXITSTATUS(code) == 127)
        return error_set(err, -ENOENT, "gpgv is not installed: it checks OpenPGP signatures");
    return 0;
}

/* One good signature is enough, one bad one too many; keys that we do not have do not count. */
static int judge_gpgv(const char *status, Error **err)
{
    if (strstr(status, "[GNUPG:] BADSIG"))
        return error_set(err, -EACCES, "the signature is bad");
    if (strstr(status, "[GNUPG:] EXPKEYSIG") || strstr(status, "[GNUPG:] REVKEYSIG"))
        return error_set(err, -EACCES, "the signature's key has expired or was revoked");
    if (strstr(status, "[GNUPG:] EXPSIG"))
        return error_set(err, -EACCES, "the signature has expired");
    if (strstr(status, "[GNUPG:] GOODSIG") && strstr(status, "[GNUPG:] VALIDSIG"))
        return 0;
    if (strstr(status, "[GNUPG:] NO_PUBKEY"))
        return error_set(err, -EACCES, "the signature's key is not in the keyring");
    return error_set(err, -EACCES, "there is no good signature");
}

static int check_gpgv(const Signature *s, const Scratch *files, bool detached, Error **err)
{
    AUTO_FREE char *keyring = s->keyring ? realpath(s->keyring, NULL) : NULL;
    char status[16384];
    char *argv[16] = { "gpgv", "--status-fd", "1" };
    int n = 3;

    if (s->keyring && !keyring)
        return error_set(err, -errno, "keyring '%s': %s", s->keyring, strerror(errno));
    if (keyring) {
        argv[n++] = "--keyring";
        argv[n++] = keyring;
    }
    if (!detached) {
        argv[n++] = "--output";
        argv[n++] = (char *)files->out;
    }
    argv[n++] = "--";
    if (detached)
        argv[n++] = (char *)files->sig;
    argv[n++] = (char *)files->text;
    int ret = run_gpgv(argv, status, sizeof(status), err);
    return ret < 0 ? ret : judge_gpgv(status, err);
}

static int check_openpgp(const Signature *s, const char *sig, size_t sig_len, const char *text,
                         size_t len, char **signed_text, Error **err)
{
    Scratch files = { 0 };
    size_t n;
    int ret = scratch_make(&files, err);

    if (ret < 0)
        return ret;
    ret = put_file(files.text, text, len, err);
    if (ret == 0 && sig)
        ret = put_file(files.sig, sig, sig_len, err);
    if (ret == 0)
        ret = check_gpgv(s, &files, sig, err);
    if (ret == 0 && !sig)
        ret = fetch_text(files.out, signed_text, &n, err);
    else if (ret == 0)
        *signed_text = strndup(text, len);
    scratch_remove(&files);
    return ret == 0 && !*signed_text ? error_set(err, -ENOMEM, "no memory for a text") : ret;
}

/* ---- all of them -------------------------------------------------------------------------------
 */

int signature_check(const Signature *s, const char *text, size_t len, char **signed_text,
                    Error **err)
{
    AUTO_FREE char *sig = NULL;
    size_t sig_len = 0;
    int ret = s->file ? fetch_text(s->file, &sig, &sig_len, err) : 0;

    *signed_text = NULL;
    if (ret < 0)
        return ret;
    if (!s->key)
        return check_openpgp(s, sig, sig_len, text, len, signed_text, err);
    if (!sig && !is_comment(text))
        return error_set(err, -EINVAL, "the list has no signature inside: --signature names one");
    const char *body = sig ? text : next_line(next_line(text));
    ret = check_ed25519(s->key, sig ? sig : text, body, len - (size_t)(body - text), !sig, err);
    if (ret == 0 && !(*signed_text = strdup(body)))
        ret = error_set(err, -ENOMEM, "no memory for a text");
    return ret;
}
