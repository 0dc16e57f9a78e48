/*
 * serve-list.c - img-tool serve --list: what another server offers, as qemu-nbd prints it.
 */
#include <inttypes.h>

#include "block/nbd/handshake.h"
#include "img-tool/serve.h"

enum { LIST_MS = 30000 };

static void print_flags(uint16_t flags)
{
    static const char *const names[] = { NULL,         "readonly", "flush",  "fua",
                                         "rotational", "trim",     "zeroes", "df",
                                         "multi",      "resize",   "cache",  "fast-zero" };

    printf("  flags: 0x%x (", flags);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i] && flags & 1U << i)
            printf(" %s", names[i]);
    puts(" )");
}

static void print_export(const NbdExport *e)
{
    printf(" export: '%s'\n", e->name);
    if (e->description && *e->description)
        printf("  description: %s\n", e->description);
    if (e->flags & NBD_FLAG_HAS_FLAGS) {
        printf("  size:  %" PRIu64 "\n", e->size);
        print_flags(e->flags);
    }
    if (e->has_blocks) {
        printf("  min block: %" PRIu32 "\n", e->min_block);
        printf("  opt block: %" PRIu32 "\n", e->preferred_block);
        printf("  max block: %" PRIu32 "\n", e->max_block);
    }
    if (e->n_contexts) {
        printf("  available meta contexts: %zu\n", e->n_contexts);
        for (size_t i = 0; i < e->n_contexts; i++)
            printf("   %s\n", e->contexts[i]);
    }
}

static int ask(const Serve *s, NbdExport **list, size_t *count, Error **err)
{
    const char *host = s->tls_hostname ? s->tls_hostname : s->address.host;
    NbdWant want = { .export = "", .tls = s->tls, .hostname = host };
    int fd, ret = nbd_connect(&s->address, LIST_MS, &fd, err);
    NbdChannel *ch = ret == 0 ? nbd_channel_new(fd) : NULL;

    if (!ch)
        return ret < 0 ? ret : error_set(err, -1, "no memory for a connection");
    nbd_channel_set_deadline(ch, LIST_MS);
    ret = nbd_list(ch, &want, list, count, err);
    nbd_channel_free(ch);
    return ret;
}

int serve_list(Serve *s)
{
    Error *err = NULL;
    NbdExport *list;
    size_t count;
    int ret = ask(s, &list, &count, &err);

    if (ret < 0)
        return fail(err, ret);
    printf("exports available: %zu\n", count);
    for (size_t i = 0; i < count; i++)
        print_export(&list[i]);
    nbd_exports_free(list, count);
    return 0;
}
