/*
 * commands.c - the table of subcommands, and that of their options, from which help, manual and
 * completion are made.
 */
#include "img-tool/cmd.h"

#include <string.h>

const Command commands[] = {
    { "amend", cmd_amend,
      "[--object objectdef] [--image-opts] [--no-external | --trusted] [-p] [-q] [-f fmt] [-t "
      "cache] [--force] -o options "
      "filename",
      "change the options of an image that exists",
      "'-o help' lists what can be changed. --force allows changes that may make the image "
      "unusable." },
    { "bench", cmd_bench,
      "[--object objectdef] [--image-opts] [--no-external | --trusted] [-c count] [-d depth] [-f "
      "fmt] "
      "[--flush-interval=flush_interval] [-i aio] "
      "[-n] [--no-drain] [-o offset] [--pattern=pattern] [-q] [-s buffer_size] [-S step_size] "
      "[-t cache] [-w] [-U] [--random [--seed=N]] [--read-percent=N] [--latency] "
      "[--output=ofmt] filename",
      "measure how many requests an image takes",
      "Sends count requests (default: 75000) of buffer_size bytes (4096), depth of them (64) at a "
      "time, one after the other through the image or at random places." },
    { "bitmap", cmd_bitmap,
      "(--merge=source | --add | --remove | --clear | --enable | --disable | --list)... [-b "
      "source_file [-F source_fmt]] [-g granularity] [--object objectdef] [--image-opts | -f fmt] "
      "[--output=ofmt] [-U] "
      "filename [bitmap]",
      "change the dirty bitmaps in an image: which parts were written since",
      "Several actions are done in their order, on the one bitmap named. --list shows all bitmaps "
      "and needs no name." },
    { "cache", cmd_cache, "[--output=ofmt] [list | size | clear [URL]]",
      "show or empty the cache of images that came over the network",
      "Parts of remote images that were read are kept on disk and used again as long as the file "
      "on "
      "the server stays the same. The cache is in $ONIONSKIN_CACHE (\"off\": none), "
      "$XDG_CACHE_HOME/onionskin or ~/.cache/onionskin, and at most $ONIONSKIN_CACHE_SIZE bytes "
      "large (default: 8G); what was not used for the longest time goes first." },
    { "check", cmd_check,
      "[--object objectdef] [--image-opts] [--no-external | --trusted] [-q] [-f fmt] "
      "[--output=ofmt] [-r [leaks | all]] [-T "
      "src_cache] [-U] "
      "filename",
      "look for inconsistencies in an image, and repair them",
      "Without -r nothing is changed. '-r leaks' gives back clusters that nothing refers to; '-r "
      "all' "
      "also mends tables that are wrong. Exit code: 0 the image is clean (or is now), 1 the check "
      "could not be "
      "completed, 2 there are corruptions, 3 there are only leaked clusters, 63 the format has "
      "nothing to check." },
    { "commit", cmd_commit,
      "[--object objectdef] [--image-opts] [--no-external | --trusted] [-q] [-f fmt] [-t cache] "
      "[-b base] [-r rate_limit] [-d] "
      "[-p] "
      "[--progress=json] filename",
      "write what an overlay holds into its backing file",
      "Afterwards the overlay is emptied, unless -d is given or -b names an image further down. "
      "It keeps its data until the backing file has them on disk, so a commit that was "
      "interrupted is done by doing it again." },
    { "compare", cmd_compare,
      "[--object objectdef] [--image-opts] [--no-external | --trusted] [-f fmt] [-F fmt] [-T "
      "src_cache] [-p] [--progress=json] "
      "[--output=ofmt] [-q] [-s] [-U] "
      "filename1 filename2",
      "tell whether two images have the same content",
      "With -s, sizes and allocation must be equal too. Exit code: 0 identical, 1 different, 2 an "
      "image could "
      "not be opened, 3 its allocation could not be read, 4 its data could not be read. With "
      "--output=json all ranges that differ are listed, in sectors." },
    { "completion", cmd_completion, "bash | zsh | fish",
      "print a script that makes a shell complete this program's arguments",
      "For bash: source it from ~/.bashrc, or install it as "
      "/usr/share/bash-completion/completions/img-tool." },
    { "convert", cmd_convert,
      "[--object objectdef] [--image-opts] [--no-external | --trusted] [--target-image-opts] "
      "[--target-is-zero] [-U] [-C] [-c] "
      "[-p] "
      "[--progress=json] [-q] [-n] [-f "
      "fmt] [-t cache] [-T src_cache] [-O output_fmt] [-B backing_file [-F backing_fmt]] [-o "
      "options] [-l snapshot_param] "
      "[-S sparse_size] [-r rate_limit] [-m workers] [-W] [--salvage] [--resume] [--bitmaps "
      "[--skip-broken-bitmaps]] filename "
      "[filename2 [...]] output_filename",
      "copy an image, or several one after the other, into a new one of any format",
      "-c compresses; -n writes into an image that exists; -S sets the shortest run of zeros that "
      "is "
      "left out (0: everything is written). With -B only what differs from the backing file's "
      "chain is copied. A new target is written as 'output_filename.part' and gets its name when "
      "it is whole; what was there before stays until then. After an end in the middle, --resume "
      "goes on from the last step that 'output_filename.part.journal' has, if source and options "
      "are the same. With the default cache mode of the target, unsafe, a step survives the end "
      "of the program; with the others also that of the machine." },
    { "create", cmd_create,
      "[--object objectdef] [-q] [-f fmt] [-b backing_file [-F backing_fmt]] [-u] [-o options] "
      "filename [size]",
      "make a new image",
      "With -b the image is an overlay: it holds only what is written to it from now on. '-o help' "
      "lists the "
      "options of a format." },
    { "dd", cmd_dd,
      "[--object objectdef] [--image-opts] [--no-external | --trusted] [-U] [-q] [-p] [-f fmt] [-O "
      "output_fmt] [-t cache] [-T "
      "src_cache] "
      "[bs=block_size] [count=blocks] [skip=blocks] [seek=blocks] [conv=list] if=input of=output",
      "copy a part of an image into a new one",
      "The new image is as large as the part that is copied, after seek blocks of zeros. conv is a "
      "list of: notrunc, write into the image that exists; noerror, what cannot be read is taken "
      "as zeros; fsync or fdatasync, which are always done." },
    { "fetch", cmd_fetch,
      "[--object objectdef] [--image-opts] [--no-external | --trusted] [-f fmt] [-O output_fmt] "
      "[-o options] [-c] [-p] [-q] "
      "[--expect checksum | --sums list [--signature file] [--keyring file | --key key]] "
      "[--limit-rate rate] [--connections number] URL [filename]",
      "download an image, verify it and convert it",
      "The file appears under its name when it is whole and its checksum is right; until then its "
      "bytes are in filename.part, and the same command goes on after whatever interrupted it. "
      "Without -O it stays as it is on the server; else the image in it (which may be compressed, "
      "and may name no other files) is converted. The checksum of the file that came is printed." },
    { "info", cmd_info,
      "[--object objectdef] [--image-opts] [--no-external | --trusted] [-f fmt] [--output=ofmt] "
      "[--backing-chain] [-U] "
      "[-t cache] [--children] [--limits] filename",
      "show what an image is", NULL },
    { "inspect", cmd_inspect,
      "[--untrusted] [-f fmt] [--timeout=seconds] [--memory=size] [--max-size=size] "
      "[--max-ratio=number] filename",
      "say, as JSON, whether an image from strangers is safe to use",
      "A confined process with bounded time and memory looks at the file, and opens nothing that "
      "the "
      "image names. The verdict is 'ok', 'suspicious' or 'refuse', with reasons. Exit code: 0 ok, "
      "1 "
      "the file could not be inspected, 2 suspicious, 3 refuse." },
    { "io", cmd_io,
      "[--object objectdef] [--image-opts] [--no-external | --trusted] [-f fmt] [-c command]... "
      "[-r] "
      "[-s] [-n] [-C] [-m] [-k] [-i aio] [-t cache] [-d discard] [-T trace] [-U] [-V] [filename]",
      "read and write by script, for tests and debugging",
      "Each -c is one command; without any, they are read from standard input. 'help' lists "
      "them." },
    { "map", cmd_map,
      "[--object objectdef] [--image-opts] [--no-external | --trusted] [-f fmt] "
      "[--start-offset=offset] [--max-length=len] "
      "[--output=ofmt] [-U] "
      "filename",
      "show where the data of an image lies", NULL },
    { "measure", cmd_measure,
      "[--output=ofmt] [-O output_fmt] [-o options] [--size N | "
      "[--object objectdef] [--image-opts] [--no-external | --trusted] [-f fmt] [-U] [-l "
      "snapshot_param] filename]",
      "tell how much space a new image would need",
      "Either for an empty image of --size bytes or for what an image holds. The required size is "
      "an upper bound for what convert makes without compression; the fully allocated size is "
      "that of an image in which everything was written." },
    { "rebase", cmd_rebase,
      "[--object objectdef] [--image-opts] [--no-external | --trusted] [-U] [-q] [-f fmt] [-t "
      "cache] [-T src_cache] [-p] "
      "[--progress=json] [-c] "
      "[-u] -b "
      "backing_file [-F "
      "backing_fmt] "
      "filename",
      "give an overlay another backing file",
      "What the new chain would show differently is copied into the overlay first, so its content "
      "stays. -u changes "
      "the name only, for a backing file that was moved. An empty name makes the image stand "
      "alone." },
    { "resize", cmd_resize,
      "[--object objectdef] [--image-opts] [--no-external | --trusted] [-f fmt] "
      "[--preallocation=prealloc] [-q] [--shrink] "
      "filename [+ | -]size",
      "change the virtual size of an image",
      "Data beyond a smaller end is lost; --shrink says that this is meant." },
    { "serve", cmd_serve,
      "[--image-opts] [-f fmt] [-w | -r] [-p port] [-b host] [-k socket] [-e num] [-t | --once] "
      "[-x "
      "name]... [-D text] [-o offset] [-s] [-l snapshot_param] [-A] [-B bitmap]... [--cache=cache] "
      "[-n] [--aio=mode] [--discard=mode] [--detect-zeroes=mode] [--object objectdef] "
      "[--tls-creds=id] [--tls-authz=id] [--tls-hostname=host] [--fork] [--pid-file=path] [-v] "
      "[-q] "
      "[-c device | -d device | -L | filename [filename2 [...]]]",
      "let other programs use images over NBD",
      "Serves until it gets SIGTERM; then requests that came in are answered and everything is on "
      "stable storage when it ends. Images are served read-only unless -w is given, and to this "
      "host "
      "only unless -b or -k is. One image is the export \"\", several have their files' names. "
      "Called "
      "as qemu-nbd it serves one image for writing, to one client from anywhere, and ends with "
      "it, unless -r, -e and -t say otherwise." },
    { "snapshot", cmd_snapshot,
      "[--object objectdef] [--image-opts] [--no-external | --trusted] [-U] [-q] [-f fmt] "
      "[--output=ofmt] [-l | -a snapshot | "
      "-c snapshot | -d "
      "snapshot] filename",
      "list, apply, create or delete the snapshots in an image", NULL },
};
const size_t n_commands = ARRAY_LEN(commands);

