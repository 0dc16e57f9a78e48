/*
 * qcow2_crash.c - a writer is cut off at every write in turn; what is then on disk must be a good
 * image with all flushed data.
 *
 * A workload runs over the writelog filter. For each length of the log an image is made from
 * everything up to the last flush and, of what came after it, all or a random part in random order.
 * Each such image must check without corruption (leaks are allowed), each sector must hold what it
 * held at the last completed guest flush or something written since, and each snapshot what it was
 * taken of.
 *
 * The same for repairs of damaged images: after a second one, nothing is lost that was not damaged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/iov.h"
#include "base/math.h"
#include "block/bitmap.h"
#include "block/writelog.h"
#include "tests/unit/scratch.h"

enum {
    SECTOR = 512,
    SECTORS = 1200,
    DISK = SECTORS * SECTOR,
    OPS = 90,
    MAX_SNAPS = 4,
    MAX_MAPS = 3
};

typedef struct {
    const char *what, *options;
    bool backing, snapshots;
    bool packed;  /* compressed writes, too; clusters of 1k */
    bool resizes; /* the end comes and goes */
    bool bitmaps; /* dirty bitmaps are added, cleared, merged, removed; always of 512 bytes */
    bool amends;  /* version, width of the counts and laziness change */
} Case;

static const Case cases[] = {
    { "512 byte clusters", "cluster_size=512", false, false, false, false, false, false },
    { "overlay", "cluster_size=4k", true, false, false, true, false, false },
    { "64 bit counts, snapshots", "cluster_size=512,refcount_bits=64", false, true, false, false,
      false, false },
    { "snapshots of an overlay", "cluster_size=1k,refcount_bits=8", true, true, true, false, false,
      false },
    { "version 2", "cluster_size=1k,compat=0.10", false, true, true, false, false, false },
    { "lazy refcounts", "cluster_size=1k,lazy_refcounts=on", true, true, true, false, false,
      false },
    { "compressed", "cluster_size=1k", false, false, true, true, false, false },
    { "bitmaps", "cluster_size=512", false, false, false, false, true, false },
    { "bitmaps, resizes", "cluster_size=512", false, true, false, true, true, false },
    { "amended overlay", "cluster_size=512", true, true, false, false, false, true },
    { "amended", "cluster_size=1k", false, true, true, false, false, true },
    { "subclusters", "cluster_size=16k,extended_l2=on", true, false, false, true, false, false },
    { "subclusters, snapshots", "cluster_size=16k,extended_l2=on,refcount_bits=8", true, true,
      false, false, false, false },
    { "subclusters, preallocated, lazy refcounts",
      "cluster_size=32k,extended_l2=on,preallocation=metadata,lazy_refcounts=on", true, true, false,
      false, false, false },
};

/* A sector's content is one number, repeated; 0 is zeros, 1 the backing file. */
typedef uint32_t Value;

typedef struct {
    size_t log_end; /* bytes of the log when the operation had returned */
    bool flush;
    Value now[SECTORS];    /* the disk after it */
    int kept;              /* sectors that a resize left in place; 0: there was none */
    int base[MAX_MAPS];    /* since which operation each bitmap has all changes; 0: there is none */
    bool touched[SECTORS]; /* the operation may have changed the sector, in parts or whole */
} Op;

typedef struct {
    const Case *c;
    char dir[SCRATCH_DIR], path[SCRATCH_PATH], log_path[SCRATCH_PATH], crash[SCRATCH_PATH];
    Node *node;
    Op *ops;
    int op_count;
    Value snaps[MAX_SNAPS][SECTORS];
    uint8_t *start, *log;
    size_t start_len, log_len;
    const struct Damage *damage; /* what is repaired */
    bool dirty[MAX_MAPS][SECTORS];
} Run;

static unsigned seed;

static int rnd(int n)
{
    return rand() % n;
}

static void ok(int ret, Error *err, const char *what)
{
    if (ret < 0)
        fail_msg("seed %u: %s: %s", seed, what, error_message(err, ret));
    error_free(err);
}

static void fill(void *buf, Value v)
{
    for (int i = 0; i < SECTOR / 4; i++)
        memcpy((uint8_t *)buf + 4 * i, &v, 4);
}

