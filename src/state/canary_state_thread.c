
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#define _POSIX_C_SOURCE  200809L


#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "canary_events.h"
#include "canary_state_thread.h"


static int canary_state_thread_create(void);
static void *canary_state_thread_run(void *unused);
static void canary_state_thread_do(canary_state_job_t *job);
static int canary_state_thread_append(canary_state_job_t *job);
static int canary_state_thread_fail(canary_state_job_t *job, int err);


static pthread_mutex_t      canary_state_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t       canary_state_cond = PTHREAD_COND_INITIALIZER;

/* under the mutex */

static canary_state_job_t  *canary_state_job;
static int                  canary_state_done;
static int                  canary_state_stop;

/* of the main thread; the process that has the thread, since a fork has not */

static pid_t                canary_state_owner;
static pthread_t            canary_state_thread;


void
canary_state_thread_start(canary_state_job_t *job)
{
    int  threaded;

    threaded = (canary_state_owner == getpid()
                || canary_state_thread_create() == 0);

    if (!threaded) {
        canary_state_thread_do(job);
    }

    (void) pthread_mutex_lock(&canary_state_mutex);

    canary_state_job = job;
    canary_state_done = !threaded;

    (void) pthread_cond_broadcast(&canary_state_cond);
    (void) pthread_mutex_unlock(&canary_state_mutex);
}


canary_state_job_t *
canary_state_thread_poll(void)
{
    canary_state_job_t  *job;

    job = NULL;

    (void) pthread_mutex_lock(&canary_state_mutex);

    if (canary_state_job && canary_state_done) {
        job = canary_state_job;
        canary_state_job = NULL;
    }

    (void) pthread_mutex_unlock(&canary_state_mutex);

    return job;
}


canary_state_job_t *
canary_state_thread_wait(void)
{
    canary_state_job_t  *job;

    (void) pthread_mutex_lock(&canary_state_mutex);

    while (canary_state_job && !canary_state_done) {
        (void) pthread_cond_wait(&canary_state_cond, &canary_state_mutex);
    }

    job = canary_state_job;
    canary_state_job = NULL;

    (void) pthread_mutex_unlock(&canary_state_mutex);

    return job;
}


void
canary_state_thread_end(void)
{
    if (canary_state_owner != getpid()) {
        return;
    }

    (void) pthread_mutex_lock(&canary_state_mutex);
    canary_state_stop = 1;
    (void) pthread_cond_broadcast(&canary_state_cond);
    (void) pthread_mutex_unlock(&canary_state_mutex);

    (void) pthread_join(canary_state_thread, NULL);

    canary_state_owner = 0;
    canary_state_stop = 0;
}


int
canary_state_thread_busy(void)
{
    int  busy;

    (void) pthread_mutex_lock(&canary_state_mutex);
    busy = (canary_state_job != NULL);
    (void) pthread_mutex_unlock(&canary_state_mutex);

    return busy;
}


/* signals are for the main thread, which inherits nothing of this */

static int
canary_state_thread_create(void)
{
    int       rc;
    sigset_t  all, old;

    (void) sigfillset(&all);
    (void) pthread_sigmask(SIG_SETMASK, &all, &old);

    rc = pthread_create(&canary_state_thread, NULL, canary_state_thread_run,
                        NULL);

    (void) pthread_sigmask(SIG_SETMASK, &old, NULL);

    if (rc != 0) {
        return -1;
    }

    canary_state_owner = getpid();

    return 0;
}


static void *
canary_state_thread_run(void *unused)
{
    canary_state_job_t  *job;

    (void) unused;

    (void) pthread_mutex_lock(&canary_state_mutex);

    for ( ;; ) {

        while (!canary_state_stop
               && (canary_state_job == NULL || canary_state_done))
        {
            (void) pthread_cond_wait(&canary_state_cond, &canary_state_mutex);
        }

        if (canary_state_job == NULL || canary_state_done) {
            break;
        }

        job = canary_state_job;

        (void) pthread_mutex_unlock(&canary_state_mutex);

        canary_state_thread_do(job);

        (void) pthread_mutex_lock(&canary_state_mutex);

        canary_state_done = 1;

        (void) pthread_cond_broadcast(&canary_state_cond);
    }

    (void) pthread_mutex_unlock(&canary_state_mutex);

    return NULL;
}


static void
canary_state_thread_do(canary_state_job_t *job)
{
    char      *text;
    size_t     len;
    unsigned   i;

    job->done = canary_state_thread_append(job);

    if (job->done != 0) {
        return;
    }

    job->appended = 1;

    for (i = 0; i < job->state->nendpoints; i++) {
        canary_state_free_events(&job->state->endpoints[i]);
    }

    text = canary_state_json_write(job->state, &len);

    if (text == NULL || len > CANARY_STATE_SIZE_MAX) {
        job->done = canary_state_thread_fail(job, text ? EFBIG : ENOMEM);

    } else {
        job->done = canary_state_file_write(job->dir, text, len, &job->guard,
                                            &job->id, &job->error);
    }

    free(text);
}


/* before the state that they led to: so none of them is ever missing */

static int
canary_state_thread_append(canary_state_job_t *job)
{
    int      rc;
    char    *text;
    size_t   len;

    text = canary_events_text(job->state, &len);

    if (text == NULL) {
        return canary_state_thread_fail(job, ENOMEM);
    }

    rc = 0;

    if (len) {
        rc = canary_state_file_check(job->dir, &job->guard, &job->error);

        if (rc == 0) {
            rc = canary_events_append(job->dir, text, len, &job->error);
        }
    }

    free(text);

    return rc;
}


static int
canary_state_thread_fail(canary_state_job_t *job, int err)
{
    job->error.call = (err == ENOMEM) ? "malloc()" : "write()";
    job->error.err = err;

    return -1;
}
