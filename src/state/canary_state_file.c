
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#define _POSIX_C_SOURCE  200809L
#define _FILE_OFFSET_BITS  64


#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "canary_state_file.h"


#define CANARY_STATE_LOCK  "state.lock"
#define CANARY_STATE_NEW   "state.json.new"
#define CANARY_STATE_KIN   "state."

#define CANARY_STATE_OWNER_IS  "prefix "   /* a name begins so */

#define CANARY_EVENTS_KIN  "events.jsonl"


static int canary_state_file_is_there(int fd, const char *path);
static void canary_state_file_sign(int fd, const char *owner);
static int canary_state_file_signed(int fd, char owner[CANARY_STATE_OWNER]);
static int canary_state_file_others(const char *dir, off_t start,
    pid_t writer);
static int canary_state_file_fill(int fd, const char *text, size_t len,
    canary_state_file_id_t *id, canary_state_file_error_t *error);
static int canary_state_file_rename(const char *dir, const char *from,
    const char *to, canary_state_file_error_t *error);
static int canary_state_file_load(int fd, size_t max, char **text, size_t *len,
    canary_state_file_id_t *id, canary_state_file_error_t *error);


int
canary_state_file_is_ours(const char *name)
{
    return strncmp(name, CANARY_STATE_KIN, sizeof(CANARY_STATE_KIN) - 1) == 0
           || strncmp(name, CANARY_EVENTS_KIN, sizeof(CANARY_EVENTS_KIN) - 1)
              == 0;
}


/*
 * The holder has all of the file locked, and only its first byte when it is
 * about to end: so whatever happens to it, nothing has to be tidied up.
 */