static void read_disk(Node *node, Value *values, const char *what)
{
    AUTO_FREE uint8_t *buf = calloc(1, DISK);

    /* a crash between shrinking and growing leaves a short disk */
    ok(node_pread(node, buf, MIN(node_size(node), (uint64_t)DISK), 0), NULL, what);
    for (int i = 0; i < SECTORS; i++) {
        memcpy(&values[i], buf + i * SECTOR, 4);
        if (memcmp(buf + i * SECTOR, buf + i * SECTOR + 4, SECTOR - 4) != 0)
            fail_msg("seed %u: %s: sector %d is torn", seed, what, i);
    }
}

static uint8_t *load(const char *path, size_t *len)
{
    struct stat st;
    int fd = open(path, O_RDONLY);

    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    uint8_t *buf = malloc((size_t)st.st_size + 1);
    assert_int_equal(read(fd, buf, (size_t)st.st_size), st.st_size);
    close(fd);
    *len = (size_t)st.st_size;
    return buf;
}

/* ---- the workload -------------------------------------------------------------------------- */

/* Whole clusters; also what was only touched by the attempt above counts as touched */
static void do_packed(Run *r, Op *op, Value id)
{
    int per = 1024 / SECTOR, first = rnd(SECTORS / per - 4) * per, n = (1 + rnd(4)) * per;
    uint8_t buf[4 * 1024];

    for (int i = 0; i < n; i++) {
        fill(buf + i * SECTOR, id);
        op->touched[first + i] = true;
    }
    ok(node_pwrite_compressed(r->node, buf, (size_t)n * SECTOR, (uint64_t)first * SECTOR), NULL,
       "compressed write");
}

static void do_data(Run *r, Op *op, Value id)
{
    int first = rnd(SECTORS), n = MIN(1 + rnd(rnd(3) ? 6 : 60), SECTORS - first), kind = rnd(8);
    AUTO_FREE uint8_t *buf = malloc((size_t)n * SECTOR);
    uint64_t off = (uint64_t)first * SECTOR, len = (uint64_t)n * SECTOR;

    for (int i = 0; i < n; i++) {
        fill(buf + i * SECTOR, id);
        op->touched[first + i] = true;
    }
    if (kind == 2 && r->c->packed) {
        do_packed(r, op, id);
        return;
    }
    if (kind == 0)
        ok(node_pwrite_zeroes(r->node, off, len, rnd(2) ? REQ_MAY_UNMAP : 0), NULL, "zeroes");
    else if (kind == 1)
        ok(node_discard(r->node, off, len), NULL, "discard");
    else
        ok(node_pwrite(r->node, buf, len, off), NULL, "write");
}

static bool have_snapshot(Run *r, const char *name)
{
    SnapshotInfo *list;
    size_t n;
    bool found = false;

    ok(node_snapshot_list(r->node, &list, &n, NULL), NULL, "list");
    for (size_t i = 0; i < n; i++)
        found |= strcmp(list[i].name, name) == 0;
    snapshot_list_free(list, n);
    return found;
}

static void do_snapshot(Run *r, Op *op)
{
    char name[8];
    SnapshotInfo info = { .name = name };
    int which = rnd(MAX_SNAPS);
    Error *err = NULL;

    snprintf(name, sizeof(name), "s%d", which);
    if (have_snapshot(r, name)) {
        if (rnd(2)) {
            memset(op->touched, 1, sizeof(op->touched));
            ok(node_snapshot_apply(r->node, name, &err), err, "apply");
        } else {
            ok(node_snapshot_delete(r->node, name, &err), err, "delete");
        }
    } else if (!r->snaps[which][0]) { /* each name once: its content never changes */
        read_disk(r->node, r->snaps[which], "read");
        ok(node_snapshot_create(r->node, &info, &err), err, "snapshot");
        r->snaps[which][0] |= UINT32_C(1) << 31; /* taken */
    }
}

/* A shrunk disk is made long again at once: the sectors of its end are zeros then. */
static void do_resize(Run *r, Op *op)
{
    int first = SECTORS - 1 - rnd(SECTORS / 2);
    Error *err = NULL;

    op->kept = first;

    for (int i = first; i < SECTORS; i++)
        op->touched[i] = true;
    ok(node_resize(r->node, (uint64_t)first * SECTOR, PREALLOC_OFF, true, &err), err, "shrink");
    ok(node_resize(r->node, DISK, PREALLOC_OFF, true, &err), err, "grow");
}

