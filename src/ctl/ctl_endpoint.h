
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CTL_ENDPOINT_H
#define CTL_ENDPOINT_H


#include "ctl_format.h"


/* An endpoint as the API tells it, in words. */


/*
 * What happens next and when, in one line; and what it waits for besides its
 * clock, if anything.
 */

void ctl_add_next(ctl_text_t *text, const cJSON *endpoint);
void ctl_add_waiting(ctl_text_t *text, const cJSON *endpoint);

/* Whether what comes next waits for a person. */

int ctl_awaits_approval(const cJSON *endpoint);

/* "progressing, 20%, step 1 of 5" */

void ctl_add_progress(ctl_text_t *text, const cJSON *endpoint);

/*
 * That on standard output, after the endpoint's name, and what comes next; or
 * what came of it, "some-path: v2 promoted; v2 is stable".
 */

void ctl_say_progress(const cJSON *endpoint);

/* "v2 promoted 2026-11-23 01:22:09: REASON"; nothing if there was none */

void ctl_add_last(ctl_text_t *text, const cJSON *endpoint);

/*
 * The screen of one endpoint.  The events are the newest first; so many of
 * them are shown as leave it within the rows of the terminal, if they have an
 * end, and at most `most`.
 */

void ctl_endpoint_screen(const cJSON *endpoint, const cJSON *events,
    size_t most, const ctl_term_t *term, ctl_text_t *out);


#endif /* CTL_ENDPOINT_H */
