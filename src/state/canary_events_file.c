
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#define _POSIX_C_SOURCE  200809L
#define _FILE_OFFSET_BITS  64


#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "canary_events_file.h"


#define CANARY_EVENTS_FLAGS  (O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK|O_NOCTTY)

/* how its first line begins */

#define CANARY_EVENTS_ID     "{\"id\":"
#define CANARY_EVENTS_VOID   "{\"void\":"


typedef struct {
    int     fd;
    off_t   size;
    int     torn;         /* its last line has no end */
    int     created;      /* by us */
} canary_events_to_t;


static int canary_events_open_to(const char *dir, canary_events_to_t *to,
    canary_state_file_error_t *error);
static int canary_events_look(canary_events_to_t *to);
static size_t canary_events_fit(const char *text, size_t len,
    const canary_events_to_t *to);
static int canary_events_rotate(const char *dir,
    canary_state_file_error_t *error);
static int canary_events_add(const char *dir, const canary_events_to_t *to,
    const char *text, size_t len, canary_state_file_error_t *error);
static int canary_events_is_ours(int fd);


int
canary_events_append(const char *dir, const char *text, size_t len,
    canary_state_file_error_t *error)
{
    int                 rc;
    size_t              n;
    canary_events_to_t  to;

    for (rc = 0; rc == 0 && len; text += n, len -= n) {

        if (canary_events_open_to(dir, &to, error) != 0) {
            return -1;
        }

        n = canary_events_fit(text, len, &to);

        rc = n ? canary_events_add(dir, &to, text, n, error)
               : canary_events_rotate(dir, error);

        (void) close(to.fd);
    }

    return rc;
}


/* each time anew: it is always what is at the path now */

static int
canary_events_open_to(const char *dir, canary_events_to_t *to,
    canary_state_file_error_t *error)
{
    char  path[PATH_MAX];

    memset(to, 0, sizeof(canary_events_to_t));

    if (canary_state_file_path(dir, CANARY_EVENTS_FILE, path, error) != 0) {
        return -1;
    }

    to->fd = open(path, O_RDWR|O_APPEND|CANARY_EVENTS_FLAGS);

    if (to->fd == -1 && errno == ENOENT) {
        to->fd = open(path, O_RDWR|O_APPEND|O_CREAT|O_EXCL
                            |CANARY_EVENTS_FLAGS, 0600);
        to->created = 1;
    }

    if (to->fd == -1) {
        return canary_state_file_fail("open() of \"" CANARY_EVENTS_FILE "\"",
                                  error);
    }

    if (canary_events_look(to) == 0) {
        return 0;
    }

    (void) canary_state_file_fail("open() of \"" CANARY_EVENTS_FILE "\"", error);
    (void) close(to->fd);

    return -1;
}


static int
canary_events_look(canary_events_to_t *to)
{
    char         last;
    struct stat  st;

    if (fstat(to->fd, &st) == -1) {
        return -1;
    }

    if (!S_ISREG(st.st_mode)) {
        errno = EINVAL;
        return -1;
    }

    to->size = st.st_size;

    if (to->size == 0) {
        return 0;
    }

    if (pread(to->fd, &last, 1, to->size - 1) != 1) {
        return -1;
    }

    to->torn = (last != '\n');

    return 0;
}


/* the bytes of lines that the file has room for; 0: of none */

static size_t
canary_events_fit(const char *text, size_t len, const canary_events_to_t *to)
{
    size_t       room, n;
    const char  *end;

    room = ((uint64_t) to->size < CANARY_EVENTS_SIZE_MAX)
           ? CANARY_EVENTS_SIZE_MAX - (size_t) to->size : 0;

    if (len <= room) {
        return len;
    }

    for (n = room; n && text[n - 1] != '\n'; n--) { /* void */ }

    if (n == 0 && to->size == 0) {
        end = memchr(text, '\n', len);
        n = end ? (size_t) (end - text) + 1 : len;
    }

    return n;
}


/* what is in it is on the disk, as each append has been */

static int
canary_events_rotate(const char *dir, canary_state_file_error_t *error)
{
    char  path[PATH_MAX], old[PATH_MAX];

    if (canary_state_file_path(dir, CANARY_EVENTS_FILE, path, error) != 0
        || canary_state_file_path(dir, CANARY_EVENTS_OLD, old, error) != 0
        || rename(path, old) == -1)
    {
        return canary_state_file_fail("rename() to \"" CANARY_EVENTS_OLD "\"",
                                  error);
    }

    return 0;
}


/*
 * A line that an earlier append has left without its end is none: what is
 * appended begins on a line of its own.
 */

static int
canary_events_add(const char *dir, const canary_events_to_t *to,
    const char *text, size_t len, canary_state_file_error_t *error)
{
    const char  *call;

    call = NULL;

    if ((to->torn && canary_state_file_put(to->fd, "\n", 1) != 0)
        || canary_state_file_put(to->fd, text, len) != 0)
    {
        call = "write() to \"" CANARY_EVENTS_FILE "\"";

    } else if (fsync(to->fd) == -1) {
        call = "fsync() of \"" CANARY_EVENTS_FILE "\"";
    }

    if (call) {
        (void) canary_state_file_fail(call, error);

        /* else each attempt on a disk that fails would leave the lines there */

        if (ftruncate(to->fd, to->size) == -1) {
            /* they are there twice: who reads takes each once */
        }

        return -1;
    }

    return to->created ? canary_state_file_sync_dir(dir, error) : 0;
}


void
canary_events_hand_over(const char *dir, uid_t user)
{
    int                     fd;
    unsigned                i;
    struct stat             st;
    canary_state_file_id_t  id;

    static const char *const  names[] = {
        CANARY_EVENTS_FILE, CANARY_EVENTS_OLD
    };

    for (i = 0; i < 2; i++) {
        fd = canary_events_open(dir, names[i], &id);

        if (fd == -1) {
            continue;
        }

        /* the directory is the workers', who may have put any file there */

        if (fstat(fd, &st) == 0
            && st.st_nlink == 1 && st.st_uid != user
            && canary_events_is_ours(fd)
            && fchown(fd, user, (gid_t) -1) == -1)
        {
            /* whoever cannot open it will say so */
        }

        (void) close(fd);
    }
}


static int
canary_events_is_ours(int fd)
{
    char     text[sizeof(CANARY_EVENTS_VOID) - 1];
    ssize_t  n;

    n = pread(fd, text, sizeof(text), 0);

    return n == 0
           || (n == (ssize_t) sizeof(text)
               && (memcmp(text, CANARY_EVENTS_ID, sizeof(CANARY_EVENTS_ID) - 1)
                   == 0
                   || memcmp(text, CANARY_EVENTS_VOID, sizeof(text)) == 0));
}


int
canary_events_open(const char *dir, const char *name,
    canary_state_file_id_t *id)
{
    int                        fd;
    char                       path[PATH_MAX];
    struct stat                st;
    canary_state_file_error_t  error;

    if (canary_state_file_path(dir, name, path, &error) != 0) {
        return -1;
    }

    fd = open(path, O_RDONLY|CANARY_EVENTS_FLAGS);

    if (fd == -1) {
        return -1;
    }

    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
        (void) close(fd);
        errno = EINVAL;
        return -1;
    }

    canary_state_file_identify(&st, id);

    return fd;
}
