
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * A disk that is slow, full or broken, for the state file and for what is below
 * a directory "quota"; also a zone that is full (slab.c) and a clock (clock.c):
 * loaded into nginx with LD_PRELOAD.  The file named by CANARY_FAULTS says what
 * happens, from then on, in lines:
 *
 *   CALL ERRNO MS
 *
 * CALL is open, write, fsync, rename or dirsync (fsync of the directory); read,
 * which is the opening of the file to read it; lock, that of the lock; append
 * and flush, which are write and fsync of the file of events; quota, which is
 * all that lets a file below such a directory grow.  It takes that many
 * milliseconds, with -1 until the line is gone, and then fails with ERRNO,
 * unless that is 0.
 * The file CANARY_FAULTS.log gets a line for each call that was done, and
 * "CALL..." when one begins to take its time.
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "faults.h"


/* nginx clears the environment of its processes */

static char  faults_path[PATH_MAX];
static char  faults_log[PATH_MAX];


static void faults_begin(void) __attribute__((constructor));
static int faults_meet(const char *call);
static void faults_sleep(int ms);
static int faults_is_state(const char *path);
static int faults_is(const char *path, const char *name);
static const char *faults_of(int fd, const char *file, const char *events,
    const char *dir);
static int faults_quota(int fd);


static void
faults_begin(void)
{
    const char  *path;

    path = getenv("CANARY_FAULTS");

    if (path) {
        (void) snprintf(faults_path, sizeof(faults_path), "%s", path);
        (void) snprintf(faults_log, sizeof(faults_log), "%s.log", path);
    }
}


/* 0, or the errno that the call is to fail with */

static int
faults_meet(const char *call)
{
    int   err, ms;
    char  text[32];

    if (!faults_find(call, &err, &ms)) {
        return 0;
    }

    if (ms) {
        (void) snprintf(text, sizeof(text), "%s...", call);
        faults_done(text);
    }

    if (ms >= 0) {
        faults_sleep(ms);
        return err;
    }

    while (ms < 0 && faults_find(call, &err, &ms)) {
        faults_sleep(5);
    }

    return err;
}


static void
faults_sleep(int ms)
{
    struct timespec  delay;

    delay.tv_sec = ms / 1000;
    delay.tv_nsec = (long) (ms % 1000) * 1000000;
    (void) nanosleep(&delay, NULL);
}


int
faults_find(const char *call, int *first, int *second)
{
    int      fd;
    char     text[512], name[16], *line, *next;
    ssize_t  n;

    fd = (int) syscall(SYS_openat, AT_FDCWD, faults_path, O_RDONLY, 0);

    if (fd == -1) {
        return 0;
    }

    n = read(fd, text, sizeof(text) - 1);
    (void) close(fd);

    if (n <= 0) {
        return 0;
    }

    text[n] = '\0';

    for (line = text; line; line = next) {
        next = strchr(line, '\n');
        next = next ? next + 1 : NULL;

        if (sscanf(line, "%15s %d %d", name, first, second) == 3
            && strcmp(name, call) == 0)
        {
            return 1;
        }
    }

    return 0;
}


void
faults_done(const char *call)
{
    int   fd, n;
    char  line[32];

    fd = (int) syscall(SYS_openat, AT_FDCWD, faults_log,
                       O_WRONLY|O_CREAT|O_APPEND, 0666);
    if (fd == -1) {
        return;
    }

    n = snprintf(line, sizeof(line), "%s\n", call);
    (void) syscall(SYS_write, fd, line, (size_t) n);
    (void) close(fd);
}


static int
faults_is_state(const char *path)
{
    return faults_path[0] && path && strstr(path, "/state.json.new");
}


static int
faults_is(const char *path, const char *name)
{
    if (faults_path[0] == '\0' || path == NULL) {
        return 0;
    }

    path = strrchr(path, '/');

    return path && strcmp(path, name) == 0;
}


/* what the descriptor is of: "file", "events", "dir" or nothing of ours */

