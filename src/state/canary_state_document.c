
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdlib.h>
#include <string.h>

#include "canary_state_document.h"
#include "canary_state_event.h"
#include "canary_state_field.h"
#include "canary_state_fleet.h"
#include "canary_strategy_json.h"


#define CANARY_STATE_LONG(type, member)                                       \
    &canary_state_long, offsetof(type, member), CANARY_STATE_NUMBER_MAX, NULL


static int canary_state_by_name(const void *first, const void *second);


static void
canary_state_read_result(const cJSON *value, const canary_json_at_t *at,
    const canary_state_field_t *field, void *of, canary_json_errors_t *errors)
{
    int  i;

    static const char *const  names[] = { "promoted", "rolled_back" };

    (void) field;

    i = canary_json_choice(value, at, names, 2, errors);

    *(uint32_t *) of = (i == 0) ? CANARY_PROMOTED : CANARY_ROLLED_BACK;
}


static void
canary_state_write_result(cJSON *object, const canary_state_field_t *field,
    const void *of, int *failed)
{
    canary_json_add_text(object, field->name,
                         canary_result_name(*(const uint32_t *) of), failed);
}


static const canary_state_kind_t  canary_state_result = {
    canary_state_read_result, canary_state_write_result
};


static int
canary_state_is_last(const void *of)
{
    return ((const canary_state_endpoint_t *) of)->rollout.last_number != 0;
}


static const canary_state_field_t  canary_state_last_fields[] = {
    { "id", &canary_state_int,
      CANARY_STATE_FIELD(canary_state_endpoint_t, rollout.last_number,
                         UINT32_MAX) },
    { "release", &canary_state_name,
      CANARY_STATE_FIELD(canary_state_endpoint_t, last_release,
                         CANARY_NAME_SIZE) },
    { "result", &canary_state_result,
      CANARY_STATE_FIELD(canary_state_endpoint_t, rollout.last_result, 0) },
    { "reason", &canary_state_text,
      CANARY_STATE_FIELD(canary_state_endpoint_t, last_reason,
                         CANARY_REASON_SIZE) },
    { "ended", &canary_state_long,
      CANARY_STATE_FIELD(canary_state_endpoint_t, ended,
                         CANARY_STATE_TIME_MAX) },

    { "verb", &canary_state_choice,
      offsetof(canary_state_endpoint_t, last_verb), CANARY_STATE_VERBS,
      canary_state_verbs }
};

static const canary_state_object_t  canary_state_last = {
    CANARY_STATE_FIELDS(canary_state_last_fields), canary_state_is_last, 1
};


static const canary_state_field_t  canary_state_spent_fields[] = {
    { "stable", CANARY_STATE_LONG(canary_state_endpoint_t, spent_stable) },
    { "canary", CANARY_STATE_LONG(canary_state_endpoint_t, spent_canary) }
};

static const canary_state_object_t  canary_state_spent = {
    CANARY_STATE_FIELDS(canary_state_spent_fields), NULL, 0
};


static const canary_state_field_t  canary_state_release_fields[] = {
    { "name", &canary_state_name,
      CANARY_STATE_FIELD(canary_state_release_t, name, CANARY_NAME_SIZE) },
    { "1xx", CANARY_STATE_LONG(canary_state_release_t, totals.responses[0]) },
    { "2xx", CANARY_STATE_LONG(canary_state_release_t, totals.responses[1]) },
    { "3xx", CANARY_STATE_LONG(canary_state_release_t, totals.responses[2]) },
    { "4xx", CANARY_STATE_LONG(canary_state_release_t, totals.responses[3]) },
    { "5xx", CANARY_STATE_LONG(canary_state_release_t, totals.responses[4]) },
    { "failed", CANARY_STATE_LONG(canary_state_release_t, totals.failed) },
    { "timeouts", CANARY_STATE_LONG(canary_state_release_t, totals.timeouts) },
    { "cut", CANARY_STATE_LONG(canary_state_release_t, totals.cut) },
    { "cut_timeouts",
      CANARY_STATE_LONG(canary_state_release_t, totals.cut_timeouts) },
    { "aborted", CANARY_STATE_LONG(canary_state_release_t, totals.aborted) },
    { "fallbacks",
      CANARY_STATE_LONG(canary_state_release_t, totals.fallbacks) },
    { "timed", CANARY_STATE_LONG(canary_state_release_t, totals.timed) },
    { "time_us", &canary_state_long,
      CANARY_STATE_FIELD(canary_state_release_t, totals.other_time,
                         CANARY_STATE_SUM_MAX) },

    { "cancelled",
      CANARY_STATE_LONG(canary_state_release_t, totals.cancelled) },
    { "abandoned",
      CANARY_STATE_LONG(canary_state_release_t, totals.abandoned) },
    { "no_live", CANARY_STATE_LONG(canary_state_release_t, totals.no_live) }
};

