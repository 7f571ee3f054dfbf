
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_STATE_WRITE_H
#define CANARY_STATE_WRITE_H


#include "canary_json.h"
#include "canary_state.h"


/*
 * Parts of the document, which the file of events has as well; see
 * canary_state_read.h.
 */

/* Adds the members of an event, each as exact as it is. */

void canary_state_write_event(cJSON *object, const canary_event_t *event,
    int *failed);

/* A text, or what stands for one that is no UTF-8. */

void canary_state_write_text(cJSON *object, const char *name,
    const char *text, int *failed);


#endif /* CANARY_STATE_WRITE_H */
