
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CTL_WAIT_H
#define CTL_WAIT_H


#include "ctl_http.h"
#include "ctl_term.h"


/* Waiting for the end of a rollout, while its events are shown. */

typedef struct {
    ctl_http_t  *http;
    ctl_term_t   term;
    char        *path;                    /* of the endpoint */
    char        *events_path;
    double       event;                   /* the last one that was shown */
    double       rollout;                 /* the number of ours */
    double       generation;              /* the last one that was shown */
    ctl_text_t   waiting;                 /* what was shown of it */
    double       lost;                    /* since when there is no answer,
                                             on the monotonic clock; 0: there
                                             is */
} ctl_wait_t;


void ctl_wait_init(ctl_wait_t *wait, ctl_http_t *http, const char *name);
void ctl_wait_free(ctl_wait_t *wait);

/* Before the rollout is started; what fails is told. */

ctl_exit_t ctl_wait_prepare(ctl_wait_t *wait);

/* From the endpoint on that the start has answered. */

ctl_exit_t ctl_wait(ctl_wait_t *wait, const cJSON *started);


#endif /* CTL_WAIT_H */