static const canary_state_object_t  canary_state_release = {
    CANARY_STATE_FIELDS(canary_state_release_fields), NULL, 3
};

static const canary_state_list_t  canary_state_releases = {
    &canary_state_release, sizeof(canary_state_release_t),
    offsetof(canary_state_endpoint_t, releases),
    offsetof(canary_state_endpoint_t, nreleases), CANARY_RELEASES
};

static const canary_state_list_t  canary_state_events = {
    &canary_state_event, sizeof(canary_event_t),
    offsetof(canary_state_endpoint_t, events),
    offsetof(canary_state_endpoint_t, nevents), CANARY_EVENTS
};


static void
canary_state_read_strategy(const cJSON *value, const canary_json_at_t *at,
    const canary_state_field_t *field, void *of, canary_json_errors_t *errors)
{
    const cJSON       *values[2];
    canary_rollout_t  *rollout;

    static const char *const  names[] = { "strategy", "canary_strategy" };

    (void) field;

    rollout = of;

    canary_strategy_init(&rollout->strategy);

    if (!cJSON_IsNull(value)
        && canary_state_members(value, at, names, 2, values, errors))
    {
        (void) canary_strategy_json_read(values[0], values[1], at,
                                         &rollout->strategy, errors);
    }
}


static void
canary_state_write_strategy(cJSON *object, const canary_state_field_t *field,
    const void *of, int *failed)
{
    const canary_rollout_t  *rollout;

    rollout = of;

    if (rollout->phase == CANARY_IDLE) {
        canary_json_add_null(object, field->name, failed);
        return;
    }

    canary_strategy_json_write(canary_json_add_object(object, field->name,
                                                      failed),
                               &rollout->strategy, failed);
}


static const canary_state_kind_t  canary_state_strategy = {
    canary_state_read_strategy, canary_state_write_strategy
};


static void
canary_state_read_endpoint_name(const cJSON *value, const canary_json_at_t *at,
    const canary_state_field_t *field, void *of, canary_json_errors_t *errors)
{
    char  name[CANARY_STATE_ENDPOINT_NAME];

    canary_state_name.read(value, at, field, name, errors);

    if (errors->total) {
        return;
    }

    if (name[0] == '\0') {
        canary_json_error(errors, at, "is empty");

    } else if (!canary_state_set_name(of, name, strlen(name))) {
        canary_json_error(errors, at, "there is no memory for it");
    }
}


static void
canary_state_write_endpoint_name(cJSON *object,
    const canary_state_field_t *field, const void *of, int *failed)
{
    canary_state_name.write(object, field,
                            ((const canary_state_endpoint_t *) of)->name,
                            failed);
}


static const canary_state_kind_t  canary_state_endpoint_name = {
    canary_state_read_endpoint_name, canary_state_write_endpoint_name
};