/* Merging stores what all bitmaps have recorded: they are good on disk then. */
static void do_bitmap(Run *r, Op *op, Value id)
{
    int which = rnd(MAX_MAPS), other = rnd(MAX_MAPS), *base = &op->base[which];
    char name[8], source[8];
    Error *err = NULL;

    snprintf(name, sizeof(name), "b%d", which);
    snprintf(source, sizeof(source), "b%d", other);
    if (*base == 0) {
        ok(node_bitmap_add(r->node, name, SECTOR, true, &err), err, "add");
        *base = (int)id - 1;
    } else if (rnd(4) == 0) {
        ok(node_bitmap_remove(r->node, name, &err), err, "remove");
        *base = 0;
    } else if (rnd(3) == 0) {
        ok(node_bitmap_clear(r->node, name, &err), err, "clear");
        *base = (int)id - 1;
    } else if (op->base[other]) {
        ok(node_bitmap_merge(r->node, name, r->node, source, &err), err, "merge");
    }
}

static void do_amend(Run *r)
{
    static const char *const changes[] = {
        "refcount_bits=64,compat=1.1",
        "refcount_bits=32,lazy_refcounts=on,compat=1.1",
        "refcount_bits=16,lazy_refcounts=off",
        "compat=0.10,refcount_bits=16,lazy_refcounts=off",
        "compat=1.1",
    };
    Options *o = options_new();
    Error *err = NULL;

    options_parse(o, changes[rnd(ARRAY_LEN(changes))], NULL, NULL);
    ok(node_amend(r->node, o, false, NULL, &err), err, "amend");
}

static void do_op(Run *r, Op *op, Value id)
{
    struct stat st;
    int kind = rnd(10);

    memcpy(op->base, op[-1].base, sizeof(op->base));
    if (r->c->bitmaps && rnd(4) == 0) {
        do_bitmap(r, op, id);
    } else if (r->c->amends && rnd(6) == 0) {
        do_amend(r);
    } else if (kind == 0) {
        ok(node_flush(r->node), NULL, "flush");
        op->flush = true;
    } else if (kind == 1 && r->c->snapshots) {
        do_snapshot(r, op);
    } else if (kind == 2 && r->c->resizes && rnd(2)) {
        do_resize(r, op);
    } else {
        do_data(r, op, id);
    }
    read_disk(r->node, op->now, "read back");
    assert_int_equal(stat(r->log_path, &st), 0);
    op->log_end = (size_t)st.st_size;
}

static void open_logged(Run *r, unsigned flags)
{
    Options *o = options_new();
    Error *err = NULL;

    options_set(o, "driver", "qcow2");
    options_set(o, "file.driver", "writelog");
    options_set(o, "file.log", r->log_path);
    options_set(o, "file.file.filename", r->path);
    ok(node_open(NULL, NULL, o, OPEN_RDWR | OPEN_NO_FLUSH | flags, &r->node, &err), err, "open");
}

static void prepare(Run *r)
{
    AUTO_FREE uint8_t *buf = malloc(DISK);
    Options *o = options_new();
    char base[SCRATCH_PATH];
    Node *node;

    options_parse(o, r->c->options, NULL, NULL);
    options_set_u64(o, "size", DISK);
    if (r->c->backing) {
        Options *b = options_new();

        scratch_path(base, r->dir, "base");
        options_set_u64(b, "size", DISK);
        ok(node_create(base, "raw", b, 0, NULL, NULL), NULL, "create base");
        ok(node_open(base, "raw", NULL, OPEN_RDWR, &node, NULL), NULL, "open base");
        for (int i = 0; i < SECTORS; i++)
            fill(buf + i * SECTOR, 1);
        ok(node_pwrite(node, buf, DISK, 0), NULL, "write base");
        node_unref(node);
        options_set(o, "backing_file", base);
        options_set(o, "backing_fmt", "raw");
    }
    ok(node_create(r->path, "qcow2", o, 0, NULL, NULL), NULL, "create");
    r->start = load(r->path, &r->start_len);
}

static void run_workload(Run *r)
{
    prepare(r);
    open_logged(r, OPEN_UNMAP);
    r->ops = calloc(OPS + 1, sizeof(*r->ops));
    r->ops[0].flush = true; /* the image as it was made */
    read_disk(r->node, r->ops[0].now, "read new image");
    for (r->op_count = 1; r->op_count <= OPS; r->op_count++)
        do_op(r, &r->ops[r->op_count], (Value)r->op_count + 1);
    node_unref(r->node);
    r->log = load(r->log_path, &r->log_len);
}

