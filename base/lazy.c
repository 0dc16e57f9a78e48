/*
 * lazy.c - see lazy.h.
 */
#include "base/lazy.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LIBRARIES = 4 };

static void *libraries[MAX_LIBRARIES];
static pthread_once_t loaded = PTHREAD_ONCE_INIT;

/* There is no way back to a caller that believes in its library. */
static void give_up(const char *what)
{
    fprintf(stderr, "cannot load a library: %s\n", what);
    exit(EXIT_FAILURE);
}

static void load(void)
{
    const char *name = lazy_libraries;

    for (int i = 0; *name && i < MAX_LIBRARIES; i++, name += strlen(name) + 1) {
        libraries[i] = dlopen(name, RTLD_NOW | RTLD_LOCAL);
        if (!libraries[i])
            give_up(dlerror());
    }
}

void *lazy_resolve(unsigned long index)
{
    const char *name = lazy_names;
    void *address = NULL;

    pthread_once(&loaded, load);
    for (unsigned long i = 0; i < index; i++)
        name += strlen(name) + 1;
    for (int i = 0; i < MAX_LIBRARIES && libraries[i] && !address; i++)
        address = dlsym(libraries[i], name);
    if (!address)
        give_up(name);
    __atomic_store_n(&lazy_slots[index], address, __ATOMIC_RELEASE);
    return address;
}
