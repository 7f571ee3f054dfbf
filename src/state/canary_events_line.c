
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#define _POSIX_C_SOURCE  200809L


#include <stdlib.h>
#include <string.h>

#include "canary_event_json.h"
#include "canary_events.h"
#include "canary_state_read.h"
#include "canary_state_write.h"


/* What is to be a line: of a void there is no event. */

typedef struct {
    uint64_t               id;
    const char            *endpoint;
    const canary_event_t  *event;
} canary_events_item_t;


typedef struct {
    char                  *data;
    size_t                 len;
    size_t                 room;
} canary_events_text_t;


static canary_events_item_t *canary_events_items(const canary_state_t *state,
    size_t *n);
static int canary_events_by_id(const void *first, const void *second);
static char *canary_events_print(const canary_events_item_t *item);
static int canary_events_put(canary_events_text_t *text, const char *line);


char *
canary_events_text(const canary_state_t *state, size_t *len)
{
    int                    done;
    char                  *line;
    size_t                 n, i;
    canary_events_item_t  *items;
    canary_events_text_t   text;

    memset(&text, 0, sizeof(text));

    items = canary_events_items(state, &n);
    done = (items && canary_events_put(&text, NULL));

    for (i = 0; done && i < n; i++) {
        line = canary_events_print(&items[i]);
        done = (line && canary_events_put(&text, line));
        cJSON_free(line);
    }

    free(items);

    if (!done) {
        free(text.data);
        return NULL;
    }

    *len = text.len;

    return text.data;
}


/*
 * By number, since that is the order in which they happened.  What is void is
 * a line before: the same number comes then of an event that is one after all.
 */

static canary_events_item_t *
canary_events_items(const canary_state_t *state, size_t *n)
{
    size_t                          all;
    unsigned                        i, k;
    canary_events_item_t           *items, *item;
    const canary_state_endpoint_t  *endpoint;

    all = 0;

    for (i = 0; i < state->nendpoints; i++) {
        all += state->endpoints[i].nvoid + state->endpoints[i].nevents;
    }

    items = calloc(all + 1, sizeof(canary_events_item_t));
    if (items == NULL) {
        return NULL;
    }

    item = items;

    for (i = 0; i < state->nendpoints; i++) {
        endpoint = &state->endpoints[i];

        for (k = 0; k < endpoint->nvoid; k++) {
            (item++)->id = endpoint->voids[k];
        }

        for (k = 0; k < endpoint->nevents; k++, item++) {
            item->id = endpoint->events[k].id;
            item->endpoint = endpoint->name;
            item->event = &endpoint->events[k];
        }
    }

    qsort(items, all, sizeof(canary_events_item_t), canary_events_by_id);

    *n = all;

    return items;
}


static int
canary_events_by_id(const void *first, const void *second)
{
    const canary_events_item_t  *a = first, *b = second;

    if (a->id != b->id) {
        return (a->id < b->id) ? -1 : 1;
    }

    return (a->event != NULL) - (b->event != NULL);
}


static char *
canary_events_print(const canary_events_item_t *item)
{
    int     failed;
    char   *line;
    cJSON  *json, *state;

    failed = 0;
    json = cJSON_CreateObject();

    if (item->event) {
        canary_event_json_write(json, item->endpoint, strlen(item->endpoint),
                                item->event, &failed);

        state = canary_json_add_object(json, "state", &failed);

        canary_state_write_text(state, "endpoint", item->endpoint, &failed);
        canary_state_write_event(canary_json_add_object(state, "event",
                                                        &failed),
                                 item->event, &failed);
    } else {
        canary_json_add_number(json, "void", item->id, 0, &failed);
    }

    line = failed ? NULL : cJSON_PrintUnformatted(json);

    cJSON_Delete(json);

    return line;
}


/* NULL: none, but there is a text from then on; 0: no memory */

static int
canary_events_put(canary_events_text_t *text, const char *line)
{
    char    *data;
    size_t   len, room;

    len = line ? strlen(line) : 0;

    if (text->data == NULL || text->room - text->len <= len) {
        room = 2 * text->room + len + 1024;

        data = realloc(text->data, room);
        if (data == NULL) {
            return 0;
        }

        text->data = data;
        text->room = room;
    }

    if (line) {
        memcpy(text->data + text->len, line, len);
        text->len += len;
        text->data[text->len++] = '\n';
    }

    return 1;
}


int
canary_events_line(const char *text, size_t len, char **name,
    canary_event_t *event)
{
    int                    is_void;
    char                   endpoint[CANARY_STATE_ENDPOINT_NAME];
    cJSON                 *json;
    const cJSON           *state, *values[2];
    canary_json_errors_t   errors;

    static const char *const  names[] = { "endpoint", "event" };
    static const char *const  nothing[] = { "void" };

    *name = NULL;
    is_void = 0;

    memset(event, 0, sizeof(canary_event_t));
    memset(&errors, 0, sizeof(errors));

    json = canary_json_parse(text, len, &errors);
    if (json == NULL) {
        return 0;
    }

    state = cJSON_GetObjectItemCaseSensitive(json, "state");

    if (state) {
        if (canary_state_members(state, NULL, names, 2, values, &errors)) {
            canary_state_text(values[0], NULL, "endpoint", endpoint,
                              sizeof(endpoint), &errors);
            canary_state_read_event(values[1], NULL, event, &errors);
        }

        if (errors.total == 0) {
            *name = strdup(endpoint);
        }

    } else if (canary_state_members(json, NULL, nothing, 1, values, &errors)) {
        is_void = 1;
        event->id = canary_state_count(values[0], NULL, "void",
                                       CANARY_STATE_NUMBER_MAX, &errors);
    }

    cJSON_Delete(json);

    return errors.total == 0 && (is_void || *name);
}