/* ---- the crashes --------------------------------------------------------------------------- */

typedef struct {
    uint8_t *bytes;
    size_t len, room;
} Disk;

static void disk_grow(Disk *d, size_t len)
{
    if (len > d->room) {
        d->bytes = realloc(d->bytes, 2 * len);
        memset(d->bytes + d->room, 0, 2 * len - d->room);
        d->room = 2 * len;
    }
    d->len = MAX(d->len, len);
}

static WritelogEntry entry_at(const Run *r, size_t at)
{
    WritelogEntry e;

    memcpy(&e, r->log + at, sizeof(e));
    return e;
}

static size_t entry_end(const Run *r, size_t at)
{
    WritelogEntry e = entry_at(r, at);

    return at + sizeof(e) + (e.kind == WRITELOG_WRITE ? e.len : 0);
}

static void apply(const Run *r, Disk *d, size_t at)
{
    WritelogEntry e = entry_at(r, at);

    if (e.kind == WRITELOG_FLUSH)
        return;
    if (e.kind == WRITELOG_RESIZE) {
        if (e.off < d->len)
            memset(d->bytes + e.off, 0, d->len - e.off);
        d->len = MIN(d->len, e.off);
        disk_grow(d, e.off);
        return;
    }
    if (e.kind == WRITELOG_DISCARD && e.off >= d->len)
        return;
    if (e.kind == WRITELOG_DISCARD)
        e.len = MIN(e.len, d->len - e.off);
    disk_grow(d, e.off + e.len);
    if (e.kind == WRITELOG_WRITE)
        memcpy(d->bytes + e.off, r->log + at + sizeof(e), e.len);
    else
        memset(d->bytes + e.off, 0, e.len);
}

/* What the guest may find, given how much of the log was performed. */
static void check_content(const Run *r, Node *node, size_t cut)
{
    Value found[SECTORS];
    int flushed = 0, running;

    for (int i = 0; i < r->op_count; i++)
        if (r->ops[i].flush && r->ops[i].log_end <= cut)
            flushed = i;
    for (running = flushed; running + 1 < r->op_count && r->ops[running].log_end < cut;)
        running++;
    read_disk(node, found, "read after crash");
    for (int s = 0; s < SECTORS; s++) {
        bool good = found[s] == r->ops[flushed].now[s];

        for (int i = flushed + 1; i <= running && !good; i++)
            good = found[s] == r->ops[i].now[s] ||
                   (r->ops[i].touched[s] && (found[s] <= 1 || found[s] == (Value)i + 1));
        if (!good)
            fail_msg("seed %u, %s: cut at %zu: sector %d holds %u, flushed (op %d) was %u", seed,
                     r->c->what, cut, s, found[s], flushed, r->ops[flushed].now[s]);
    }
}

static void check_snapshots(const Run *r)
{
    SnapshotInfo *list;
    size_t n;
    Node *node;

    ok(node_open(r->crash, "qcow2", NULL, 0, &node, NULL), NULL, "open for snapshots");
    ok(node_snapshot_list(node, &list, &n, NULL), NULL, "list after crash");
    for (size_t i = 0; i < n; i++) {
        const Value *want = r->snaps[atoi(list[i].name + 1)];
        Value found[SECTORS];

        ok(node_snapshot_load(node, list[i].name, NULL), NULL, "load after crash");
        read_disk(node, found, "read snapshot after crash");
        found[0] |= UINT32_C(1) << 31;
        if (memcmp(found, want, sizeof(found)) != 0)
            fail_msg("seed %u, %s: snapshot %s differs", seed, r->c->what, list[i].name);
    }
    snapshot_list_free(list, n);
    node_unref(node);
}

/*
 * A bitmap that is not marked as inconsistent has all that changed since it was made or cleared,
 * as far as it reached the disk.
 */
