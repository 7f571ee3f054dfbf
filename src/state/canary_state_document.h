
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_STATE_DOCUMENT_H
#define CANARY_STATE_DOCUMENT_H


#include "canary_json.h"
#include "canary_state.h"


/* The value of "state" in a document. */


/*
 * With errors the result is NULL or not to be used; NULL without an error: no
 * memory.
 */

canary_state_t *canary_state_read(const cJSON *json,
    canary_json_errors_t *errors);

/* Adds its members to an object. */

void canary_state_write(cJSON *object, const canary_state_t *state,
    int *failed);


#endif /* CANARY_STATE_DOCUMENT_H */
