/*
 * inspect-confine.c - see inspect.h: resource limits, landlock and a seccomp filter.
 *
 * The image's parser runs in here: a mistake in it that an image exploits finds nothing to take.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/compiler.h"
#include "img-tool/inspect.h"

enum { MAX_OPEN_FILES = 64 };

/* Sanitizers map terabytes of shadow memory. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { LIMIT_MEMORY = 0 };
#else
enum { LIMIT_MEMORY = 1 };
#endif

static int limit(int what, rlim_t value)
{
    struct rlimit r = { value, value };

    return setrlimit(what, &r) < 0 ? -errno : 0;
}

static int limit_resources(const InspectLimits *limits)
{
    int ret = limit(RLIMIT_CPU, limits->timeout_s);

    if (ret == 0 && LIMIT_MEMORY)
        ret = limit(RLIMIT_AS, limits->memory);
    if (ret == 0)
        ret = limit(RLIMIT_FSIZE, 0);
    if (ret == 0)
        ret = limit(RLIMIT_CORE, 0);
    return ret == 0 ? limit(RLIMIT_NOFILE, MAX_OPEN_FILES) : ret;
}

/* ---- which files ----------------------------------------------------------------------------- */

/* What the first version of landlock knows: all of it is forbidden but reading one file. */
#define FILE_ACCESS                                                                                \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |   \
     LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR |                                 \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |   \
     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

static int restrict_files(const char *filename)
{
    struct landlock_ruleset_attr all = { .handled_access_fs = FILE_ACCESS };
    struct landlock_path_beneath_attr one = { .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE };
    int rules = (int)syscall(__NR_landlock_create_ruleset, &all, sizeof(all), 0);

    if (rules < 0)
        return -errno;
    one.parent_fd = open(filename, O_PATH | O_CLOEXEC);
    int ret = one.parent_fd < 0 ||
                      syscall(__NR_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &one, 0) ||
                      syscall(__NR_landlock_restrict_self, rules, 0)
                  ? -errno
                  : 0;
    if (one.parent_fd >= 0)
        close(one.parent_fd);
    close(rules);
    return ret;
}

/* ---- which system calls ---------------------------------------------------------------------- */

#if defined(__x86_64__)
#define AUDIT_ARCH_HERE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define AUDIT_ARCH_HERE AUDIT_ARCH_AARCH64
#else
#define AUDIT_ARCH_HERE 0
#endif

/* Reading what is open, memory, threads, time, and the end. Everything else is refused. */
static const int allowed[] = {
    __NR_read,
    __NR_pread64,
    __NR_readv,
    __NR_preadv,
    __NR_preadv2,
    __NR_lseek,
    __NR_fstat,
    __NR_newfstatat,
    __NR_statx,
    __NR_readlinkat,
    __NR_faccessat,
    __NR_faccessat2,
    __NR_getcwd,
    __NR_fadvise64,
    __NR_openat, /* which files, says landlock; writing, RLIMIT_FSIZE */
    __NR_close,
    __NR_write,
    __NR_writev,
    __NR_fcntl,
    __NR_mmap,
    __NR_munmap,
    __NR_mprotect,
    __NR_mremap,
    __NR_madvise,
    __NR_brk,
    __NR_futex,
    __NR_set_robust_list,
    __NR_rseq,
    __NR_membarrier,
    __NR_sched_yield,
    __NR_sched_getaffinity,
    __NR_rt_sigaction,
    __NR_rt_sigprocmask,
    __NR_rt_sigreturn,
    __NR_sigaltstack,
    __NR_restart_syscall,
    __NR_getrandom,
    __NR_clock_gettime,
    __NR_clock_nanosleep,
    __NR_nanosleep,
    __NR_gettid,
    __NR_getpid,
    __NR_prlimit64,
    __NR_sysinfo,
    __NR_exit,
    __NR_exit_group,
#ifdef __NR_readlink /* the old ones, which new architectures left out */
    __NR_readlink,
    __NR_access,
    __NR_time,
#endif
};

enum { FILTER_HEAD = 10, FILTER_MAX = FILTER_HEAD + ARRAY_LEN(allowed) + 2 };

static int restrict_calls(void)
{
    struct sock_filter f[FILTER_MAX] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_HERE, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        /* threads, but no processes: clone3() hides its flags, so the library must use clone() */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone3, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, ARRAY_LEN(allowed) + 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JA, ARRAY_LEN(allowed), 0, 0),
    };
    size_t n = FILTER_HEAD;

    if (AUDIT_ARCH_HERE == 0)
        return -ENOTSUP;
    for (size_t i = 0; i < ARRAY_LEN(allowed); i++) /* a hit jumps to the last line */
        f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)allowed[i],
                                              (uint8_t)(ARRAY_LEN(allowed) - i), 0);
    f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = { (unsigned short)n, f };
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

static void note(json_t *done, const char *what, int ret)
{
    if (done && ret == 0)
        json_array_append_new(done, json_string(what));
}

int inspect_confine(const char *filename, const InspectLimits *limits, json_t *done)
{
    int ret = limit_resources(limits);

    if (ret < 0)
        return ret; /* never without bounds */
    note(done, "rlimits", ret);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    note(done, "landlock", restrict_files(filename));
    note(done, "seccomp", restrict_calls());
    return 0;
}