static void check_bitmap(const Run *r, Node *node, int which, size_t cut)
{
    int running = 0;
    Value found[SECTORS];
    BitmapInfo info;
    char name[8];

    while (running + 1 < r->op_count && r->ops[running].log_end < cut)
        running++;
    int base = r->ops[running].base[which];
    snprintf(name, sizeof(name), "b%d", which);
    if (base == 0 || node_bitmap_find(node, name, &info, NULL) < 0 || info.inconsistent)
        return;
    read_disk(node, found, "read for the bitmap");
    int end = SECTORS; /* what was cut off and grown again is no change */
    for (int i = base; i <= running; i++)
        end = r->ops[i].kept ? MIN(end, r->ops[i].kept) : end;
    for (int s = 0; s < end && (uint64_t)s * SECTOR < node_size(node); s++) {
        uint64_t run;
        bool dirty;

        ok(node_bitmap_extent(node, name, (uint64_t)s * SECTOR, SECTOR, &dirty, &run), NULL,
           "bitmap after crash");
        if (found[s] != r->ops[base].now[s] && !dirty)
            fail_msg("seed %u, %s: cut at %zu: %s has lost the change of sector %d", seed,
                     r->c->what, cut, name, s);
    }
}

static void check_bitmaps(const Run *r, size_t cut)
{
    Error *err = NULL;
    Node *node;

    ok(node_open(r->crash, "qcow2", NULL, OPEN_RDWR | OPEN_NO_FLUSH, &node, &err), err,
       "open for bitmaps");
    for (int i = 0; i < MAX_MAPS; i++)
        check_bitmap(r, node, i, cut);
    node_unref(node);
}

/* A flag that is missing only makes a write copy needlessly; a crash between count and flag leaves
 * it */
static void print_line(void *opaque, const char *line)
{
    uint64_t *harmless = opaque;

    if (strncmp(line, "ERROR OFLAG_COPIED", 18) == 0 && strstr(line, "refcount=1"))
        ++*harmless;
    else if (strncmp(line, "Leaked", 6) != 0)
        printf("# %s\n", line);
}

/* After a repair nothing at all is wrong, and the content is as it was. */
static void repair(const Run *r, size_t cut)
{
    CheckResult result;
    Error *err = NULL;
    Node *node;

    ok(node_open(r->crash, "qcow2", NULL, OPEN_NO_FLUSH | OPEN_RDWR | OPEN_CHECK, &node, &err), err,
       "open for repair");
    ok(node_check(node, CHECK_FIX_LEAKS | CHECK_FIX_ERRORS, NULL, NULL, &result, &err), err,
       "repair");
    ok(node_check(node, 0, NULL, NULL, &result, &err), err, "check after repair");
    if (result.corruptions || result.leaks || result.check_errors)
        fail_msg("seed %u, %s: cut at %zu: not clean after a repair", seed, r->c->what, cut);
    check_content(r, node, cut);
    node_unref(node);
    if (r->c->snapshots)
        check_snapshots(r);
}

static void write_crash(const Run *r, const Disk *d)
{
    int fd = open(r->crash, O_RDWR | O_CREAT | O_TRUNC, 0600);

    assert_int_equal(write(fd, d->bytes, d->len), d->len);
    close(fd);
}

static void survive(const Run *r, const Disk *d, size_t cut)
{
    bool lazy = strstr(r->c->options, "lazy") || r->c->amends;
    uint64_t harmless = 0;
    CheckResult result;
    Error *err = NULL;
    Node *node;

    write_crash(r, d);
    /* opening for writing repairs an image that was not closed cleanly */
    ok(node_open(r->crash, "qcow2", NULL, OPEN_NO_FLUSH | (lazy ? OPEN_RDWR : 0), &node, &err), err,
       "open after crash");
    ok(node_check(node, 0, print_line, &harmless, &result, &err), err, "check after crash");
    if (result.corruptions != harmless || result.check_errors)
        fail_msg("seed %u, %s: cut at %zu: %llu corruptions", seed, r->c->what, cut,
                 (unsigned long long)result.corruptions);
    check_content(r, node, cut);
    node_unref(node);
    if (r->c->snapshots)
        check_snapshots(r);
    if (r->c->bitmaps)
        check_bitmaps(r, cut);
    repair(r, cut);
}

typedef void Survive(const Run *r, const Disk *d, size_t cut);

static void crash_at(const Run *r, const Disk *stable, const size_t *loose, int n, size_t cut,
                     Survive *check)
{
    for (int part = 0; part < 2; part++) {
        Disk d = { 0 };

        disk_grow(&d, stable->len);
        memcpy(d.bytes, stable->bytes, stable->len);
        if (part == 0)
            for (int i = 0; i < n; i++)
                apply(r, &d, loose[i]);
        else /* any half of them, in any order */
            for (int i = 0; i < n / 2 + 1 && n; i++)
                apply(r, &d, loose[rnd(n)]);
        check(r, &d, cut);
        free(d.bytes);
    }
}