static const canary_state_field_t  canary_state_endpoint_fields[] = {
    { "name", &canary_state_endpoint_name, 0, CANARY_STATE_ENDPOINT_NAME,
      NULL },
    { "generation",
      CANARY_STATE_LONG(canary_state_endpoint_t, rollout.generation) },
    { "rollout", &canary_state_int,
      CANARY_STATE_FIELD(canary_state_endpoint_t, rollout.number,
                         UINT32_MAX) },
    { "phase", &canary_state_choice,
      offsetof(canary_state_endpoint_t, rollout.phase), CANARY_PHASES,
      canary_state_phases },
    { "stable", &canary_state_name,
      CANARY_STATE_FIELD(canary_state_endpoint_t, stable, CANARY_NAME_SIZE) },
    { "canary", &canary_state_name,
      CANARY_STATE_FIELD(canary_state_endpoint_t, canary, CANARY_NAME_SIZE) },
    { "weight", &canary_state_ratio,
      CANARY_STATE_FIELD(canary_state_endpoint_t, rollout.weight, 0) },
    { "step", &canary_state_int,
      CANARY_STATE_FIELD(canary_state_endpoint_t, rollout.step, UINT32_MAX) },
    { "strategy", &canary_state_strategy,
      CANARY_STATE_FIELD(canary_state_endpoint_t, rollout, 0) },
    { "spent", &canary_state_part, 0, 0, &canary_state_spent },
    { "last_rollout", &canary_state_part, 0, 0, &canary_state_last },
    { "releases", &canary_state_list, 0, 0, &canary_state_releases },
    { "events", &canary_state_list, 0, 0, &canary_state_events },

    { "fleet", &canary_state_option, 0, 0, &canary_state_fleet_rollout }
};

static const canary_state_object_t  canary_state_endpoint = {
    CANARY_STATE_FIELDS(canary_state_endpoint_fields), NULL, 1
};

static const canary_state_list_t  canary_state_endpoints = {
    &canary_state_endpoint, sizeof(canary_state_endpoint_t),
    offsetof(canary_state_t, endpoints), offsetof(canary_state_t, nendpoints),
    0
};


static void
canary_state_check_idle(const canary_state_endpoint_t *endpoint,
    const canary_json_at_t *at, canary_json_errors_t *errors)
{
    if (endpoint->rollout.generation == 0) {
        canary_json_error(errors, at, "has no generation");

    } else if (endpoint->stable[0] == '\0') {
        canary_json_error(errors, at, "has no stable release");

    } else if (endpoint->canary[0] || endpoint->rollout.weight
               || endpoint->rollout.step || endpoint->rollout.strategy.nrules)
    {
        canary_json_error(errors, at, "is idle, but has a canary, a weight, "
                          "a step or a strategy");
    }
}


static void
canary_state_check_active(const canary_state_endpoint_t *endpoint,
    const canary_json_at_t *at, canary_json_errors_t *errors)
{
    const canary_rollout_t  *rollout;

    rollout = &endpoint->rollout;

    if (rollout->generation == 0 || rollout->number == 0) {
        canary_json_error(errors, at, "has a rollout without a generation "
                          "or a number");

    } else if (endpoint->stable[0] == '\0' || endpoint->canary[0] == '\0'
               || strcmp(endpoint->stable, endpoint->canary) == 0)
    {
        canary_json_error(errors, at, "has a rollout, but not two releases");

    } else if (rollout->strategy.nrules == 0) {
        canary_json_error(errors, at, "has a rollout, but no strategy");

    } else if ((rollout->weight == 0
                && (rollout->uid == 0 || rollout->phase != CANARY_PAUSED))
               || rollout->step > canary_strategy_steps(&rollout->strategy))
    {
        canary_json_error(errors, at, "has a rollout, but weight 0 or a step "
                          "that its strategy does not have");

    } else if ((rollout->weight == CANARY_ONE)
               ? rollout->phase == CANARY_PROGRESSING
               : rollout->phase == CANARY_BAKING)
    {
        canary_json_error(errors, at, "is in a phase that does not go with "
                          "its weight");
    }
}


/* what of an endpoint goes with the rest of it */

