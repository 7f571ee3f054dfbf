
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#define _DEFAULT_SOURCE                   /* flock() */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "canary_setting.h"
#include "ctl_position.h"


#define CTL_POSITION_MAX  128             /* bytes of the file */


static int ctl_position_lock(ctl_position_t *position);
static ctl_exit_t ctl_position_read(ctl_position_t *position);


ctl_exit_t
ctl_position_open(ctl_position_t *position, const char *name)
{
    position->fd = open(name, O_RDWR|O_CREAT|O_CLOEXEC, 0644);

    if (position->fd == -1 || !ctl_position_lock(position)) {
        ctl_error("--state cannot use %s for the number of the last event: "
                  "%s%s", name, strerror(errno),
                  (errno == ENOENT) ? "; its directory has to be there" : "");
        return CTL_FAILED;
    }

    position->name = name;

    return ctl_position_read(position);
}


void
ctl_position_close(ctl_position_t *position)
{
    if (position->name) {
        close(position->fd);
    }
}


static int
ctl_position_lock(ctl_position_t *position)
{
    if (flock(position->fd, LOCK_EX|LOCK_NB) == 0) {
        return 1;
    }

    if (errno == EWOULDBLOCK) {
        ctl_note("Another canaryctl, or a command of its --exec, has the file "
                 "of --state; waiting for its end.");
    }

    return flock(position->fd, LOCK_EX) == 0;
}


/* An empty file is one that was being made. */

static ctl_exit_t
ctl_position_read(ctl_position_t *position)
{
    char      text[CTL_POSITION_MAX + 1], *end;
    ssize_t   n;
    uint64_t  id;

    n = pread(position->fd, text, CTL_POSITION_MAX, 0);

    if (n == -1) {
        ctl_error("cannot read %s: %s", position->name, strerror(errno));
        return CTL_FAILED;
    }

    if (n == 0) {
        return CTL_DONE;
    }

    text[n] = '\0';
    end = text + strcspn(text, "\n");

    if (*end) {
        *end++ = '\0';
    }

    if (!canary_setting_number(text, &id) || id >> 53) {
        ctl_error("%s does not hold the number of an event, and is not "
                  "touched; without it, --state begins with the next event",
                  position->name);
        return CTL_FAILED;
    }

    position->id = (double) id;
    position->known = 1;

    (void) snprintf(position->time, CTL_TIME_MAX, "%.*s",
                    (int) strcspn(end, "\n"), end);

    return CTL_DONE;
}


void
ctl_position_pass(ctl_position_t *position, double id, const char *time)
{
    position->id = id;
    position->known = 1;

    (void) snprintf(position->time, CTL_TIME_MAX, "%.*s", CTL_TIME_MAX - 1,
                    time);
}


/* What is longer than before stays behind the lines until it is cut off. */

int
ctl_position_keep(ctl_position_t *position)
{
    int   n;
    char  text[CTL_POSITION_MAX];

    if (position->name == NULL) {
        return 1;
    }

    n = snprintf(text, sizeof(text), "%.0f\n%s\n", position->id,
                 position->time);

    errno = EIO;

    return pwrite(position->fd, text, (size_t) n, 0) == n
           && ftruncate(position->fd, n) == 0
           && fdatasync(position->fd) == 0;
}
