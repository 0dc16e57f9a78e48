/*
 * curl.c - see curl.h.
 */
#include "block/http/curl.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

static CurlApi api;
static char failure[256]; /* empty: loaded */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const struct {
    const char *name;
    size_t at;
} functions[] = {
#define FUNCTION(name)                                                                             \
    {                                                                                              \
        "curl_" #name, offsetof(CurlApi, name)                                                     \
    }
    FUNCTION(global_init),      FUNCTION(easy_init),      FUNCTION(easy_cleanup),
    FUNCTION(easy_setopt),      FUNCTION(easy_getinfo),   FUNCTION(easy_strerror),
    FUNCTION(multi_init),       FUNCTION(multi_cleanup),  FUNCTION(multi_setopt),
    FUNCTION(multi_add_handle), FUNCTION(multi_perform),  FUNCTION(multi_remove_handle),
    FUNCTION(multi_poll),       FUNCTION(multi_wakeup),   FUNCTION(slist_append),
    FUNCTION(multi_info_read),  FUNCTION(slist_free_all),
#undef FUNCTION
};

static void *open_library(void)
{
    static const char *const names[] = { "libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.so" };
    void *lib = NULL;

    for (size_t i = 0; i < ARRAY_LEN(names) && !lib; i++)
        lib = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return lib;
}

static void load(void)
{
    void *lib = open_library();

    if (!lib) {
        snprintf(failure, sizeof(failure), "libcurl cannot be loaded: %s", dlerror());
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        void *f = dlsym(lib, functions[i].name);

        if (!f) {
            snprintf(failure, sizeof(failure), "this libcurl is too old: it has no %s()",
                     functions[i].name);
            return;
        }
        memcpy((char *)&api + functions[i].at, &f, sizeof(f));
    }
    if (api.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        snprintf(failure, sizeof(failure), "libcurl cannot be initialised");
}

const CurlApi *curl_load(Error **err)
{
    pthread_once(&once, load);
    if (*failure) {
        error_set(err, -ENOTSUP, "%s", failure);
        return NULL;
    }
    return &api;
}