int
canary_state_file_lock(const char *dir, const char *owner, int *fd,
    pid_t *holder, canary_state_file_error_t *error)
{
    int           taken;
    char          path[PATH_MAX];
    struct stat   st;
    struct flock  lock;

    *fd = -1;
    *holder = 0;

    if (canary_state_file_path(dir, CANARY_STATE_LOCK, path, error) != 0) {
        return -1;
    }

    *fd = open(path, O_RDWR|O_CREAT|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK|O_NOCTTY,
               0600);

    if (*fd == -1) {
        return canary_state_file_fail("open() of \"" CANARY_STATE_LOCK "\"",
                                      error);
    }

    memset(&lock, 0, sizeof(lock));
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;

    if (fstat(*fd, &st) == -1 || !S_ISREG(st.st_mode)) {
        errno = EINVAL;
        taken = 0;

    } else if (fcntl(*fd, F_SETLK, &lock) == 0) {

        if (canary_state_file_is_there(*fd, path)) {
            canary_state_file_sign(*fd, owner);
            return 1;
        }

        taken = 1;

    } else {
        taken = (errno == EAGAIN || errno == EACCES);
    }

    if (!taken) {
        (void) canary_state_file_fail("fcntl() of \"" CANARY_STATE_LOCK "\"",
                                      error);

    } else if (fcntl(*fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK) {
        *holder = lock.l_pid;
    }

    (void) close(*fd);
    *fd = -1;

    return taken ? 0 : -1;
}


/* whether the file that was opened has not been removed or replaced */

static int
canary_state_file_is_there(int fd, const char *path)
{
    struct stat  own, there;

    return fstat(fd, &own) == 0 && lstat(path, &there) == 0
           && own.st_dev == there.st_dev && own.st_ino == there.st_ino;
}


/* a full disk is no reason to write nothing: without a name it is as before */

static void
canary_state_file_sign(int fd, const char *owner)
{
    char  present[CANARY_STATE_OWNER];

    if (!canary_state_file_signed(fd, present)
        || strcmp(present, owner) == 0)
    {
        return;
    }

    if (ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0
        && canary_state_file_put(fd, owner, strlen(owner)) == 0)
    {
        (void) canary_state_file_put(fd, "\n", 1);
    }
}


/* whether what is in a lock file is a name, or nothing */

static int
canary_state_file_signed(int fd, char owner[CANARY_STATE_OWNER])
{
    ssize_t  n;
    char    *p;

    n = pread(fd, owner, CANARY_STATE_OWNER - 1, 0);

    owner[(n > 0) ? n : 0] = '\0';
    owner[strcspn(owner, "\n")] = '\0';

    for (p = owner; *p; p++) {
        if ((unsigned char) *p < 0x20 || *p == 0x7f) {
            *p = '?';
        }
    }

    return n == 0 || strncmp(owner, CANARY_STATE_OWNER_IS,
                             sizeof(CANARY_STATE_OWNER_IS) - 1) == 0;
}


void
canary_state_file_owner(const char *dir, char owner[CANARY_STATE_OWNER])
{
    int                        fd;
    char                       path[PATH_MAX];
    canary_state_file_error_t  error;

    owner[0] = '\0';

    if (canary_state_file_path(dir, CANARY_STATE_LOCK, path, &error) != 0) {
        return;
    }

    fd = open(path, O_RDONLY|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK|O_NOCTTY);

    if (fd == -1) {
        return;
    }

    if (!canary_state_file_signed(fd, owner)) {
        owner[0] = '\0';
    }

    (void) close(fd);
}


int
canary_state_file_holds(const char *dir, int fd)
{
    char                       path[PATH_MAX];
    canary_state_file_error_t  error;

    return canary_state_file_path(dir, CANARY_STATE_LOCK, path, &error) == 0
           && canary_state_file_is_there(fd, path);
}


void
canary_state_file_ending(int fd)
{
    struct flock  lock;

    memset(&lock, 0, sizeof(lock));
    lock.l_type = F_UNLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = 1;

    (void) fcntl(fd, F_SETLK, &lock);
}


int
canary_state_file_locked(const char *dir)
{
    return canary_state_file_others(dir, 0, 0);
}


int
canary_state_file_kept(const char *dir, pid_t writer)
{
    return canary_state_file_others(dir, 1, writer);
}


/* creates nothing: whoever asks may not be who is to write */

static int
canary_state_file_others(const char *dir, off_t start, pid_t writer)
{
    int                        fd, locked;
    char                       path[PATH_MAX];
    struct flock               lock;
    canary_state_file_error_t  error;

    if (canary_state_file_path(dir, CANARY_STATE_LOCK, path, &error) != 0) {
        return 0;
    }

    fd = open(path, O_RDWR|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK|O_NOCTTY);

    if (fd == -1) {
        return 0;
    }

    memset(&lock, 0, sizeof(lock));
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = start;

    locked = (fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK
              && (writer == 0 || lock.l_pid != writer));

    (void) close(fd);

    return locked;
}


void
canary_state_file_hand_over(const char *dir, uid_t user)
{
    int                        fd;
    char                       path[PATH_MAX], owner[CANARY_STATE_OWNER];
    struct stat                st;
    canary_state_file_error_t  error;

    if (canary_state_file_path(dir, CANARY_STATE_LOCK, path, &error) != 0) {
        return;
    }

    fd = open(path, O_RDONLY|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK|O_NOCTTY);

    if (fd == -1) {
        return;
    }

    /* the directory is the workers', who might have put another file there */

    if (fstat(fd, &st) == 0
        && S_ISREG(st.st_mode) && st.st_nlink == 1
        && st.st_size < CANARY_STATE_OWNER
        && canary_state_file_signed(fd, owner)
        && st.st_uid != user
        && fchown(fd, user, (gid_t) -1) == -1)
    {
        /* whoever cannot open it will say so */
    }

    (void) close(fd);
}


int
canary_state_file_write(const char *dir, const char *text, size_t len,
    const canary_state_file_guard_t *guard, canary_state_file_id_t *id,
    canary_state_file_error_t *error)
{
    int                     fd, rc;
    char                    path[PATH_MAX];
    canary_state_file_id_t  written;

    memset(id, 0, sizeof(canary_state_file_id_t));

    rc = canary_state_file_check(dir, guard, error);

    if (rc != 0) {
        return rc;
    }

    if (canary_state_file_path(dir, CANARY_STATE_NEW, path, error) != 0) {
        return -1;
    }

    /* what an earlier writer may have left behind, whatever it is */

    if (unlink(path) == -1 && errno != ENOENT) {
        return canary_state_file_fail("unlink() of \"" CANARY_STATE_NEW "\"",
                                      error);
    }

    fd = open(path, O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC|O_NOFOLLOW, 0600);

    if (fd == -1) {
        return canary_state_file_fail("open() of \"" CANARY_STATE_NEW "\"",
                                      error);
    }

    rc = canary_state_file_fill(fd, text, len, &written, error);

    if (close(fd) == -1 && rc == 0) {
        rc = canary_state_file_fail("close() of \"" CANARY_STATE_NEW "\"",
                                    error);
    }

    /* all that may take its time is done */

    if (rc == 0) {
        rc = canary_state_file_check(dir, guard, error);
    }

    if (rc != 0) {
        (void) unlink(path);
        return rc;
    }

    if (canary_state_file_rename(dir, CANARY_STATE_NEW, CANARY_STATE_FILE,
                                 error)
        != 0)
    {
        return -1;
    }

    *id = written;

    return canary_state_file_sync_dir(dir, error);
}


int
canary_state_file_check(const char *dir,
    const canary_state_file_guard_t *guard, canary_state_file_error_t *error)
{
    canary_state_file_id_t  id;

    if (!canary_state_file_holds(dir, guard->lock)) {
        return CANARY_STATE_FILE_UNLOCKED;
    }

    if (canary_state_file_stat(dir, &id) == -1) {
        return canary_state_file_fail("lstat()", error);
    }

    return (memcmp(&id, &guard->file, sizeof(canary_state_file_id_t)) == 0)
           ? 0 : CANARY_STATE_FILE_REPLACED;
}


static int
canary_state_file_fill(int fd, const char *text, size_t len,
    canary_state_file_id_t *id, canary_state_file_error_t *error)
{
    struct stat  st;

    if (canary_state_file_put(fd, text, len) == -1) {
        return canary_state_file_fail("write() to \"" CANARY_STATE_NEW "\"",
                                      error);
    }

    if (fsync(fd) == -1) {
        return canary_state_file_fail("fsync() of \"" CANARY_STATE_NEW "\"",
                                      error);
    }

    if (fstat(fd, &st) == -1) {
        return canary_state_file_fail("fstat() of \"" CANARY_STATE_NEW "\"",
                                      error);
    }

    canary_state_file_identify(&st, id);

    return 0;
}


int
canary_state_file_put(int fd, const char *text, size_t len)
{
    ssize_t  n;

    while (len) {
        n = write(fd, text, len);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            errno = (n == 0) ? ENOSPC : errno;
            return -1;
        }

        text += n;
        len -= (size_t) n;
    }

    return 0;
}