static const char *
faults_of(int fd, const char *file, const char *events, const char *dir)
{
    char         link[64], path[PATH_MAX];
    ssize_t      n;
    struct stat  st;

    if (faults_path[0] == '\0') {
        return NULL;
    }

    (void) snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);

    if (n <= 0) {
        return NULL;
    }

    path[n] = '\0';

    if (strstr(path, "/state.json.new")) {
        return file;
    }

    if (strstr(path, "/events.jsonl")) {
        return events;
    }

    return (dir && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) ? dir : NULL;
}


/* 0, or the errno with which a file that is below "quota" may not grow */

static int
faults_quota(int fd)
{
    char     link[64], path[PATH_MAX];
    ssize_t  n;

    if (faults_path[0] == '\0') {
        return 0;
    }

    (void) snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);

    if (n <= 0) {
        return 0;
    }

    path[n] = '\0';

    return strstr(path, "/quota/") ? faults_meet("quota") : 0;
}


static int
faults_open(const char *path, int flags, mode_t mode)
{
    int          err;
    const char  *call;

    call = faults_is_state(path) ? "open"
           : faults_is(path, "/state.json") ? "read"
           : faults_is(path, "/state.lock") ? "lock" : NULL;

    if (call) {
        err = faults_meet(call);

        if (err) {
            errno = err;
            return -1;
        }
    }

    return (int) syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}


int
open(const char *path, int flags, ...)
{
    mode_t   mode;
    va_list  args;

    va_start(args, flags);
    mode = (flags & (O_CREAT|O_TMPFILE)) ? va_arg(args, mode_t) : 0;
    va_end(args);

    return faults_open(path, flags, mode);
}


int
open64(const char *path, int flags, ...)
{
    mode_t   mode;
    va_list  args;

    va_start(args, flags);
    mode = (flags & (O_CREAT|O_TMPFILE)) ? va_arg(args, mode_t) : 0;
    va_end(args);

    return faults_open(path, flags, mode);
}


ssize_t
write(int fd, const void *buf, size_t len)
{
    int          err;
    const char  *call;

    call = faults_of(fd, "write", "append", NULL);

    if (call) {
        err = faults_meet(call);

        if (err) {
            errno = err;
            return -1;
        }
    }

    return syscall(SYS_write, fd, buf, len);
}


ssize_t
pwrite64(int fd, const void *buf, size_t len, off64_t offset)
{
    int  err;

    err = faults_quota(fd);

    if (err) {
        errno = err;
        return -1;
    }

    return syscall(SYS_pwrite64, fd, buf, len, offset);
}


ssize_t
pwritev64(int fd, const struct iovec *iov, int n, off64_t offset)
{
    int      err;
    ssize_t  (*next)(int, const struct iovec *, int, off64_t);

    err = faults_quota(fd);

    if (err) {
        errno = err;
        return -1;
    }

    *(void **) &next = dlsym(RTLD_NEXT, "pwritev64");

    return next(fd, iov, n, offset);
}


int
posix_fallocate64(int fd, off64_t offset, off64_t len)
{
    int  err, (*next)(int, off64_t, off64_t);

    err = faults_quota(fd);

    if (err) {
        return err;
    }

    *(void **) &next = dlsym(RTLD_NEXT, "posix_fallocate64");

    return next(fd, offset, len);
}


int
fsync(int fd)
{
    int          err;
    const char  *call;

    call = faults_of(fd, "fsync", "flush", "dirsync");

    if (call) {
        err = faults_meet(call);

        if (err) {
            errno = err;
            return -1;
        }
    }

    if (syscall(SYS_fsync, fd) == -1) {
        return -1;
    }

    if (call) {
        faults_done(call);
    }

    return 0;
}


int
rename(const char *from, const char *to)
{
    int  err, (*next)(const char *, const char *);

    if (faults_is_state(from)) {
        err = faults_meet("rename");

        if (err) {
            errno = err;
            return -1;
        }
    }

    *(void **) &next = dlsym(RTLD_NEXT, "rename");

    if (next(from, to) == -1) {
        return -1;
    }

    if (faults_is_state(from)) {
        faults_done("rename");
    }

    return 0;
}
