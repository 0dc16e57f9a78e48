/*
 * file.c - the `file` protocol: regular files and block devices of the host.
 *
 * A read beyond the end gives zeros, a write beyond it makes the file longer. The size is
 * kept here, so that no request needs an fstat().
 *
 * With O_DIRECT, what the kernel would refuse goes through an aligned buffer; a write that
 * covers a sector in part reads it first and holds its sectors exclusively meanwhile.
 */
#include <errno.h>
#include <inttypes.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/iov.h"
#include "base/math.h"
#include "block/file-lock.h"
#include "block/graph.h"

enum { SECTOR = 512, DIRECT_ALIGN = 4096, BOUNCE_MAX = 1 << 20 };

typedef struct {
    int fd; /* plus one: zeroed state is "none" */
    bool device, direct;
    _Atomic bool no_punch, no_zero_range; /* learned: the file system cannot */
    pthread_mutex_t seek_lock;
    uint64_t seek_start, seek_end; /* what the file system last said, of a file nobody writes */
    bool seek_zero;
    uint64_t device_number, inode; /* which file it is */
    _Atomic int lost; /* what a flush failed with: the kernel says so once, the data may be gone */
} File;

static int file_fd(const Node *node)
{
    return ((File *)node->state)->fd - 1;
}

/* ---- transfers ----------------------------------------------------------------------------- */

typedef ssize_t Transfer(int fd, const struct iovec *iov, int iovcnt, off_t off);

/*
 * All of `iov`, however often the kernel stops short. At the end of the file reads give zeros; with
 * O_DIRECT the kernel would refuse the odd rest behind `size`, so it is not asked.
 */