static int
canary_state_file_rename(const char *dir, const char *from, const char *to,
    canary_state_file_error_t *error)
{
    char  old[PATH_MAX], new[PATH_MAX];

    if (canary_state_file_path(dir, from, old, error) != 0
        || canary_state_file_path(dir, to, new, error) != 0)
    {
        return -1;
    }

    if (rename(old, new) == -1) {
        return canary_state_file_fail("rename() to \"" CANARY_STATE_FILE
                                      "\"", error);
    }

    return 0;
}


int
canary_state_file_sync_dir(const char *dir, canary_state_file_error_t *error)
{
    int  fd, rc;

    fd = open(dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == -1) {
        return canary_state_file_fail("open() of the directory", error);
    }

    rc = fsync(fd);

    if (rc == -1) {
        (void) canary_state_file_fail("fsync() of the directory", error);
    }

    (void) close(fd);

    return rc;
}


int
canary_state_file_read(const char *dir, size_t max, char **text, size_t *len,
    canary_state_file_id_t *id, canary_state_file_error_t *error)
{
    int   fd, rc;
    char  path[PATH_MAX];

    *text = NULL;

    if (canary_state_file_path(dir, CANARY_STATE_FILE, path, error) != 0) {
        return -1;
    }

    /*
     * The directory is the workers', and root may read it: nothing is found
     * through a link, and nothing that lies there is waited for.
     */

    fd = open(path, O_RDONLY|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK|O_NOCTTY);

    if (fd == -1) {
        return (errno == ENOENT)
               ? 0 : canary_state_file_fail("open()", error);
    }

    rc = canary_state_file_load(fd, max, text, len, id, error);

    (void) close(fd);

    return rc;
}


