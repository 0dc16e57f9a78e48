/*
 * nbd_names.c - fuzz target: any text as the name of an NBD export; what is understood survives a
 * round trip through the URI that stands for it.
 */
#include <stdlib.h>
#include <string.h>

#include "block/nbd/address.h"

static char *uri_of(const char *name)
{
    AUTO_OPTIONS Options *o = options_new();
    NbdAddress address = { 0 };
    char *uri = NULL;

    if (nbd_name_parse(name, o, NULL) == 0 && nbd_address_take(&address, o, NULL) == 0) {
        const char *export = options_peek(o, "export");

        uri = nbd_uri(&address, export ? export : "", options_peek(o, "tls"));
    }
    nbd_address_free(&address);
    return uri;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *name = malloc(size + 1);

    if (!name)
        return 0;
    memcpy(name, data, size);
    name[size] = 0;
    AUTO_FREE char *first = uri_of(name);
    AUTO_FREE char *second = first ? uri_of(first) : NULL;
    if (first && (!second || strcmp(first, second) != 0))
        abort();
    return 0;
}
