
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#define _GNU_SOURCE                       /* ppoll() */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "ctl.h"
#include "ctl_term.h"


#define CTL_SCREEN_ENTER  "\033[?1049h\033[?25l\033[H\033[2J"
#define CTL_SCREEN_LEAVE  "\033[?25h\033[?1049l"


static void ctl_signal(int signo);
static void ctl_alarm(int signo);
static void ctl_alarm_say(const char *text);
static ctl_pause_t ctl_pause_key(void);
static void ctl_screen_enter(void);
static void ctl_screen_leave(void);
static void ctl_screen_stop(void);
static void ctl_screen_put(const char *bytes, size_t len);


static const int  ctl_ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

static volatile sig_atomic_t  ctl_ended;
static volatile sig_atomic_t  ctl_stopped;
static volatile sig_atomic_t  ctl_resized;

static volatile sig_atomic_t  ctl_doubtful;

static int             ctl_timeout_set;
static int             ctl_screen_open;
static int             ctl_keys;          /* they come one by one */
static struct termios  ctl_termios;


/* Signals */


void
ctl_signals_begin(void)
{
    size_t            i;
    struct sigaction  action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = ctl_signal;
    sigemptyset(&action.sa_mask);

    for (i = 0; i < sizeof(ctl_ending) / sizeof(ctl_ending[0]); i++) {
        sigaction(ctl_ending[i], &action, NULL);
    }

    sigaction(SIGWINCH, &action, NULL);

    if (ctl_timeout_set) {
        sigaction(SIGALRM, &action, NULL);
    }
}


/* by the very signal, so that a shell knows */

void
ctl_signals_end(void)
{
    int     signo;
    size_t  i;

    for (i = 0; i < sizeof(ctl_ending) / sizeof(ctl_ending[0]); i++) {
        signal(ctl_ending[i], SIG_DFL);
    }

    if (ctl_timeout_set) {
        signal(SIGALRM, ctl_alarm);
    }

    signo = ctl_ended;

    if (signo) {
        raise(signo);
    }
}


int
ctl_interrupted(void)
{
    return ctl_ended != 0;
}


void
ctl_timeout(double seconds)
{
    struct itimerval  timer;

    memset(&timer, 0, sizeof(timer));

    timer.it_value.tv_sec = (time_t) seconds;
    timer.it_value.tv_usec = (suseconds_t)
                             ((seconds - (double) timer.it_value.tv_sec)
                              * 1e6);

    ctl_timeout_set = 1;
    signal(SIGALRM, ctl_alarm);

    (void) setitimer(ITIMER_REAL, &timer, NULL);
}


void
ctl_in_doubt(int doubtful)
{
    ctl_doubtful = doubtful;
}


/* what has been written is with the kernel, but for a line under way */

static void
ctl_alarm(int signo)
{
    ctl_alarm_say("canaryctl: it is not done within --timeout\n");

    if (ctl_doubtful) {
        ctl_alarm_say(CTL_DOUBT "\n");
    }

    _exit(CTL_TIMED_OUT);
}


static void
ctl_alarm_say(const char *text)
{
    ssize_t  n;

    n = write(STDERR_FILENO, text, strlen(text));

    (void) n;
}


static void
ctl_signal(int signo)
{
    switch (signo) {

    case SIGWINCH:
        ctl_resized = 1;
        break;

    case SIGTSTP:
        ctl_stopped = 1;
        break;

    default:
        ctl_ended = signo;
        break;
    }
}


/* Signals are blocked but in ppoll(), so that none is missed before it. */

ctl_pause_t
ctl_pause(double seconds)
{
    int              n;
    double           end, left;
    sigset_t         all, old;
    ctl_pause_t      rc;
    struct pollfd    key;
    struct timespec  timeout;

    key.fd = ctl_keys ? STDIN_FILENO : -1;
    key.events = POLLIN;

    rc = CTL_PAUSE_OVER;
    end = ctl_clock() + seconds;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &old);

    for ( ;; ) {

        if (ctl_ended) {
            rc = CTL_PAUSE_QUIT;
            break;
        }

        if (ctl_stopped) {
            sigprocmask(SIG_SETMASK, &old, NULL);
            ctl_screen_stop();
            sigprocmask(SIG_BLOCK, &all, NULL);
            ctl_resized = 1;
        }

        if (ctl_resized) {
            ctl_resized = 0;
            rc = CTL_PAUSE_RESIZED;
            break;
        }

        left = end - ctl_clock();

        if (left <= 0) {
            break;
        }

        timeout.tv_sec = (time_t) left;
        timeout.tv_nsec = (long) ((left - (double) timeout.tv_sec) * 1e9);

        n = ppoll(&key, 1, &timeout, &old);

        if (n > 0 && ctl_pause_key() == CTL_PAUSE_QUIT) {
            rc = CTL_PAUSE_QUIT;
            break;
        }
    }

    sigprocmask(SIG_SETMASK, &old, NULL);

    return rc;
}


