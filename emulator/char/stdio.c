/*
 * stdio.c - the terminal (or whatever standard input and output are) as a character device.
 *
 * A terminal is put into raw mode and given back as it was on every way out, also from a fatal
 * signal: char_stdio_restore() makes nothing but system calls.
 */
#include <errno.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include "emulator/char/char.h"

static CharStream stream;
static struct termios saved, raw;
static volatile sig_atomic_t changed; /* the terminal is in raw mode now */
static bool in_use;

/*
 * What a guest leaves behind: SeaBIOS turns off the wrapping of long lines for ever (DECAWM), and
 * many a screen ends in colour.
 */
static const char sane_screen[] = "\033[?7h\033[0m";

void char_stdio_restore(void)
{
    if (!changed)
        return;
    changed = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &saved);
    if (isatty(STDOUT_FILENO) && write(STDOUT_FILENO, sane_screen, sizeof(sane_screen) - 1) < 0)
        return; /* hung up: nothing to clean */
}

void char_stdio_reapply(void)
{
    if (in_use && isatty(STDIN_FILENO)) {
        changed = 1;
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
}

/* Without `signals` Ctrl-C and friends go to the guest. */
static void make_raw(bool signals)
{
    if (tcgetattr(STDIN_FILENO, &saved) < 0)
        return;
    raw = saved;
    raw.c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    raw.c_oflag |= OPOST;
    raw.c_lflag &= ~(ECHO | ECHONL | ICANON | IEXTEN | (signals ? 0 : ISIG));
    raw.c_cflag = (raw.c_cflag & ~(CSIZE | PARENB)) | CS8;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    char_stdio_reapply();
}

static void stdio_close(CharBackend *be)
{
    (void)be;
    char_stream_stop(&stream);
    char_stdio_restore();
    in_use = false;
}

int char_stdio_open(bool signals, CharBackend **out, Error **err)
{
    if (in_use)
        return error_set(err, -EBUSY,
                         "standard input and output are used twice; "
                         "mon:stdio lets several lines share them");
    in_use = true;
    char_stream_init(&stream);
    stream.be.close = stdio_close;
    make_raw(signals);
    char_stream_start(&stream, STDIN_FILENO, STDOUT_FILENO);
    *out = &stream.be;
    return 0;
}