static void
canary_state_check_endpoint(const canary_state_t *state,
    const canary_state_endpoint_t *endpoint, const canary_json_at_t *at,
    canary_json_errors_t *errors)
{
    unsigned          i, k;
    uint64_t          last;
    canary_json_at_t  at_releases = { at, "releases", 0 };
    canary_json_at_t  at_release = { &at_releases, NULL, 0 };
    canary_json_at_t  at_events = { at, "events", 0 };
    canary_json_at_t  at_event = { &at_events, NULL, 0 };
    canary_json_at_t  at_id = { &at_event, "id", 0 };

    if (endpoint->rollout.phase == CANARY_IDLE) {
        canary_state_check_idle(endpoint, at, errors);

    } else {
        canary_state_check_active(endpoint, at, errors);
    }

    for (i = 0; i < endpoint->nreleases; i++) {
        for (k = 0; k < i; k++) {
            if (strcmp(endpoint->releases[k].name, endpoint->releases[i].name)
                == 0)
            {
                at_release.index = i;
                canary_json_error(errors, &at_release,
                                  "another release has this name");
            }
        }
    }

    for (i = 0, last = 0; i < endpoint->nevents; i++) {
        if (endpoint->events[i].id <= last) {
            at_event.index = i;
            canary_json_error(errors, &at_id,
                              "has to be above that of the event before");
        }

        last = endpoint->events[i].id;
    }

    if (last > state->last_event) {
        canary_json_error(errors, &at_events, "has an event with a number "
                          "above \"last_event\"");
    }
}


/* no two are the same: there may be very many */

static void
canary_state_check_names(const canary_state_t *state,
    const canary_json_at_t *at, canary_json_errors_t *errors)
{
    unsigned                         i, n;
    canary_json_at_t                 here = { at, NULL, 0 };
    canary_json_at_t                 at_name = { &here, "name", 0 };
    const canary_state_endpoint_t  **sorted;

    n = state->nendpoints;

    sorted = malloc((n + 1) * sizeof(canary_state_endpoint_t *));
    if (sorted == NULL) {
        canary_json_error(errors, at, "there is no memory for them");
        return;
    }

    for (i = 0; i < n; i++) {
        sorted[i] = &state->endpoints[i];
    }

    qsort(sorted, n, sizeof(canary_state_endpoint_t *), canary_state_by_name);

    for (i = 1; i < n; i++) {
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0) {
            here.index = (unsigned) (sorted[i] - state->endpoints);

            canary_json_error(errors, &at_name,
                              "another endpoint has this name");
            break;
        }
    }

    free(sorted);
}


/* of the same name, in the order of the document */

static int
canary_state_by_name(const void *first, const void *second)
{
    int                             rc;
    const canary_state_endpoint_t  *a, *b;

    a = *(const canary_state_endpoint_t *const *) first;
    b = *(const canary_state_endpoint_t *const *) second;

    rc = strcmp(a->name, b->name);

    return rc ? rc : (a < b) ? -1 : 1;
}


static const canary_state_field_t  canary_state_fields[] = {
    { "writer", &canary_state_long,
      CANARY_STATE_FIELD(canary_state_t, writer, UINT64_MAX) },
    { "last_event", CANARY_STATE_LONG(canary_state_t, last_event) },
    { "endpoints", &canary_state_list, 0, 0, &canary_state_endpoints },
    { "configuration", CANARY_STATE_LONG(canary_state_t, configuration) },
    { "fleet", &canary_state_option, 0, 0, &canary_state_fleet }
};

static const canary_state_object_t  canary_state_all = {
    CANARY_STATE_FIELDS(canary_state_fields), NULL, 2
};


canary_state_t *
canary_state_read(const cJSON *json, canary_json_errors_t *errors)
{
    canary_state_t           *state;
    canary_json_at_t          at = { NULL, "endpoints", 0 };
    canary_json_at_t          here = { &at, NULL, 0 };
    canary_state_endpoint_t  *endpoint;

    state = calloc(1, sizeof(canary_state_t));
    if (state == NULL) {
        return NULL;
    }

    canary_state_read_fields(json, NULL, &canary_state_all, state, errors);

    if (errors->total) {
        return state;
    }

    for ( /* void */ ; here.index < state->nendpoints; here.index++) {
        endpoint = &state->endpoints[here.index];

        endpoint->rollout.stable = CANARY_NO_RELEASE;
        endpoint->rollout.canary = CANARY_NO_RELEASE;
        endpoint->rollout.last_release = CANARY_NO_RELEASE;

        canary_state_check_endpoint(state, endpoint, &here, errors);
    }

    if (errors->total == 0) {
        canary_state_check_names(state, &at, errors);
    }

    return state;
}


void
canary_state_write(cJSON *object, const canary_state_t *state, int *failed)
{
    canary_state_write_fields(object, &canary_state_all, state, failed);
}