static ctl_pause_t
ctl_pause_key(void)
{
    char     key;
    ssize_t  n;

    n = read(STDIN_FILENO, &key, 1);

    if (n == 1) {
        return (key == 'q' || key == 'Q') ? CTL_PAUSE_QUIT : CTL_PAUSE_OVER;
    }

    /* nobody is at the keys any more */

    if (n == 0 || errno != EINTR) {
        ctl_keys = 0;
        return CTL_PAUSE_QUIT;
    }

    return CTL_PAUSE_OVER;
}


double
ctl_clock(void)
{
    struct timespec  now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}


/* The screen */


void
ctl_screen_begin(void)
{
    static int        registered;
    struct sigaction  action;

    if (!registered) {
        registered = 1;
        atexit(ctl_screen_end);
    }

    memset(&action, 0, sizeof(action));
    action.sa_handler = ctl_signal;
    sigemptyset(&action.sa_mask);
    sigaction(SIGTSTP, &action, NULL);

    ctl_screen_open = 1;
    ctl_screen_enter();
}


void
ctl_screen_end(void)
{
    if (!ctl_screen_open) {
        return;
    }

    ctl_screen_open = 0;
    ctl_screen_leave();
    signal(SIGTSTP, SIG_DFL);
}


static void
ctl_screen_enter(void)
{
    struct termios  keys;

    /* a program in the background would be stopped for touching them */

    if (isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp()
        && tcgetattr(STDIN_FILENO, &ctl_termios) == 0)
    {
        keys = ctl_termios;
        keys.c_lflag &= (tcflag_t) ~(ICANON|ECHO);
        keys.c_cc[VMIN] = 1;
        keys.c_cc[VTIME] = 0;

        ctl_keys = (tcsetattr(STDIN_FILENO, TCSADRAIN, &keys) == 0);
    }

    ctl_screen_put(CTL_SCREEN_ENTER, sizeof(CTL_SCREEN_ENTER) - 1);
}


static void
ctl_screen_leave(void)
{
    ctl_screen_put(CTL_SCREEN_LEAVE, sizeof(CTL_SCREEN_LEAVE) - 1);

    if (ctl_keys) {
        ctl_keys = 0;
        tcsetattr(STDIN_FILENO, TCSADRAIN, &ctl_termios);
    }
}


/* Control-Z: the terminal is the shell's until the program goes on */

static void
ctl_screen_stop(void)
{
    ctl_stopped = 0;

    ctl_screen_leave();
    raise(SIGSTOP);
    ctl_screen_enter();
}


/*
 * Each line is written over the old one and the rest erased, which does not
 * flicker; what does not fit is left out.
 */

void
ctl_screen_draw(const ctl_term_t *term, const ctl_text_t *lines)
{
    size_t       row;
    const char  *line, *end;
    ctl_text_t   out = { NULL, 0, 0 };

    ctl_text_adds(&out, "\033[H");

    line = lines->data;

    for (row = 0; row < term->rows; row++) {
        end = strchr(line, '\n');

        if (end == NULL) {
            break;
        }

        if (row) {
            ctl_text_adds(&out, "\r\n");
        }

        ctl_text_add(&out, line, (size_t) (end - line));
        ctl_text_adds(&out, "\033[K");

        line = end + 1;
    }

    ctl_text_adds(&out, "\033[J");

    ctl_screen_put(out.data, out.len);

    ctl_text_free(&out);
}


static void
ctl_screen_put(const char *bytes, size_t len)
{
    ssize_t  n;

    while (len) {
        n = write(STDOUT_FILENO, bytes, len);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            return;
        }

        bytes += n;
        len -= (size_t) n;
    }
}
