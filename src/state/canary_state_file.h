
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_STATE_FILE_H
#define CANARY_STATE_FILE_H


#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/stat.h>
#include <sys/types.h>

#include "canary_kept.h"


/*
 * The state file and its lock, by system calls alone: they are done by a
 * thread that nginx knows nothing of.
 *
 *   DIR/state.json       the state; replaced as a whole by a rename
 *   DIR/state.json.new   the next one while it is being written
 *   DIR/state.lock       whoever holds its fcntl lock may write, and has its
 *                        name in it: a line
 */


#define CANARY_STATE_FILE       "state.json"
#define CANARY_STATE_FILE_NAME  64      /* bytes, of a file in the directory */


/* What went wrong: the system call and of what, and its errno. */

typedef struct {
    const char  *call;
    int          err;
} canary_state_file_error_t;


/* Whether a file in a directory is one of these, of events, or of their kin. */

int canary_state_file_is_ours(const char *name);

/* A name begins with "prefix ", so that no other file is taken for a lock. */

#define CANARY_STATE_OWNER      (2 * PATH_MAX + 64)    /* bytes of a name, with
                                                          a zero */

/*
 * Takes the lock, and puts the name of the owner into it.  Returns 1 and a
 * descriptor to be kept open (closing it gives the lock back), 0 and the
 * process that has it (0: not known), or -1.
 */

int canary_state_file_lock(const char *dir, const char *owner, int *fd,
    pid_t *holder, canary_state_file_error_t *error);

/*
 * The name that is in the lock file, without the end of its line and without
 * control characters; "": there is none.  Not for the holder itself.
 */

void canary_state_file_owner(const char *dir, char owner[CANARY_STATE_OWNER]);

/*
 * What has to be as it was when a file is replaced: whoever may remove files
 * can make two processes have a lock.
 */

typedef struct {
    int                     lock;       /* descriptor, see below */
    canary_state_file_id_t  file;       /* last read or written */
} canary_state_file_guard_t;

#define CANARY_STATE_FILE_UNLOCKED  1   /* the lock is not there any more */
#define CANARY_STATE_FILE_REPLACED  2   /* the file is another one, or none */


/* Whether another process has the lock, as far as can be told. */

int canary_state_file_locked(const char *dir);

/* Whether the lock that was taken is still the one that others find. */

int canary_state_file_holds(const char *dir, int fd);

/*
 * The holder of the lock says that it is about to end; and whether another
 * process than that of a writer has the lock and has not said so.  Not for the
 * holder itself.
 */

void canary_state_file_ending(int fd);
int canary_state_file_kept(const char *dir, pid_t writer);

/*
 * Gives the lock file, if there is one, to the user who is to write.  Not for
 * a process that has the lock: it would lose it.
 */

void canary_state_file_hand_over(const char *dir, uid_t user);

/* 0: it is as it was; or one of the above, or -1. */

int canary_state_file_check(const char *dir,
    const canary_state_file_guard_t *guard, canary_state_file_error_t *error);

/*
 * Replaces the file; it is on the disk when this returns 0.  After -1 either
 * the old or the new one is there, and *id tells: it is not zero if it is the
 * new one.  Nothing is replaced if one of the above is returned, but between
 * the last look at lock and file and the rename there remains a moment.
 */

int canary_state_file_write(const char *dir, const char *text, size_t len,
    const canary_state_file_guard_t *guard, canary_state_file_id_t *id,
    canary_state_file_error_t *error);

/*
 * Reads the file, at most max bytes.  Returns 1 and a text that ends with a
 * zero, to be freed with free(); 0 if there is none; -1.
 */

int canary_state_file_read(const char *dir, size_t max, char **text,
    size_t *len, canary_state_file_id_t *id, canary_state_file_error_t *error);

/* Returns 1, 0 if there is no file, -1. */

int canary_state_file_stat(const char *dir, canary_state_file_id_t *id);

/* Gives the file, whatever it is, another name; -1: it is where it was. */

int canary_state_file_aside(const char *dir, const char *name,
    canary_state_file_error_t *error);

/* Gives it another name as well, so that it stays when it is replaced. */

int canary_state_file_keep(const char *dir, const char *name,
    canary_state_file_error_t *error);

/* The names in the directory are on the disk when this returns 0, else -1. */

int canary_state_file_sync_dir(const char *dir,
    canary_state_file_error_t *error);

void canary_state_file_identify(const struct stat *st,
    canary_state_file_id_t *id);

/* For what else lies there.  A path has PATH_MAX bytes; -1: it failed. */

int canary_state_file_path(const char *dir, const char *name, char *path,
    canary_state_file_error_t *error);

/* Writes all of a text; -1: errno tells why not. */

int canary_state_file_put(int fd, const char *text, size_t len);

/* Tells errno of a call; returns -1. */

int canary_state_file_fail(const char *call, canary_state_file_error_t *error);


#endif /* CANARY_STATE_FILE_H */
