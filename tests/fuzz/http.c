/*
 * http.c - fuzz target: what servers and the cache's files say. The first byte chooses: a header
 * and the judgement of it, a URL, a list of checksums, a signature, a file of the block cache.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/cache-file.h"
#include "block/http/answer.h"
#include "block/remote.h"
#include "img-tool/fetch.h"

static void header(const char *text, size_t len)
{
    static const Identity known = { .size = 1 << 20, .etag = "\"a\"", .modified = "Mon" };
    Answer a;

    answer_init(&a);
    for (size_t at = 0, n; at < len; at += n) {
        const char *end = memchr(text + at, '\n', len - at);

        n = end ? (size_t)(end - text) + 1 - at : len - at;
        if (answer_field(&a, text + at, n) < 0)
            return;
    }
    for (int i = 0; i < 2; i++) {
        AUTO_ERROR Error *err = NULL;
        int code;
        Verdict v = answer_judge(&a, 4096, 8192, i ? &known : NULL, &code, &err);

        if ((v > ANSWER_EMPTY) != (code < 0) || (v > ANSWER_EMPTY) != (err != NULL))
            abort();
        if (v == ANSWER_RANGE && (a.first != 4096 || a.last >= 8192))
            abort();
    }
    looks_like_page(a.type, text, len);
}

static void url(const char *text)
{
    char *parts[3];
    AUTO_FREE char *name = url_file_name(text), *clean = url_without_secrets(text);
    AUTO_FREE char *full = path_resolve(text, "x");

    url_split_login(text, &parts[0], &parts[1], &parts[2]);
    for (size_t i = 0; i < 3; i++)
        free(parts[i]);
    if (strchr(name, '/') && !strstr(text, "%2") && !strstr(text, "%2f"))
        abort();
    url_same_server(full, clean);
}

static void signature(const char *text, size_t len)
{
    /* any 42 bytes are a key */
    const Signature s = { .key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3" };
    AUTO_FREE char *good = NULL;

    if (signature_check(&s, text, len, &good, NULL) == 0)
        abort(); /* nobody can sign with that key here */
}

static void cache_file(const char *data, size_t len)
{
    AUTO_FREE CacheFile *file = calloc(1, sizeof(*file));
    int fd = memfd_create("blocks", MFD_CLOEXEC);

    if (fd < 0 || write(fd, data, len) != (ssize_t)len)
        abort();
    if (cache_header_read(fd, file) == 0 && cache_data_start(file->size) > len)
        abort();
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *text = size ? strndup((const char *)data + 1, size - 1) : NULL;
    Digest digest;

    if (!text)
        return 0;
    switch ((uint8_t)(data[0] - '0') % 5) {
    case 0: header((const char *)data + 1, size - 1); break;
    case 1: url(text); break;
    case 2:
        digest_find(text, "a.img", &digest, NULL);
        digest_parse(text, &digest, NULL);
        break;
    case 3: signature(text, strlen(text)); break;
    default: cache_file((const char *)data + 1, size - 1); break;
    }
    return 0;
}