static int
canary_state_file_load(int fd, size_t max, char **text, size_t *len,
    canary_state_file_id_t *id, canary_state_file_error_t *error)
{
    size_t       size;
    ssize_t      n;
    struct stat  st;

    if (fstat(fd, &st) == -1) {
        return canary_state_file_fail("fstat()", error);
    }

    if (!S_ISREG(st.st_mode)) {
        errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
        return canary_state_file_fail("read()", error);
    }

    if (st.st_size < 0 || (uint64_t) st.st_size > max) {
        errno = EFBIG;
        return canary_state_file_fail("read()", error);
    }

    canary_state_file_identify(&st, id);

    size = (size_t) st.st_size;

    *text = malloc(size + 1);
    if (*text == NULL) {
        return canary_state_file_fail("malloc()", error);
    }

    for (*len = 0; *len < size; *len += (size_t) n) {
        n = read(fd, *text + *len, size - *len);

        if (n == -1) {
            free(*text);
            *text = NULL;
            return canary_state_file_fail("read()", error);
        }

        if (n == 0) {
            break;
        }
    }

    (*text)[*len] = '\0';

    return 1;
}


int
canary_state_file_stat(const char *dir, canary_state_file_id_t *id)
{
    char                       path[PATH_MAX];
    struct stat                st;
    canary_state_file_error_t  error;

    memset(id, 0, sizeof(canary_state_file_id_t));

    if (canary_state_file_path(dir, CANARY_STATE_FILE, path, &error) != 0) {
        return -1;
    }

    if (lstat(path, &st) == -1) {
        return (errno == ENOENT) ? 0 : -1;
    }

    canary_state_file_identify(&st, id);

    return 1;
}


int
canary_state_file_aside(const char *dir, const char *name,
    canary_state_file_error_t *error)
{
    return canary_state_file_rename(dir, CANARY_STATE_FILE, name, error);
}


int
canary_state_file_keep(const char *dir, const char *name,
    canary_state_file_error_t *error)
{
    char  old[PATH_MAX], new[PATH_MAX];

    if (canary_state_file_path(dir, CANARY_STATE_FILE, old, error) != 0
        || canary_state_file_path(dir, name, new, error) != 0)
    {
        return -1;
    }

    return (link(old, new) == 0) ? 0 : canary_state_file_fail("link()", error);
}


int
canary_state_file_path(const char *dir, const char *name, char *path,
    canary_state_file_error_t *error)
{
    int  n;

    n = snprintf(path, PATH_MAX, "%s/%s", dir, name);

    if (n < 0 || n >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return canary_state_file_fail("open()", error);
    }

    return 0;
}


void
canary_state_file_identify(const struct stat *st, canary_state_file_id_t *id)
{
    id->device = (uint64_t) st->st_dev;
    id->inode = (uint64_t) st->st_ino;
    id->size = (uint64_t) st->st_size;
    id->mtime = (uint64_t) st->st_mtim.tv_sec * 1000000000
                + (uint64_t) st->st_mtim.tv_nsec;
}


int
canary_state_file_fail(const char *call, canary_state_file_error_t *error)
{
    error->call = call;
    error->err = errno;

    return -1;
}
