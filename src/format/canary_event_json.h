
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_EVENT_JSON_H
#define CANARY_EVENT_JSON_H


#include "canary_event.h"
#include "canary_json.h"


/*
 * An event as answers and the file of events show it: these add its members
 * to an object, or the figures of rules to a list.  The name of the endpoint
 * has len bytes; what is no UTF-8 in a text is U+FFFD.
 */


void canary_event_json_write(cJSON *object, const char *endpoint, size_t len,
    const canary_event_t *event, int *failed);

/* where a rollout was: phase and weight, parts per million */

void canary_event_json_write_point(cJSON *object, const char *name,
    uint32_t phase, uint32_t weight, int *failed);

void canary_event_json_write_figures(cJSON *list,
    const canary_figure_t *figures, unsigned n,
    const canary_matches_t *matches, int *failed);


#endif /* CANARY_EVENT_JSON_H */