static void crash_everywhere(const Run *r, Survive *check)
{
    AUTO_FREE size_t *loose = malloc(r->log_len / sizeof(WritelogEntry) * sizeof(*loose));
    Disk stable = { 0 };
    int n = 0, cuts = 0;

    disk_grow(&stable, r->start_len);
    memcpy(stable.bytes, r->start, r->start_len);
    for (size_t at = 0; at < r->log_len; at = entry_end(r, at)) {
        loose[n++] = at;
        if (entry_at(r, at).kind == WRITELOG_FLUSH) {
            for (int i = 0; i < n; i++)
                apply(r, &stable, loose[i]);
            n = 0;
        }
        crash_at(r, &stable, loose, n, entry_end(r, at), check);
        cuts++;
    }
    free(stable.bytes);
    printf("# %s: %d cuts\n", r->c->what, cuts);
}

static void run_begin(Run *r, const Case *c)
{
    *r = (Run) { .c = c };
    assert_true(scratch_make(r->dir, "qcow2_crash"));
    scratch_path(r->path, r->dir, "image");
    scratch_path(r->log_path, r->dir, "log");
    scratch_path(r->crash, r->dir, "crash");
}

static void run_end(Run *r)
{

    free(r->ops);
    free(r->log);
    free(r->start);
    assert_int_equal(scratch_remove(r->dir, 0), 0);
}

static void run_case(const Case *c)
{
    Run r;

    run_begin(&r, c);
    run_workload(&r);
    crash_everywhere(&r, survive);
    run_end(&r);
}

static void images_survive_crashes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        run_case(&cases[i]);
}

/* ---- repairs ------------------------------------------------------------------------------- */

enum { REPAIR_SNAPS = 3, TABLE_SECTORS = 64, LAST_TABLE = 5 };

/* What a repair may not bring back: bits by number of the snapshot or bitmap, or the L2 table */
typedef struct Damage {
    const char *what;
    void (*make)(int fd);
    unsigned snaps, maps;
    bool table;
} Damage;

static uint64_t get_at(int fd, uint64_t off, size_t bytes)
{
    uint8_t b[8] = { 0 };
    uint64_t value = 0;

    assert_int_equal(pread(fd, b, bytes, (off_t)off), bytes);
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | b[i];
    return value;
}

static void put_at(int fd, uint64_t off, size_t bytes, uint64_t value)
{
    uint8_t b[8];

    for (size_t i = bytes; i-- > 0; value >>= 8)
        b[i] = (uint8_t)value;
    assert_int_equal(pwrite(fd, b, bytes, (off_t)off), bytes);
}

static uint64_t snapshot_entry(int fd, int which)
{
    uint64_t at = get_at(fd, 64, 8);

    while (which--)
        at += align_up(
            40 + get_at(fd, at + 12, 2) + get_at(fd, at + 14, 2) + get_at(fd, at + 36, 4), 8);
    return at;
}

static uint64_t bitmaps_extension(int fd)
{
    uint64_t at = get_at(fd, 100, 4);

    while (get_at(fd, at, 4) != 0x23852875)
        at += 8 + align_up(get_at(fd, at + 4, 4), 8);
    return at + 8;
}

static uint64_t bitmap_entry(int fd, int which)
{
    uint64_t at = get_at(fd, bitmaps_extension(fd) + 16, 8);

    while (which--)
        at += align_up(24 + get_at(fd, at + 18, 2) + get_at(fd, at + 20, 4), 8);
    return at;
}

static void unaligned_snapshot(int fd)
{
    put_at(fd, snapshot_entry(fd, 0), 8, 777);
}

static void far_snapshot(int fd)
{
    put_at(fd, snapshot_entry(fd, 1), 8, UINT64_C(1) << 40);
}

static void overlapping_snapshot(int fd)
{
    put_at(fd, snapshot_entry(fd, 1), 8, get_at(fd, 40, 8));
}

static void endless_snapshot(int fd)
{
    put_at(fd, snapshot_entry(fd, 2) + 36, 4, UINT32_MAX);
}

static void no_snapshots(int fd)
{
    put_at(fd, 64, 8, 13);
}

