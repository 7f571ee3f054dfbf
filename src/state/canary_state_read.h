
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_STATE_READ_H
#define CANARY_STATE_READ_H


#include "canary_json.h"
#include "canary_state.h"


/*
 * The value of "state" in a document.  With errors the result is NULL or not
 * to be used; NULL without an error: no memory.
 */

canary_state_t *canary_state_read(const cJSON *json,
    canary_json_errors_t *errors);

/* An element of "events". */

void canary_state_read_event(const cJSON *object, const canary_json_at_t *at,
    canary_event_t *event, canary_json_errors_t *errors);


/* As canary_json_members(), but all, or the first of them, have to be there. */

int canary_state_members(const cJSON *object, const canary_json_at_t *at,
    const char *const *names, unsigned n, const cJSON **values,
    canary_json_errors_t *errors);
int canary_state_some_members(const cJSON *object, const canary_json_at_t *at,
    const char *const *names, unsigned always, unsigned n,
    const cJSON **values, canary_json_errors_t *errors);

/* A whole number up to max. */

uint64_t canary_state_count(const cJSON *value, const canary_json_at_t *at,
    const char *name, uint64_t max, canary_json_errors_t *errors);

/* A number, or NaN for null. */

double canary_state_double(const cJSON *value, const canary_json_at_t *at,
    const char *name, canary_json_errors_t *errors);

uint32_t canary_state_weight(const cJSON *value, const canary_json_at_t *at,
    canary_json_errors_t *errors);

uint32_t canary_state_phase(const cJSON *value, const canary_json_at_t *at,
    canary_json_errors_t *errors);

/* A text of at most size - 1 bytes. */

void canary_state_text(const cJSON *value, const canary_json_at_t *at,
    const char *name, char *text, size_t size, canary_json_errors_t *errors);


#endif /* CANARY_STATE_READ_H */
