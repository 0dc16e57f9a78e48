/*
 * cache.c - img-tool cache: what the cache of remote images holds, and how to empty it.
 */
#include "img-tool/cmd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "block/cache-disk.h"

static void print_file(const CacheFile *f)
{
    char cached[SIZE_TEXT], size[SIZE_TEXT], date[32];
    time_t used = (time_t)(f->used ? f->used : f->checked);
    struct tm tm;

    strftime(date, sizeof(date), "%Y-%m-%d", localtime_r(&used, &tm));
    printf("%10s of %10s  %s  %s\n", size_format(f->cached, cached), size_format(f->size, size),
           date, *f->name ? f->name : "(damaged)");
}

static void json_file(JsonWriter *w, const CacheFile *f)
{
    jw_begin_object(w);
    jw_put_string(w, "url", f->name);
    jw_put_u64(w, "size", f->size);
    jw_put_u64(w, "cached", f->cached);
    jw_put_u64(w, "disk", f->disk);
    jw_put_u64(w, "checked", f->checked);
    jw_put_u64(w, "used", f->used);
    jw_end_object(w);
}

static void print_json(const CacheFile *files, size_t n)
{
    JsonWriter w;

    jw_init(&w, stdout, 4);
    jw_begin_array(&w);
    for (size_t i = 0; i < n; i++)
        json_file(&w, &files[i]);
    jw_end_array(&w);
    putchar('\n');
}

/* The one used last first. */
static int by_use(const void *a, const void *b)
{
    const CacheFile *fa = a, *fb = b;

    if (fa->used != fb->used)
        return fa->used < fb->used ? 1 : -1;
    return strcmp(fa->name, fb->name);
}

static int list(bool json)
{
    AUTO_FREE CacheFile *files = NULL;
    Error *err = NULL;
    uint64_t limit;
    size_t n;
    int ret = cache_limit(&limit, &err);

    if (ret == 0)
        ret = cache_list(&files, &n, &err);
    if (ret < 0)
        return fail(err, ret);
    if (n)
        qsort(files, n, sizeof(*files), by_use);
    if (json)
        print_json(files, n);
    for (size_t i = 0; i < n && !json; i++)
        print_file(&files[i]);
    return 0;
}

static int size(bool json)
{
    AUTO_FREE CacheFile *files = NULL;
    AUTO_FREE char *folder = NULL;
    char now[SIZE_TEXT], most[SIZE_TEXT];
    uint64_t limit, disk = 0;
    Error *err = NULL;
    size_t n = 0;
    int ret = cache_limit(&limit, &err);

    if (ret == 0)
        ret = cache_list(&files, &n, &err);
    folder = ret == 0 ? cache_folder(&err) : NULL;
    if (!folder)
        return fail(err, ret ? ret : -ENOENT);
    for (size_t i = 0; i < n; i++)
        disk += files[i].disk;
    if (!json) {
        printf("%s of at most %s, %zu files, in %s\n", size_format(disk, now),
               size_format(limit, most), n, folder);
        return 0;
    }
    JsonWriter w;
    jw_init(&w, stdout, 4);
    jw_begin_object(&w);
    jw_put_string(&w, "folder", folder);
    jw_put_u64(&w, "disk", disk);
    jw_put_u64(&w, "limit", limit);
    jw_put_u64(&w, "files", n);
    jw_end_object(&w);
    putchar('\n');
    return 0;
}

/* Everything, or the files with this URL (several users may have one each). */
static int clear(const char *url)
{
    AUTO_FREE CacheFile *files = NULL;
    Error *err = NULL;
    size_t n = 0, found = 0;
    int ret = url ? cache_list(&files, &n, &err) : cache_clear(NULL, &err);

    for (size_t i = 0; i < n && ret == 0; i++) {
        if (strcmp(files[i].name, url) != 0)
            continue;
        found++;
        ret = cache_clear(files[i].key, &err);
    }
    if (ret < 0)
        return fail(err, ret);
    if (url && !found) {
        complain("the cache has nothing of '%s'", url);
        return 1;
    }
    return 0;
}

int cmd_cache(int argc, char **argv)
{
    static const struct option long_options[] = { COMMON_LONG_OPTIONS, { 0 } };
    const Command *cmd = command_find("cache");
    Common common = { 0 };
    int opt, code;

    while ((opt = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (common_option(&common, cmd, opt, &code) < 0)
            return code;
    }
    const char *what = optind < argc ? argv[optind] : "list";
    const char *url = optind + 1 < argc ? argv[optind + 1] : NULL;
    if (optind + (strcmp(what, "clear") == 0 ? 2 : 1) < argc)
        return usage_error(cmd, "too many arguments");
    if (strcmp(what, "list") == 0)
        return list(common.json);
    if (strcmp(what, "size") == 0)
        return size(common.json);
    if (strcmp(what, "clear") == 0)
        return clear(url);
    return usage_error(cmd, "'%s' is none of list, size and clear", what);
}