static void far_refcounts(int fd)
{
    put_at(fd, 48, 8, UINT64_C(1) << 40);
}

static void no_refblock(int fd)
{
    put_at(fd, get_at(fd, 48, 8), 8, 0);
}

static void bad_l1_size(int fd)
{
    put_at(fd, 36, 4, 0);
}

static void far_table(int fd)
{
    put_at(fd, get_at(fd, 40, 8) + 8 * LAST_TABLE, 8, UINT64_C(1) << 40);
}

static void strange_bitmap(int fd)
{
    put_at(fd, bitmap_entry(fd, 0) + 16, 1, 9);
}

static void lost_bits(int fd)
{
    put_at(fd, get_at(fd, bitmap_entry(fd, 1), 8), 8, UINT64_C(1) << 60);
}

static void miscounted_bitmaps(int fd)
{
    put_at(fd, bitmaps_extension(fd), 4, 2);
}

static void no_directory(int fd)
{
    put_at(fd, bitmaps_extension(fd) + 16, 8, 5);
}

static void many_things(int fd)
{
    unaligned_snapshot(fd);
    strange_bitmap(fd);
    lost_bits(fd);
    far_refcounts(fd);
    far_table(fd);
    bad_l1_size(fd);
}

static const Damage damages[] = {
    { "a snapshot's table is not aligned", unaligned_snapshot, 1 << 0, 0, false },
    { "a snapshot's table lies far away", far_snapshot, 1 << 1, 0, false },
    { "a snapshot's table is the disk's", overlapping_snapshot, 1 << 1, 0, false },
    { "a snapshot's entry has no end", endless_snapshot, 1 << 2, 0, false },
    { "there is no snapshot table", no_snapshots, 7, 0, false },
    { "the refcount table lies far away", far_refcounts, 0, 0, false },
    { "a refcount block is missing", no_refblock, 0, 0, false },
    { "the L1 table has no length", bad_l1_size, 0, 0, false },
    { "an L2 table lies far away", far_table, 0, 0, true },
    { "a bitmap has no type", strange_bitmap, 0, 1 << 0, false },
    { "a bitmap has lost bits", lost_bits, 0, 1 << 1, false },
    { "there are more bitmaps than said", miscounted_bitmaps, 0, 0, false },
    { "there is no directory of bitmaps", no_directory, 0, 7, false },
    { "many things", many_things, 1 << 0, 3, true },
};

/* Good bits of a bitmap that can be trusted; false: there is no such bitmap. */
static bool read_bits(Node *node, int which, bool *dirty)
{
    BitmapInfo info;
    uint64_t run;
    char name[8];

    snprintf(name, sizeof(name), "b%d", which);
    if (node_bitmap_find(node, name, &info, NULL) < 0 || info.inconsistent)
        return false;
    for (int s = 0; s < SECTORS; s++)
        ok(node_bitmap_extent(node, name, (uint64_t)s * SECTOR, SECTOR, &dirty[s], &run), NULL,
           "bits");
    return true;
}

static void write_some(Run *r, Value id, int every)
{
    uint8_t buf[SECTOR];

    fill(buf, id);
    for (int s = (int)id; s < SECTORS; s += every)
        ok(node_pwrite(r->node, buf, sizeof(buf), (uint64_t)s * SECTOR), NULL, "write");
}

/* A disk with three snapshots and three bitmaps, all of them different */
static void make_damaged(Run *r)
{
    Value id = 2;
    Error *err = NULL;

    prepare(r);
    ok(node_open(r->path, "qcow2", NULL, OPEN_RDWR | OPEN_NO_FLUSH, &r->node, &err), err, "open");
    write_some(r, id, 1);
    for (int i = 0; i < REPAIR_SNAPS; i++) {
        char name[8];
        SnapshotInfo info = { .name = name };

        snprintf(name, sizeof(name), "b%d", i);
        ok(node_bitmap_add(r->node, name, SECTOR, true, &err), err, "add");
        snprintf(name, sizeof(name), "s%d", i);
        read_disk(r->node, r->snaps[i], "read");
        ok(node_snapshot_create(r->node, &info, &err), err, "snapshot");
        write_some(r, ++id, 13 + 8 * i);
    }
    r->ops = calloc(1, sizeof(*r->ops));
    read_disk(r->node, r->ops->now, "read");
    node_unref(r->node);
    ok(node_open(r->path, "qcow2", NULL, 0, &r->node, &err), err, "open");
    for (int i = 0; i < MAX_MAPS; i++)
        assert_true(read_bits(r->node, i, r->dirty[i]));
    node_unref(r->node);
    int fd = open(r->path, O_RDWR);
    r->damage->make(fd);
    close(fd);
    free(r->start);
    r->start = load(r->path, &r->start_len);
}

