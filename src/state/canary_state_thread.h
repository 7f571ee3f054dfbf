
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_STATE_THREAD_H
#define CANARY_STATE_THREAD_H


#include "canary_state_file.h"
#include "canary_state_json.h"


/*
 * The thread that appends to the file of events what the state has of them,
 * and then writes the state file, so that a disk that is slow delays nobody.
 * It touches nothing but its job, and takes no signals.  All of this is for
 * one caller, the process's main thread.
 */


typedef struct {
    canary_state_t             *state;     /* of which the thread frees the
                                              events */
    const char                 *dir;       /* to outlive the job */
    canary_state_file_guard_t   guard;
    uint64_t                    sequence;  /* these are the caller's */
    void                       *zone;

    /* result */

    int                         appended;  /* the file of events has them */
    int                         done;      /* as of
                                              canary_state_file_write() */
    canary_state_file_id_t      id;
    canary_state_file_error_t   error;
} canary_state_job_t;


/*
 * Hands over a job; there must be none.  Without a thread (there is no memory
 * for one, say) it is done at once.
 */

void canary_state_thread_start(canary_state_job_t *job);

/* The job that is done, once; NULL: it is not, or there is none. */

canary_state_job_t *canary_state_thread_poll(void);

/* The same, waiting for its end; NULL: there is none. */

canary_state_job_t *canary_state_thread_wait(void);

/*
 * Ends the thread when it has done its job: before the module is unloaded,
 * since it runs the module's code.
 */

void canary_state_thread_end(void);

/* Whether there is a job that was not fetched yet. */

int canary_state_thread_busy(void);


#endif /* CANARY_STATE_THREAD_H */