static int transfer(int fd, Transfer *fn, const struct iovec *iov, int iovcnt, uint64_t off,
                    size_t len, uint64_t size)
{
    AUTO_FREE struct iovec *rest = NULL;
    const struct iovec *now = iov;
    int n = iovcnt;

    for (size_t done = 0; done < len;) {
        ssize_t got = fn(fd, now, MIN(n, IOV_MAX), (off_t)(off + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0 && fn != preadv)
            return -EIO;
        if (got == 0) {
            iov_zero(iov, iovcnt, done, len - done);
            return 0;
        }
        done += (size_t)got;
        if (done == len)
            break;
        if (fn == preadv && off + done >= size) {
            iov_zero(iov, iovcnt, done, len - done);
            return 0;
        }
        if (!rest && !(rest = malloc((size_t)iovcnt * sizeof(*rest))))
            return -ENOMEM;
        n = iov_slice(rest, iov, iovcnt, done, len - done);
        now = rest;
    }
    return 0;
}

/* Before the range is let go: who pads the end of the file cuts it off at this size. */
static void grow_to(Node *node, uint64_t end)
{
    uint64_t size = node->size;

    while (size < end && !atomic_compare_exchange_weak(&node->size, &size, end))
        ;
}

static bool aligned(const struct iovec *iov, int iovcnt, uint64_t off)
{
    for (int i = 0; i < iovcnt; i++)
        if ((uintptr_t)iov[i].iov_base % DIRECT_ALIGN || iov[i].iov_len % DIRECT_ALIGN)
            return false;
    return off % DIRECT_ALIGN == 0;
}

static int plain(Node *node, Transfer *fn, void *buf, size_t len, uint64_t off)
{
    struct iovec iov = { buf, len };

    return transfer(file_fd(node), fn, &iov, 1, off, len, node->size);
}

/* O_DIRECT, one bounce buffer's worth: [off, off+len) of the file is `skip` bytes into iov. */
static int bounce(Node *node, bool write, const struct iovec *iov, int iovcnt, size_t skip,
                  uint64_t off, size_t len)
{
    uint64_t start = align_down(off, DIRECT_ALIGN), end = align_up(off + len, DIRECT_ALIGN);
    bool device = ((File *)node->state)->device;
    int fd = file_fd(node), ret;

    if (device && off + len <= node->size)
        end = MIN(end, node->size); /* whole sectors, but not always whole pages */
    AUTO_FREE uint8_t *buf = aligned_alloc(DIRECT_ALIGN, align_up(end - start, DIRECT_ALIGN));

    if (!buf)
        return -ENOMEM;
    if (!write) {
        ret = plain(node, preadv, buf, end - start, start);
        iov_write(iov, iovcnt, skip, buf + (off - start), len);
        return ret;
    }
    ret = end - start == len ? 0 : plain(node, preadv, buf, end - start, start);
    iov_read(iov, iovcnt, skip, buf + (off - start), len);
    if (ret == 0)
        ret = plain(node, pwritev, buf, end - start, start);
    uint64_t size = MAX(node->size, off + len);
    if (ret == 0 && !device && end > size && ftruncate(fd, (off_t)size) < 0)
        ret = -errno; /* what we padded is not part of the file */
    return ret;
}

static int bounce_all(Node *node, bool write, const struct iovec *iov, int iovcnt, uint64_t off,
                      size_t len)
{
    RangeLock lock;
    uint64_t end = align_up(off + len, DIRECT_ALIGN);
    int ret = 0;

    /* who pads the end of the file must be alone with it */
    range_acquire(&node->ranges, &lock, align_down(off, DIRECT_ALIGN),
                  write && end > node->size ? NODE_MAX_SIZE : end, write);
    for (size_t done = 0; done < len && ret == 0;) {
        size_t part = MIN(len - done, (size_t)BOUNCE_MAX);

        ret = bounce(node, write, iov, iovcnt, done, off + done, part);
        done += part;
    }
    if (write && ret == 0)
        grow_to(node, off + len);
    range_release(&node->ranges, &lock);
    return ret;
}

static int file_preadv(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, size_t len)
{
    File *f = node->state;

    if (f->direct && !aligned(iov, iovcnt, off))
        return bounce_all(node, false, iov, iovcnt, off, len);
    return transfer(file_fd(node), preadv, iov, iovcnt, off, len, node->size);
}

static int file_pwritev(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, size_t len)
{
    File *f = node->state;
    RangeLock lock;
    int ret;

    if (f->device && off + len > node->size)
        return -ENOSPC;
    if (f->direct && !aligned(iov, iovcnt, off))
        return bounce_all(node, true, iov, iovcnt, off, len);
    if (f->direct)
        range_acquire(&node->ranges, &lock, off, off + len, false);
    ret = transfer(file_fd(node), pwritev, iov, iovcnt, off, len, node->size);
    if (ret == 0)
        grow_to(node, off + len);
    if (f->direct)
        range_release(&node->ranges, &lock);
    return ret;
}

/* The file system is asked anew. */
static void forget_extent(File *f)
{
    pthread_mutex_lock(&f->seek_lock);
    f->seek_start = f->seek_end = 0;
    pthread_mutex_unlock(&f->seek_lock);
}

/* ---- holes --------------------------------------------------------------------------------- */

static int punch(Node *node, uint64_t off, uint64_t len)
{
    File *f = node->state;
    uint64_t range[2] = { off, len };
    int ret;

    if (f->no_punch)
        return -ENOTSUP;
    forget_extent(f);
    do
        ret = f->device ? ioctl(file_fd(node), BLKDISCARD, range)
                        : fallocate(file_fd(node), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                    (off_t)off, (off_t)len);
    while (ret < 0 && errno == EINTR);
    if (ret == 0)
        return 0;
    ret = -errno;
    if (ret != -EOPNOTSUPP && ret != -ENOTTY && ret != -ENOSYS)
        return ret;
    f->no_punch = true;
    return -ENOTSUP;
}

static int zero_range(Node *node, uint64_t off, uint64_t len)
{
    File *f = node->state;
    uint64_t range[2] = { off, len };

    if (f->no_zero_range)
        return -ENOTSUP;
    forget_extent(f);
    int ret;

    do
        ret = f->device ? ioctl(file_fd(node), BLKZEROOUT, range)
                        : fallocate(file_fd(node), FALLOC_FL_ZERO_RANGE, (off_t)off, (off_t)len);
    while (ret < 0 && errno == EINTR);
    if (ret == 0)
        return 0;
    ret = -errno;
    if (ret != -EOPNOTSUPP && ret != -ENOTTY && ret != -ENOSYS && ret != -EINVAL)
        return ret;
    f->no_zero_range = true;
    return -ENOTSUP;
}

static int set_length(Node *node, uint64_t size)
{
    forget_extent(node->state);
    if (ftruncate(file_fd(node), (off_t)size) < 0)
        return -errno;
    node->size = size;
    return 0;
}

/* Longer by a hole. Not by ftruncate(): another writer may have made the file longer still. */
static int grow_sparse(Node *node, uint64_t end)
{
    if (fallocate(file_fd(node), 0, (off_t)end - 1, 1) < 0 &&
        pwrite(file_fd(node), "", 1, (off_t)end - 1) != 1)
        return errno ? -errno : -EIO;
    grow_to(node, end);
    return 0;
}

static int zeroes_unlocked(Node *node, uint64_t off, uint64_t len, unsigned flags)
{
    File *f = node->state;
    uint64_t end = off + len;
    int ret = 0;

    if (off < node->size) {
        uint64_t inside = MIN(len, node->size - off);

        /* a discarded device range may keep its bytes; a punched hole does not */
        ret = flags & REQ_MAY_UNMAP && !f->device ? punch(node, off, inside) : -ENOTSUP;
        if (ret == -ENOTSUP)
            ret = zero_range(node, off, inside);
    }
    if (ret == 0 && end > node->size)
        ret = grow_sparse(node, end);
    return ret;
}

/* With O_DIRECT, nobody may be putting old bytes of the same sectors back meanwhile. */
static int file_pwrite_zeroes(Node *node, uint64_t off, uint64_t len, unsigned flags)
{
    File *f = node->state;
    RangeLock lock;

    if (f->device && off + len > node->size)
        return -ENOSPC;
    if (!f->direct)
        return zeroes_unlocked(node, off, len, flags);
    range_acquire(&node->ranges, &lock, off, off + len, false);
    int ret = zeroes_unlocked(node, off, len, flags);
    range_release(&node->ranges, &lock);
    return ret;
}

static int file_discard(Node *node, uint64_t off, uint64_t len)
{
    if (off >= node->size)
        return 0;
    return punch(node, off, MIN(len, node->size - off));
}

/* What the file system says about [off, off+len): data or a hole, and how far. */
static void seek_extent(Node *node, uint64_t off, uint64_t len, Extent *ext)
{
    int fd = file_fd(node);
    off_t data = lseek(fd, (off_t)off, SEEK_DATA), hole;

    ext->len = len;
    ext->zero = data != (off_t)off && (data >= 0 || errno == ENXIO); /* else it does not say */
    if (ext->zero && data > (off_t)off)
        ext->len = MIN(len, (uint64_t)data - off);
    if (!ext->zero && data >= 0 && (hole = lseek(fd, (off_t)off, SEEK_HOLE)) > (off_t)off)
        ext->len = MIN(len, (uint64_t)hole - off);
}

/*
 * The same, remembered: a fragmented image asks about many small parts of one long run. Of a file
 * that may be written only data is remembered: what has become a hole since reads as zeros all the
 * same, but a hole must not be taken for one any more.
 */
static void seek_extent_once(Node *node, uint64_t off, uint64_t len, bool stable, Extent *ext)
{
    File *f = node->state;

    pthread_mutex_lock(&f->seek_lock);
    if (off < f->seek_start || off >= f->seek_end) {
        seek_extent(node, off, node->size - off, ext);
        f->seek_start = off;
        f->seek_end = stable || !ext->zero ? off + ext->len : off;
        f->seek_zero = ext->zero;
        ext->len = MIN(len, ext->len);
    } else {
        ext->zero = f->seek_zero;
        ext->len = MIN(len, f->seek_end - off);
    }
    pthread_mutex_unlock(&f->seek_lock);
}

static int file_extent(Node *node, uint64_t off, uint64_t len, Extent *ext)
{
    bool stable = !node->writable && !(node->flags & (OPEN_FORCE_SHARE | OPEN_NO_LOCK));

    ext->has_pos = true;
    ext->pos = off;
    ext->len = len;
    ext->zero = true;
    if (off < node->size)
        seek_extent_once(node, off, len, stable, ext);
    ext->kind = ext->zero ? EXTENT_ZERO : EXTENT_DATA;
    return 0;
}

static int file_flush(Node *node)
{
    File *f = node->state;

    if (node->flags & OPEN_NO_FLUSH)
        return 0;
    if (f->lost)
        return f->lost; /* a later fdatasync() would succeed without the pages that were dropped */
    if (fdatasync(file_fd(node)) == 0)
        return 0;
    int ret = -errno;
    if (!f->direct)
        f->lost = ret;
    return ret;
}

static uint64_t file_disk_size(Node *node)
{
    struct stat st;

    return fstat(file_fd(node), &st) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
}

/* ---- copying inside the kernel ---- */

static bool cannot_share(int error)
{
    return error == EOPNOTSUPP || error == EXDEV || error == EINVAL || error == ENOTTY ||
           error == ENOSYS || error == EBADF || error == EPERM || error == ETXTBSY;
}

/* All of it by copy_file_range(); what is left when it cannot is for the caller. */
static int kernel_copy(int to, uint64_t off, int from, uint64_t pos, uint64_t len)
{
    off_t in = (off_t)pos, out = (off_t)off;

    while (len) {
        ssize_t n = copy_file_range(from, &in, to, &out, len, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cannot_share(errno) ? -ENOTSUP : -errno;
        if (n == 0) /* the source ends earlier than it did */
            return -ENOTSUP;
        len -= (uint64_t)n;
    }
    return 0;
}

/* Only between files: both sizes are known, and what is behind a hole's end is never asked for. */
static int file_copy_range(Node *node, uint64_t off, Node *from, uint64_t pos, uint64_t len,
                           unsigned flags)
{
    File *f = node->state;
    RangeLock lock;
    int ret = 0;

    if (from->driver != node->driver || f->device || ((File *)from->state)->device ||
        pos + len > from->size)
        return -ENOTSUP;
    struct file_clone_range clone = { file_fd(from), pos, len, off };
    range_acquire(&node->ranges, &lock, off, off + len, true);
    if (ioctl(file_fd(node), FICLONERANGE, &clone) < 0)
        ret = cannot_share(errno) ? -ENOTSUP : -errno;
    if (ret == -ENOTSUP && !(flags & COPY_SHARE_ONLY))
        ret = kernel_copy(file_fd(node), off, file_fd(from), pos, len);
    if (ret == 0)
        grow_to(node, off + len);
    range_release(&node->ranges, &lock);
    return ret;
}

static bool file_same_file(Node *node, Node *other)
{
    const File *a = node->state, *b = other->state;

    return a->inode == b->inode && a->device_number == b->device_number;
}

static int file_identity_text(Node *node, FILE *out)
{
    struct stat st;

    if (fstat(file_fd(node), &st) < 0)
        return -errno;
    fprintf(out, " %llu:%llu %llu %lld.%09ld", (unsigned long long)st.st_dev,
            (unsigned long long)st.st_ino, (unsigned long long)st.st_size,
            (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    return S_ISREG(st.st_mode) ? 0 : -ENOTSUP; /* a device does not say when it was written */
}

/* ---- size and preallocation ---------------------------------------------------------------- */

static int write_zeros(Node *node, uint64_t off, uint64_t end, Error **err)
{
    AUTO_FREE void *zeros = aligned_alloc(DIRECT_ALIGN, BOUNCE_MAX);
    int ret = zeros ? 0 : -ENOMEM;

    if (zeros)
        memset(zeros, 0, BOUNCE_MAX);
    while (off < end && ret == 0) {
        size_t part = MIN(end - off, (uint64_t)BOUNCE_MAX);
        struct iovec iov = { zeros, part };

        ret = file_pwritev(node, &iov, 1, off, part);
        off += part;
    }
    return ret < 0 ? error_set(err, ret, "cannot write zeros: %s", strerror(-ret)) : 0;
}

static int file_resize(Node *node, uint64_t size, Prealloc prealloc, Error **err)
{
    File *f = node->state;
    uint64_t old = node->size;
    int ret = 0;

    if (f->device)
        return size <= old
                   ? 0
                   : error_set(err, -EINVAL, "a device of %" PRIu64 " bytes cannot grow", old);
    if (size > old && prealloc == PREALLOC_FULL)
        return write_zeros(node, old, size, err);
    if (size > old && prealloc == PREALLOC_FALLOC)
        ret = -posix_fallocate(file_fd(node), (off_t)old, (off_t)(size - old));
    if (ret == 0)
        ret = set_length(node, size);
    return ret < 0 ? error_set(err, ret, "cannot make the file %" PRIu64 " bytes long: %s", size,
                               strerror(-ret))
                   : 0;
}

/* ---- opening ------------------------------------------------------------------------------- */

static int file_identify(Node *node, Error **err)
{
    File *f = node->state;
    int fd = file_fd(node);
    struct stat st;

    if (fstat(fd, &st) < 0)
        return error_set(err, -errno, "cannot stat: %s", strerror(errno));
    f->device = S_ISBLK(st.st_mode);
    f->device_number = st.st_dev;
    f->inode = st.st_ino;
    if (S_ISDIR(st.st_mode))
        return error_set(err, -EISDIR, "is a folder");
    off_t size = lseek(fd, 0, SEEK_END);
    if (size < 0 || (!S_ISREG(st.st_mode) && !f->device && !S_ISCHR(st.st_mode)))
        return error_set(err, -EINVAL, "is neither a regular file nor a block device");
    node->size = (uint64_t)size;
    node->zero_init = S_ISREG(st.st_mode);
    node->align = f->direct ? DIRECT_ALIGN : 1;
    return 0;
}

/* One way of asynchronous I/O is enough here, and nobody migrates a machine: taken, not used. */
static int take_unused_options(Options *options, Error **err)
{
    static const char *const aio[] = { "threads", "native", "io_uring", NULL };
    static const char *const flags[] = { "drop-cache", "x-check-cache-dropped" };
    bool flag;
    int mode, ret = options_take_enum(options, "aio", aio, &mode, err);

    for (size_t i = 0; i < ARRAY_LEN(flags) && ret == 0; i++)
        ret = options_take_bool(options, flags[i], &flag, err);
    return ret;
}

/* The descriptor plus one, 0: not opened. With auto-read-only, what may not be written is read. */
static int open_fd(Node *node)
{
    int flags = O_CLOEXEC | (node->flags & OPEN_DIRECT ? O_DIRECT : 0);
    int fd = open(node->filename, flags | (node->writable ? O_RDWR : O_RDONLY));

    if (fd < 0 && node->writable && node->flags & OPEN_AUTO_READ_ONLY &&
        (errno == EACCES || errno == EROFS || errno == EPERM)) {
        node->writable = false;
        fd = open(node->filename, flags | O_RDONLY);
    }
    return fd + 1;
}

static int file_open(Node *node, Options *options, Error **err)
{
    static const char *const locking[] = { "off", "auto", "on", NULL };
    File *f = node->state;
    int lock = 1, ret = options_take_enum(options, "locking", locking, &lock, err);

    if (ret == 0)
        ret = take_unused_options(options, err);
    if (ret < 0)
        return ret;
    if (!node->filename || !*node->filename)
        return error_set(err, -EINVAL, "there is no file name");
    pthread_mutex_init(&f->seek_lock, NULL);
    f->direct = node->flags & OPEN_DIRECT;
    f->fd = open_fd(node);
    if (f->fd == 0 && errno == EINVAL && f->direct)
        return error_set(err, -EINVAL,
                         "its file system does not do O_DIRECT (cache modes none and directsync)");
    if (f->fd == 0)
        return error_set(err, -errno, "%s", strerror(errno));
    ret = file_identify(node, err);
    if (ret == 0 && lock && !(node->flags & (OPEN_FORCE_SHARE | OPEN_NO_LOCK)))
        ret = file_lock(file_fd(node), node->filename, node->writable, err);
    return ret;
}

static void file_close(Node *node)
{
    if (file_fd(node) >= 0)
        close(file_fd(node));
}

/* ---- creating ------------------------------------------------------------------------------ */

static const OptionDesc file_create_options[] = {
    { "size", "size", "Virtual disk size", NULL },
    { "preallocation", "str", "Preallocation mode (allowed values: off, falloc, full)", NULL },
    { "nocow", "bool (on/off)", "Turn off copy-on-write (valid only on btrfs)", NULL },
    { "extent_size_hint", "size", "Extent size hint for the image file, 0 to disable", NULL },
    { NULL, NULL, NULL, NULL },
};

/* What a server has cannot be made: it is there. Nobody shall take the new image for the old one.
 */
static int open_remote(const char *filename, const BlockDriver *drv, Node **out, Error **err)
{
    Options *o = options_new();

    options_set(o, "driver", drv->name);
    int ret = node_open(filename, NULL, o, OPEN_RDWR, out, err);
    if (ret < 0)
        return ret;
    ret = node_pwrite_zeroes(*out, 0, MIN(node_size(*out), (uint64_t)SECTOR), 0);
    return ret < 0 ? error_set(err, ret, "cannot write to '%s': %s", filename, strerror(-ret)) : 0;
}

/* Made if it is missing; emptied only after we know that nobody else uses it. */
int node_create_file(const char *filename, Node **out, Error **err)
{
    const char *path = strncmp(filename, "file:", 5) == 0 ? filename + 5 : filename;
    AUTO_FREE char *proto = path_protocol(path);
    const BlockDriver *drv = proto ? driver_for_scheme(proto) : NULL;

    if (drv && drv->is_remote)
        return open_remote(path, drv, out, err);
    if (proto && path == filename) /* it could not be opened by this name */
        return error_set(err, -ENOTSUP,
                         "%s '%s' cannot make images (a file of this name is written ./%s)",
                         drv ? "protocol" : "the unknown protocol", proto, path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

    if (fd < 0)
        return error_set(err, -errno, "Could not create '%s': %s", path, strerror(errno));
    close(fd);
    int ret = node_open(path, "file", NULL, OPEN_RDWR | OPEN_NO_FLUSH, out, err);
    if (ret == 0 && !((File *)(*out)->state)->device) {
        ret = set_length(*out, 0);
        if (ret < 0)
            error_set(err, ret, "cannot empty '%s': %s", path, strerror(-ret));
    }
    return ret;
}

static int file_create(const char *filename, Options *options, Error **err)
{
    AUTO_NODE Node *node = NULL;
    uint64_t size = 0;
    int prealloc = PREALLOC_OFF;
    int ret = options_take_size(options, "size", &size, err);

    if (ret == 0)
        ret = options_take_enum(options, "preallocation", prealloc_names, &prealloc, err);
    if (ret == 0)
        ret = options_end(options, "file", err);
    if (ret == 0)
        ret = node_create_file(filename, &node, err);
    return ret < 0 ? ret : file_resize(node, size, (Prealloc)prealloc, err);
}

const BlockDriver file_driver = {
    .name = "file",
    .state_size = sizeof(File),
    .is_protocol = true,
    .create_options = file_create_options,
    .open = file_open,
    .close = file_close,
    .create = file_create,
    .extent = file_extent,
    .preadv = file_preadv,
    .pwritev = file_pwritev,
    .pwrite_zeroes = file_pwrite_zeroes,
    .discard = file_discard,
    .flush = file_flush,
    .disk_size = file_disk_size,
    .copy_range = file_copy_range,
    .same_file = file_same_file,
    .identity = file_identity_text,
    .resize = file_resize,
};

/* ---- devices by name ------------------------------------------------------------------------- */

static int device_open(Node *node, Options *options, Error **err)
{
    int ret = file_open(node, options, err);

    if (ret == 0 && node->zero_init)
        ret = error_set(err, -EINVAL, "is a regular file, not a device");
    return ret;
}

/* "host_device:/dev/..." */
static int device_parse_name(const char *name, Options *options, Error **err)
{
    (void)err;
    options_set(options, "filename", strchr(name, ':') + 1);
    return 0;
}

#define DEVICE_DRIVER(id, text)                                                                    \
    const BlockDriver id = {                                                                       \
        .name = text,                                                                              \
        .state_size = sizeof(File),                                                                \
        .is_protocol = true,                                                                       \
        .parse_name = device_parse_name,                                                           \
        .open = device_open,                                                                       \
        .close = file_close,                                                                       \
        .extent = file_extent,                                                                     \
        .preadv = file_preadv,                                                                     \
        .pwritev = file_pwritev,                                                                   \
        .pwrite_zeroes = file_pwrite_zeroes,                                                       \
        .discard = file_discard,                                                                   \
        .flush = file_flush,                                                                       \
        .disk_size = file_disk_size,                                                               \
        .resize = file_resize,                                                                     \
    }

DEVICE_DRIVER(host_device_driver, "host_device");
DEVICE_DRIVER(host_cdrom_driver, "host_cdrom");