static void nothing_else_lost(const Run *r, Node *node, size_t cut)
{
    const Value *want = r->ops->now;
    Value found[SECTORS];
    bool dirty[SECTORS];

    read_disk(node, found, "read after repair");
    for (int s = 0; s < SECTORS; s++)
        if (found[s] != want[s] && !(r->damage->table && s / TABLE_SECTORS == LAST_TABLE))
            fail_msg("%s: cut at %zu: sector %d holds %u, not %u", r->damage->what, cut, s,
                     found[s], want[s]);
    for (int i = 0; i < MAX_MAPS; i++) {
        bool usable = read_bits(node, i, dirty);

        if (usable == !!(r->damage->maps & 1u << i))
            fail_msg("%s: cut at %zu: bitmap %d is %s", r->damage->what, cut, i,
                     usable ? "trusted" : "lost");
        if (usable && memcmp(dirty, r->dirty[i], sizeof(dirty)) != 0)
            fail_msg("%s: cut at %zu: bitmap %d differs", r->damage->what, cut, i);
    }
    for (int i = 0; i < REPAIR_SNAPS; i++) {
        char name[8];

        snprintf(name, sizeof(name), "s%d", i);
        int ret = node_snapshot_load(node, name, NULL);
        if ((ret == 0) == !!(r->damage->snaps & 1u << i))
            fail_msg("%s: cut at %zu: snapshot %d: %d", r->damage->what, cut, i, ret);
        if (ret < 0)
            continue;
        read_disk(node, found, "read snapshot after repair");
        if (memcmp(found, r->snaps[i], sizeof(found)) != 0)
            fail_msg("%s: cut at %zu: snapshot %d differs", r->damage->what, cut, i);
    }
}

static void survive_repair(const Run *r, const Disk *d, size_t cut)
{
    CheckResult result;
    Error *err = NULL;
    Node *node;

    write_crash(r, d);
    ok(node_open(r->crash, "qcow2", NULL, OPEN_NO_FLUSH | OPEN_RDWR | OPEN_CHECK, &node, &err), err,
       "open for a second repair");
    ok(node_check(node, CHECK_FIX_LEAKS | CHECK_FIX_ERRORS, NULL, NULL, &result, &err), err,
       "second repair");
    node_unref(node);
    ok(node_open(r->crash, "qcow2", NULL, OPEN_NO_FLUSH | OPEN_RDWR, &node, &err), err,
       "open after a second repair");
    ok(node_check(node, 0, NULL, NULL, &result, &err), err, "check after a second repair");
    if (result.corruptions || result.leaks || result.check_errors)
        fail_msg("%s: cut at %zu: not clean after a second repair", r->damage->what, cut);
    node_unref(node);
    ok(node_open(r->crash, "qcow2", NULL, 0, &node, &err), err, "open to look");
    nothing_else_lost(r, node, cut);
    node_unref(node);
}

static void repairs_survive_crashes(void **state)
{
    static const Case c = { .what = "repair", .options = "cluster_size=512" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        CheckResult result;
        Error *err = NULL;
        Run r;

        run_begin(&r, &c);
        r.damage = &damages[i];
        make_damaged(&r);
        open_logged(&r, OPEN_CHECK);
        ok(node_check(r.node, CHECK_FIX_LEAKS | CHECK_FIX_ERRORS, NULL, NULL, &result, &err), err,
           "repair");
        node_unref(r.node);
        r.log = load(r.log_path, &r.log_len);
        printf("# %s\n", damages[i].what);
        crash_everywhere(&r, survive_repair);
        run_end(&r);
    }
}

int main(void)
{
    const char *given = getenv("BLOCK_SEED");
    const struct CMUnitTest tests[] = { cmocka_unit_test(images_survive_crashes),
                                        cmocka_unit_test(repairs_survive_crashes) };

    seed = given ? (unsigned)atoi(given) : (unsigned)time(NULL) ^ (unsigned)getpid() << 16;
    printf("# seed %u\n", seed);
    fflush(stdout);
    srand(seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
