
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#define _GNU_SOURCE                       /* pipe2() */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl_deliver.h"
#include "ctl_json.h"
#include "ctl_term.h"
#include "ctl_text.h"


#define CTL_AGAIN_SECONDS  5
#define CTL_FDS_MAX        1024           /* that are closed for a command */


/* how the process that runs the command ends */

typedef enum {
    CTL_DELIVERED = 0,
    CTL_NOT_DELIVERED,
    CTL_NOT_PUT_DOWN
} ctl_delivery_t;


typedef struct {
    const char       *command;
    ctl_position_t   *position;
    double            id;                 /* of the event */
    const char       *time;
    char             *json;
    int               told;               /* that it fails */
} ctl_assignment_t;


static ctl_delivery_t ctl_deliver_once(const ctl_assignment_t *job);
static void ctl_deliver_failed(const ctl_assignment_t *job, const char *what,
    const char *why);
static ctl_delivery_t ctl_deliver_run(const ctl_assignment_t *job);
static pid_t ctl_deliver_start(const char *command, int *input);
static void ctl_deliver_exec(const char *command, int input);
static void ctl_deliver_write(int fd, const char *json);
static int ctl_deliver_wait(pid_t pid, int *status);
static ctl_delivery_t ctl_deliver_put_down(const ctl_assignment_t *job);


int
ctl_deliver(const char *command, ctl_position_t *position,
    const cJSON *event)
{
    int                tries;
    ctl_delivery_t     rc;
    ctl_assignment_t   job;

    memset(&job, 0, sizeof(ctl_assignment_t));

    job.command = command;
    job.position = position;
    job.id = ctl_json_number(event, "id", 0);
    job.time = ctl_json_text(event, "time", "");
    job.json = cJSON_PrintUnformatted(event);

    if (job.json == NULL) {
        ctl_no_memory();
    }

    rc = ctl_deliver_once(&job);

    for (tries = 1; rc != CTL_DELIVERED; tries++) {

        if (!job.told) {
            job.told = 1;
            ctl_note("Trying again each %d seconds; later events wait.",
                     CTL_AGAIN_SECONDS);
        }

        (void) ctl_pause(CTL_AGAIN_SECONDS);

        if (ctl_interrupted()) {
            break;
        }

        rc = (rc == CTL_NOT_PUT_DOWN) ? ctl_deliver_put_down(&job)
                                      : ctl_deliver_once(&job);
    }

    if (rc == CTL_DELIVERED) {
        ctl_position_pass(position, job.id, job.time);

        if (job.told) {
            ctl_note("Event %.0f is told, after %d tries.", job.id, tries);
        }
    }

    cJSON_free(job.json);

    return rc == CTL_DELIVERED;
}


static ctl_delivery_t
ctl_deliver_once(const ctl_assignment_t *job)
{
    int    status;
    pid_t  pid;

    signal(SIGCHLD, SIG_DFL);

    pid = fork();

    if (pid == 0) {
        _exit((int) ctl_deliver_run(job));
    }

    if (pid == -1 || !ctl_deliver_wait(pid, &status)) {
        ctl_deliver_failed(job, "cannot be run:", strerror(errno));
        return CTL_NOT_DELIVERED;
    }

    return WIFEXITED(status) ? (ctl_delivery_t) WEXITSTATUS(status)
                             : CTL_NOT_DELIVERED;
}


/* once for each event */

static void
ctl_deliver_failed(const ctl_assignment_t *job, const char *what,
    const char *why)
{
    if (!job->told) {
        ctl_error("the command for event %.0f %s %s", job->id, what, why);
    }
}


/*
 * In a process of its own, and a group of its own, so that an interrupt at the
 * terminal ends canaryctl, but not a command half way.
 */

static ctl_delivery_t
ctl_deliver_run(const ctl_assignment_t *job)
{
    int     input, status;
    char    number[16];
    pid_t   pid;
    size_t  i;

    static const int  ending[] = {
        SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGALRM
    };

    (void) setpgid(0, 0);

    for (i = 0; i < sizeof(ending) / sizeof(ending[0]); i++) {
        signal(ending[i], SIG_IGN);
    }

    pid = ctl_deliver_start(job->command, &input);

    if (pid != -1) {
        ctl_deliver_write(input, job->json);
    }

    if (pid == -1 || !ctl_deliver_wait(pid, &status)) {
        ctl_deliver_failed(job, "cannot be run:", strerror(errno));
        return CTL_NOT_DELIVERED;
    }

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return ctl_deliver_put_down(job);
    }

    (void) snprintf(number, sizeof(number), "%d",
                    WIFSIGNALED(status) ? WTERMSIG(status)
                                        : WEXITSTATUS(status));
    ctl_deliver_failed(job, WIFSIGNALED(status) ? "was ended by signal"
                                                : "ended with status", number);

    return CTL_NOT_DELIVERED;
}


/* -1: errno tells why not */

static pid_t
ctl_deliver_start(const char *command, int *input)
{
    int    fds[2];
    pid_t  pid;

    if (pipe2(fds, O_CLOEXEC) == -1) {
        return -1;
    }

    pid = fork();

    if (pid == 0) {
        ctl_deliver_exec(command, fds[0]);
    }

    close(fds[0]);
    *input = fds[1];

    if (pid == -1) {
        close(fds[1]);
    }

    return pid;
}


/* what a command leaves in the background has nothing of ours */

static void
ctl_deliver_exec(const char *command, int input)
{
    int       fd;
    size_t    i;
    sigset_t  none;

    static const int  all[] = {
        SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGALRM, SIGWINCH
    };

    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        signal(all[i], SIG_DFL);
    }

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    if (dup2(input, STDIN_FILENO) == -1) {
        _exit(127);
    }

    for (fd = STDERR_FILENO + 1; fd < CTL_FDS_MAX; fd++) {
        close(fd);
    }

    execl("/bin/sh", "sh", "-c", command, (char *) NULL);

    _exit(127);
}


/* A command need not read it. */

static void
ctl_deliver_write(int fd, const char *json)
{
    size_t       i, len;
    ssize_t      n;
    const char  *parts[2];

    parts[0] = json;
    parts[1] = "\n";

    for (i = 0; i < 2; i++) {
        for (len = strlen(parts[i]); len; len -= (size_t) n) {
            n = write(fd, parts[i], len);

            if (n == -1) {
                close(fd);
                return;
            }

            parts[i] += n;
        }
    }

    close(fd);
}


static int
ctl_deliver_wait(pid_t pid, int *status)
{
    pid_t  rc;

    do {
        rc = waitpid(pid, status, 0);
    } while (rc == -1 && errno == EINTR);

    return rc == pid;
}


static ctl_delivery_t
ctl_deliver_put_down(const ctl_assignment_t *job)
{
    ctl_position_pass(job->position, job->id, job->time);

    if (ctl_position_keep(job->position)) {
        return CTL_DELIVERED;
    }

    if (!job->told) {
        ctl_error("cannot write %s: %s", job->position->name,
                  strerror(errno));
    }

    return CTL_NOT_PUT_DOWN;
}
