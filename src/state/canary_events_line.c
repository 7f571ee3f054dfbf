
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#define _POSIX_C_SOURCE  200809L


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary_event_json.h"
#include "canary_events.h"
#include "canary_state_event.h"


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


/* What a line has as "state". */

typedef struct {
    char                   endpoint[CANARY_STATE_ENDPOINT_NAME];
    canary_event_t         event;
} canary_events_state_t;


static const canary_state_field_t  canary_events_fields[] = {
    { "endpoint", &canary_state_text,
      CANARY_STATE_FIELD(canary_events_state_t, endpoint,
                         CANARY_STATE_ENDPOINT_NAME) },
    { "event", &canary_state_part, offsetof(canary_events_state_t, event), 0,
      &canary_state_event }
};

static const canary_state_object_t  canary_events_state = {
    CANARY_STATE_FIELDS(canary_events_fields), NULL, 0
};

static const canary_state_field_t  canary_events_void_fields[] = {
    { "void", &canary_state_long,
      CANARY_STATE_FIELD(canary_event_t, id, CANARY_STATE_NUMBER_MAX) }
};

static const canary_state_object_t  canary_events_void = {
    CANARY_STATE_FIELDS(canary_events_void_fields), NULL, 0
};


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
    int                    failed;
    char                  *line;
    cJSON                 *json;
    canary_events_state_t  state;

    failed = 0;
    json = cJSON_CreateObject();

    if (item->event) {
        canary_event_json_write(json, item->endpoint, strlen(item->endpoint),
                                item->event, &failed);

        (void) snprintf(state.endpoint, sizeof(state.endpoint), "%s",
                        item->endpoint);
        state.event = *item->event;

        canary_state_write_fields(canary_json_add_object(json, "state",
                                                         &failed),
                                  &canary_events_state, &state, &failed);

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
    cJSON                  *json;
    const cJSON            *value;
    canary_json_errors_t    errors;
    canary_events_state_t   state;

    *name = NULL;

    memset(&state, 0, sizeof(state));
    memset(&errors, 0, sizeof(errors));

    json = canary_json_parse(text, len, &errors);
    if (json == NULL) {
        return 0;
    }

    value = cJSON_GetObjectItemCaseSensitive(json, "state");

    if (value) {
        canary_state_read_fields(value, NULL, &canary_events_state, &state,
                                 &errors);
    } else {
        canary_state_read_fields(json, NULL, &canary_events_void, &state.event,
                                 &errors);
    }

    *event = state.event;

    if (value && errors.total == 0) {
        *name = strdup(state.endpoint);
    }

    value = value ? NULL : json;    /* a void has no name */

    cJSON_Delete(json);

    return errors.total == 0 && (value || *name);
}