const Command *command_find(const char *name)
{
    for (size_t i = 0; i < n_commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* What an option does. `command`: in which one only, if it means something else in others. */
typedef struct OptionHelp {
    const char *command, *option, *argument, *text;
} OptionHelp;

static const OptionHelp option_help[] = {
    { NULL, "--object", " objectdef", "make an object, as secret,id=NAME,data=PASSWORD" },
    { NULL, "--image-opts", "", "the image is described by options, as driver=qcow2,file=NAME" },
    { NULL, "--target-image-opts", "", "the same for the image that is written (with -n)" },
    { "fetch", "--expect", " checksum",
      "what the file must be: sha256:HEX (or sha512, sha384, sha224)" },
    { "fetch", "--sums", " list", "file or URL of a list of checksums that has the file's name" },
    { "fetch", "--signature", " file",
      "file or URL of the list's signature; without it, the list has it inside" },
    { "fetch", "--keyring", " file", "OpenPGP keys to accept (gpgv checks them)" },
    { "fetch", "--key", " key", "minisign or signify key to accept, or a file with it" },
    { "fetch", "--limit-rate", " rate", "bytes a second at most; the suffixes are those of sizes" },
    { "fetch", "--connections", " number", "to the server, at a time (default: 4)" },
    { "fetch", "-O", " output_fmt",
      "format of the image that is made (default: the file stays as it is)" },
    { "fetch", "-c", "", "compress the data (with -O)" },
    { "fetch", "-f", " fmt", "format of the image that is fetched; without it, it is guessed" },
    { NULL, "--target-is-zero", "", "the target reads as zeros: do not write zeros (with -n)" },
    { "compare", "-f", " fmt", "format of the first image" },
    { "compare", "-F", " fmt", "format of the second image" },
    { "create", "-f", " fmt", "format of the new image (default: raw)" },
    { NULL, "-f", " fmt", "format of the image; without it, it is guessed from the content" },
    { NULL, "-O", " output_fmt", "format of the new image (default: raw)" },
    { "commit", "-b", " base", "write into this image of the chain; implies -d" },
    { "create", "-b", " backing_file", "make an overlay of this image" },
    { "rebase", "-b", " backing_file", "the new backing file; \"\": none" },
    { "bitmap", "-b", " source_file",
      "the image that has the bitmap to merge (default: the same)" },
    { "bitmap", "-F", " source_fmt", "format of that image" },
    { "bitmap", "-g", " granularity", "bytes that one bit of a new bitmap stands for" },
    { "bitmap", "--add", "", "make a bitmap; what is written from now on is recorded" },
    { "bitmap", "--remove", "", "remove the bitmap" },
    { "bitmap", "--clear", "", "forget what was recorded" },
    { "bitmap", "--enable", "", "record what is written from now on" },
    { "bitmap", "--disable", "", "record nothing from now on" },
    { "bitmap", "--merge", "=source", "add what this bitmap has recorded" },
    { "bitmap", "--list", "", "show the bitmaps and how much is dirty" },
    { NULL, "-B", " backing_file", "make an overlay of this image, with what differs from it" },
    { NULL, "-F", " backing_fmt", "format of the backing file" },
    { "rebase", "-u", "", "only change the name, do not look at any content" },
    { "create", "-u", "", "do not open the backing file" },
    { "amend", "-o", " options", "what to change, name=value,...; 'help' lists the names" },
    { "amend", "--force", "", "make changes that may make the image unusable" },
    { NULL, "-o", " options", "options of the new image, name=value,...; 'help' lists them" },
    { "convert", "-l", " snapshot_param", "copy what this snapshot holds" },
    { "measure", "-l", " snapshot_param", "measure what this snapshot holds" },
    { "bench", "-c", " count", "number of requests (default: 75000)" },
    { "bench", "-d", " depth", "so many requests at a time (default: 64)" },
    { NULL, "--flush-interval", "=flush_interval", "flush after so many writes" },
    { "bench", "-i", " aio", "threads, native or io_uring; all mean threads of this program" },
    { "bench", "-n", "", "same as -i native" },
    { NULL, "--no-drain", "", "flush while other requests are in flight" },
    { "bench", "-o", " offset", "where the first request is made (default: 0)" },
    { NULL, "--pattern", "=pattern", "the byte that is written (default: 0)" },
    { "bench", "-s", " buffer_size", "bytes of a request (default: 4096)" },
    { "bench", "-S", " step_size", "from one request to the next (default: buffer_size)" },
    { "bench", "-w", "", "write; otherwise, read" },
    { NULL, "--random", "", "requests at random places instead of one after the other" },
    { NULL, "--seed", "=N", "other random places" },
    { NULL, "--read-percent", "=N", "with -w: so many of a hundred requests are reads" },
    { NULL, "--latency", "", "print percentiles of the time that a request takes" },
    { NULL, "--size", " N", "size of the virtual disk" },
    { "dd", "bs", "=block_size", "bytes of a block (default: 512)" },
    { "dd", "count", "=blocks", "copy no more than this" },
    { "dd", "skip", "=blocks", "leave this out at the start of the input" },
    { "dd", "seek", "=blocks", "leave this free at the start of the output" },
    { "dd", "conv", "=list", "notrunc, noerror, fsync, fdatasync" },
    { "dd", "if", "=input", "the image that is read" },
    { "dd", "of", "=output", "the image that is made" },
    { "snapshot", "-l", "", "list the snapshots (default)" },
    { "snapshot", "-a", " snapshot", "go back to this snapshot" },
    { "snapshot", "-c", " snapshot", "take a snapshot" },
    { "snapshot", "-d", " snapshot", "delete this snapshot" },
    { "convert", "-c", "", "compress the data" },
    { "convert", "-n", "", "write into an image that exists" },
    { "convert", "-C", "", "let the kernel copy, where it can" },
    { "convert", "-W", "", "write in any order: faster on some disks, fragmented on others" },
    { "convert", "-m", " workers",
      "number of requests at a time, 1 to 16 (default: 4; to compress, more on many processors)" },
    { "convert", "-S", " sparse_size",
      "shortest run of zeros that is left out (default: 4k); 0: all are written" },
    { NULL, "--bitmaps", "", "copy the dirty bitmaps, too" },
    { NULL, "--skip-broken-bitmaps", "", "leave out those that are inconsistent" },
    { "convert", "--resume", "", "go on where an interrupted convert has stopped" },
    { NULL, "-r", " rate_limit", "bytes a second to copy at most" },
    { NULL, "--salvage", "", "what cannot be read is taken as zeros" },
    { "check", "-r", " leaks|all", "repair leaks only, or everything" },
    { "commit", "-d", "", "do not empty the overlay afterwards" },
    { "rebase", "-c", "", "compress what is copied into the image" },
    { "compare", "-s", "", "sizes and allocation must be equal, too" },
    { NULL, "--backing-chain", "", "show the backing files as well" },
    { NULL, "--children", "", "show the files below the image, too" },
    { NULL, "--limits", "", "show what requests suit the image best" },
    { NULL, "--start-offset", "=offset", "begin there" },
    { NULL, "--max-length", "=len", "show no more than this" },
    { NULL, "--preallocation", "=prealloc", "off, metadata, falloc or full: for the new space" },
    { NULL, "--shrink", "", "the image may get smaller and lose what is beyond its end" },
    { "serve", "-w", "", "clients may write (--writable)" },
    { "serve", "-r", "", "clients may only read (--read-only)" },
    { "serve", "-p", " port", "listen at this TCP port (default: 10809)" },
    { "serve", "-b", " host", "listen at this address (default: localhost; qemu-nbd: all)" },
    { "serve", "-k", " socket", "listen at this socket in the file system" },
    { "serve", "-e", " num",
      "serve so many clients at a time; 0 (default; qemu-nbd: 1): no limit" },
    { "serve", "-t", "", "do not end with the last client (default, but for qemu-nbd)" },
    { "serve", "--once", "", "end when the last client has gone" },
    { "serve", "-x", " name", "the export's name; once for each image" },
    { "serve", "-D", " text", "a description for those who list exports" },
    { "serve", "-o", " offset", "leave out what is before this offset in the image" },
    { "serve", "-s", "", "writes go to a temporary overlay: the image does not change" },
    { "serve", "-l", " snapshot_param", "serve what this snapshot holds, read-only" },
    { "serve", "-A", "", "show the depth of each allocation in the backing chain" },
    { "serve", "-B", " bitmap", "show this dirty bitmap; may be given several times" },
    { "serve", "-n", "", "same as --cache=none" },
    { "serve", "--cache", "=cache", "how the image is cached, as -t of other commands" },
    { "serve", "--aio", "=mode",
      "threads, native or io_uring: accepted, requests are made by threads" },
    { "serve", "--discard", "=mode",
      "unmap (default; qemu-nbd: ignore) or ignore: what becomes of trims" },
    { "serve", "--detect-zeroes", "=mode",
      "off, on or unmap: zeros that are written become zeroes" },
    { "serve", "--tls-creds", "=id",
      "the object with the TLS credentials (tls-creds-x509, -psk, -anon)" },
    { "serve", "--tls-authz", "=id",
      "the object that says who may connect (authz-simple, authz-list)" },
    { "serve", "--tls-hostname", "=host", "with -L: whose certificate the server must show" },
    { "serve", "--fork", "", "return when the server is ready, which goes on in the background" },
    { "serve", "--pid-file", "=path", "write the server's process id there" },
    { "serve", "-v", "", "tell what happens" },
    { "serve", "-c", " device", "connect the image to the kernel's NBD device" },
    { "serve", "-d", " device", "disconnect the kernel's NBD device" },
    { "serve", "-L", "", "list what another server offers, at -k or -b and -p" },
    { "io", "-c", " command", "a command; may be given several times" },
    { "io", "-r", "", "open the image for reading only" },
    { "io", "-n", "", "same as -t none" },
    { "io", "-s", "", "write to a temporary overlay: the image does not change" },
    { "io", "-V", "", "print the version" },
    { "io", "-d", " discard", "what becomes of discards: ignore or unmap" },
    { "io", "-C", "", "what backing files gave is stored in the image" },
    { "io", "-m", "", "buffers are not aligned (for O_DIRECT)" },
    { "io", "-k", "", "same as -i native" },
    { "io", "-i", " aio", "threads, native or io_uring: all do the same here" },
    { "io", "-T", " trace", "accepted; there are no trace points" },
    { "inspect", "--untrusted", "", "nothing the image says is believed (default)" },
    { "inspect", "--timeout", "=seconds", "how long it may take (default: 10)" },
    { "inspect", "--memory", "=size", "how much memory it may take (default: 1G)" },
    { "inspect", "--max-size", "=size", "a larger virtual size is refused (default: 64T)" },
    { "inspect", "--max-ratio", "=number",
      "a virtual size so many times that of the file is suspicious (default: 10000)" },
    { NULL, "--no-external", "", "open no file that the image names" },
    { NULL, "--trusted", "", "open whatever the image names, also if it came over the network" },
    { "convert", "-t", " cache",
      "how the target is cached: unsafe (default), writeback, none, writethrough or directsync" },
    { NULL, "-t", " cache",
      "how the image is cached: writeback (default), none, writethrough, directsync or unsafe" },
    { NULL, "-T", " src_cache", "how what is read is cached: writeback (default) or none" },
    { NULL, "--output", "=ofmt", "how it is printed: human (default) or json" },
    { NULL, "-p", "", "show progress: a bar on a terminal, else the percentage" },
    { NULL, "--progress", "=json[,fd=N]",
      "show progress as JSON lines, on stderr or descriptor N" },
    { NULL, "-q", "", "print errors only" },
    { NULL, "-U", "", "open the image although it is in use elsewhere" },
};

/* Is the option in the line of arguments? Between brackets and blanks, maybe before a "=". */
static bool usage_has(const char *usage, const char *option)
{
    size_t len = strlen(option);

    for (const char *p = usage; (p = strstr(p, option)); p += len)
        if ((p == usage || strchr("[( ", p[-1])) && (!p[len] || strchr(" ])=", p[len])))
            return true;
    return false;
}

/* Does the entry speak of this command's option? A general entry yields to a special one. */
static bool entry_applies(const OptionHelp *o, const Command *cmd)
{
    if (!usage_has(cmd->usage, o->option))
        return false;
    if (o->command)
        return strcmp(o->command, cmd->name) == 0;
    for (const OptionHelp *s = option_help; s < option_help + ARRAY_LEN(option_help); s++)
        if (s->command && strcmp(s->option, o->option) == 0 && strcmp(s->command, cmd->name) == 0)
            return false;
    return true;
}

void command_each_option(const Command *cmd, EachOption *each, void *opaque)
{
    for (size_t i = 0; i < ARRAY_LEN(option_help); i++) {
        const OptionHelp *o = &option_help[i];

        if (entry_applies(o, cmd))
            each(opaque, cmd, o->option, o->argument, o->text);
    }
}
