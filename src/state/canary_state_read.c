
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdlib.h>
#include <string.h>

#include "canary_state_read.h"
#include "canary_strategy_json.h"
#include "canary_text.h"


enum {
    CANARY_STATE_WRITER = 0,
    CANARY_STATE_LAST_EVENT,
    CANARY_STATE_ENDPOINTS,
    CANARY_STATE_MEMBERS
};


enum {
    CANARY_ENDPOINT_NAME = 0,
    CANARY_ENDPOINT_GENERATION,
    CANARY_ENDPOINT_ROLLOUT,
    CANARY_ENDPOINT_PHASE,
    CANARY_ENDPOINT_STABLE,
    CANARY_ENDPOINT_CANARY,
    CANARY_ENDPOINT_WEIGHT,
    CANARY_ENDPOINT_STEP,
    CANARY_ENDPOINT_STRATEGY,
    CANARY_ENDPOINT_SPENT,
    CANARY_ENDPOINT_LAST,
    CANARY_ENDPOINT_RELEASES,
    CANARY_ENDPOINT_EVENTS,
    CANARY_ENDPOINT_MEMBERS
};


enum {
    CANARY_LAST_ID = 0,
    CANARY_LAST_RELEASE,
    CANARY_LAST_RESULT,
    CANARY_LAST_REASON,
    CANARY_LAST_ENDED,
    CANARY_LAST_MEMBERS
};


#define CANARY_TOTALS_MEMBERS  17
#define CANARY_TOTALS_ALWAYS   14   /* of these, the first: others came later */


static void canary_state_read_endpoints(const cJSON *list,
    const canary_json_at_t *at, canary_state_t *state,
    canary_json_errors_t *errors);
static void canary_state_check_names(const canary_state_t *state,
    const canary_json_at_t *at, canary_json_errors_t *errors);
static int canary_state_by_name(const void *first, const void *second);
static void canary_state_read_endpoint(const cJSON *object,
    const canary_json_at_t *at, canary_state_endpoint_t *endpoint,
    canary_json_errors_t *errors);
static void canary_state_name(const cJSON *value, const canary_json_at_t *at,
    const char *name, char *text, size_t size, canary_json_errors_t *errors);
static void canary_state_read_name(const cJSON *value,
    const canary_json_at_t *at, canary_state_endpoint_t *endpoint,
    canary_json_errors_t *errors);
static void canary_state_read_rollout(const cJSON *const *values,
    const canary_json_at_t *at, canary_state_endpoint_t *endpoint,
    canary_json_errors_t *errors);
static void canary_state_read_strategy(const cJSON *value,
    const canary_json_at_t *at, canary_rollout_t *rollout,
    canary_json_errors_t *errors);
static void canary_state_read_spent(const cJSON *value,
    const canary_json_at_t *at, canary_state_endpoint_t *endpoint,
    canary_json_errors_t *errors);
static void canary_state_read_last(const cJSON *value,
    const canary_json_at_t *at, canary_state_endpoint_t *endpoint,
    canary_json_errors_t *errors);
static int canary_state_make_room(const cJSON *releases, const cJSON *events,
    const canary_json_at_t *at, canary_state_endpoint_t *endpoint,
    canary_json_errors_t *errors);
static void canary_state_read_releases(const cJSON *list,
    const canary_json_at_t *at, canary_state_endpoint_t *endpoint,
    canary_json_errors_t *errors);
static void canary_state_read_release(const cJSON *object,
    const canary_json_at_t *at, canary_state_release_t *release,
    canary_json_errors_t *errors);
static void canary_state_read_events(const cJSON *list,
    const canary_json_at_t *at, canary_state_endpoint_t *endpoint,
    canary_json_errors_t *errors);
static void canary_state_check_idle(const canary_state_endpoint_t *endpoint,
    const canary_json_at_t *at, canary_json_errors_t *errors);
static void canary_state_check_active(
    const canary_state_endpoint_t *endpoint, const canary_json_at_t *at,
    canary_json_errors_t *errors);


static const char *const  canary_state_names[CANARY_STATE_MEMBERS] = {
    "writer", "last_event", "endpoints"
};

static const char *const  canary_endpoint_names[CANARY_ENDPOINT_MEMBERS] = {
    "name", "generation", "rollout", "phase", "stable", "canary", "weight",
    "step", "strategy", "spent", "last_rollout", "releases", "events"
};

static const char *const  canary_strategy_names[] = {
    "strategy", "canary_strategy"
};

static const char *const  canary_spent_names[] = { "stable", "canary" };

static const char *const  canary_last_names[CANARY_LAST_MEMBERS] = {
    "id", "release", "result", "reason", "ended"
};

static const char *const  canary_results[] = { "promoted", "rolled_back" };

static const char *const  canary_totals_names[CANARY_TOTALS_MEMBERS] = {
    "name", "1xx", "2xx", "3xx", "4xx", "5xx", "failed", "timeouts", "cut",
    "cut_timeouts", "aborted", "fallbacks", "timed", "time_us",
    "cancelled", "abandoned", "no_live"
};


canary_state_t *
canary_state_read(const cJSON *json, canary_json_errors_t *errors)
{
    int                n;
    const cJSON       *values[CANARY_STATE_MEMBERS];
    canary_state_t    *state;
    canary_json_at_t   at = { NULL, "endpoints", 0 };

    if (!canary_state_members(json, NULL, canary_state_names,
                              CANARY_STATE_MEMBERS, values, errors))
    {
        return NULL;
    }

    if (!cJSON_IsArray(values[CANARY_STATE_ENDPOINTS])) {
        canary_json_wrong(errors, &at, values[CANARY_STATE_ENDPOINTS],
                          "a list of endpoints");
        return NULL;
    }

    n = cJSON_GetArraySize(values[CANARY_STATE_ENDPOINTS]);

    state = canary_state_create((unsigned) n);
    if (state == NULL) {
        return NULL;
    }

    state->writer = canary_state_count(values[CANARY_STATE_WRITER], NULL,
                                       "writer", UINT64_MAX, errors);
    state->last_event = canary_state_count(values[CANARY_STATE_LAST_EVENT],
                                           NULL, "last_event",
                                           CANARY_STATE_NUMBER_MAX, errors);

    canary_state_read_endpoints(values[CANARY_STATE_ENDPOINTS], &at, state,
                                errors);

    return state;
}


static void
canary_state_read_endpoints(const cJSON *list, const canary_json_at_t *at,
    canary_state_t *state, canary_json_errors_t *errors)
{
    unsigned                  n;
    const cJSON              *object;
    canary_json_at_t          here = { at, NULL, 0 };
    canary_json_at_t          at_events = { &here, "events", 0 };
    canary_state_endpoint_t  *endpoint;

    cJSON_ArrayForEach(object, list) {

        endpoint = &state->endpoints[here.index];

        canary_state_read_endpoint(object, &here, endpoint, errors);

        /* one is enough, and what follows needs what was read */

        if (errors->total) {
            return;
        }

        n = endpoint->nevents;

        if (n && endpoint->events[n - 1].id > state->last_event) {
            canary_json_error(errors, &at_events, "has an event with a "
                              "number above \"last_event\"");
        }

        here.index++;
    }

    canary_state_check_names(state, at, errors);
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


static void
canary_state_read_endpoint(const cJSON *object, const canary_json_at_t *at,
    canary_state_endpoint_t *endpoint, canary_json_errors_t *errors)
{
    const cJSON  *values[CANARY_ENDPOINT_MEMBERS];

    if (!canary_state_members(object, at, canary_endpoint_names,
                              CANARY_ENDPOINT_MEMBERS, values, errors))
    {
        return;
    }

    canary_state_read_name(values[CANARY_ENDPOINT_NAME], at, endpoint,
                           errors);
    canary_state_read_rollout(values, at, endpoint, errors);
    canary_state_read_spent(values[CANARY_ENDPOINT_SPENT], at, endpoint,
                            errors);
    canary_state_read_last(values[CANARY_ENDPOINT_LAST], at, endpoint,
                           errors);

    if (canary_state_make_room(values[CANARY_ENDPOINT_RELEASES],
                               values[CANARY_ENDPOINT_EVENTS], at, endpoint,
                               errors))
    {
        canary_state_read_releases(values[CANARY_ENDPOINT_RELEASES], at,
                                   endpoint, errors);
        canary_state_read_events(values[CANARY_ENDPOINT_EVENTS], at, endpoint,
                                 errors);
    }

    if (errors->total) {
        return;
    }

    if (endpoint->rollout.phase == CANARY_IDLE) {
        canary_state_check_idle(endpoint, at, errors);

    } else {
        canary_state_check_active(endpoint, at, errors);
    }
}


static void
canary_state_read_name(const cJSON *value, const canary_json_at_t *at,
    canary_state_endpoint_t *endpoint, canary_json_errors_t *errors)
{
    char              name[CANARY_STATE_ENDPOINT_NAME];
    canary_json_at_t  here = { at, "name", 0 };

    canary_state_name(value, at, "name", name, sizeof(name), errors);

    if (errors->total) {
        return;
    }

    if (name[0] == '\0') {
        canary_json_error(errors, &here, "is empty");

    } else if (!canary_state_set_name(endpoint, name, strlen(name))) {
        canary_json_error(errors, &here, "there is no memory for it");
    }
}


/* of an endpoint or a release; empty: it has none */

static void
canary_state_name(const cJSON *value, const canary_json_at_t *at,
    const char *name, char *text, size_t size, canary_json_errors_t *errors)
{
    const char        *bad;
    canary_json_at_t   here = { at, name, 0 };

    canary_state_text(value, at, name, text, size, errors);

    bad = text[0] ? canary_text_bad_name(text, strlen(text)) : NULL;

    if (bad) {
        canary_json_error(errors, &here, "%s", bad);
    }
}


static void
canary_state_read_rollout(const cJSON *const *values,
    const canary_json_at_t *at, canary_state_endpoint_t *endpoint,
    canary_json_errors_t *errors)
{
    canary_rollout_t  *rollout;

    rollout = &endpoint->rollout;

    canary_rollout_init(rollout, CANARY_NO_RELEASE);

    rollout->generation = canary_state_count(
                                  values[CANARY_ENDPOINT_GENERATION], at,
                                  "generation", CANARY_STATE_NUMBER_MAX,
                                  errors);
    rollout->number = (uint32_t) canary_state_count(
                                  values[CANARY_ENDPOINT_ROLLOUT], at,
                                  "rollout", UINT32_MAX, errors);
    rollout->phase = canary_state_phase(values[CANARY_ENDPOINT_PHASE], at,
                                        errors);
    rollout->weight = canary_state_weight(values[CANARY_ENDPOINT_WEIGHT], at,
                                          errors);
    rollout->step = (uint32_t) canary_state_count(
                                  values[CANARY_ENDPOINT_STEP], at, "step",
                                  UINT32_MAX, errors);

    canary_state_name(values[CANARY_ENDPOINT_STABLE], at, "stable",
                      endpoint->stable, sizeof(endpoint->stable), errors);
    canary_state_name(values[CANARY_ENDPOINT_CANARY], at, "canary",
                      endpoint->canary, sizeof(endpoint->canary), errors);

    canary_state_read_strategy(values[CANARY_ENDPOINT_STRATEGY], at, rollout,
                               errors);
}


static void
canary_state_read_strategy(const cJSON *value, const canary_json_at_t *at,
    canary_rollout_t *rollout, canary_json_errors_t *errors)
{
    const cJSON       *values[2];
    canary_json_at_t   here = { at, "strategy", 0 };

    if (cJSON_IsNull(value)) {
        return;
    }

    if (!canary_state_members(value, &here, canary_strategy_names, 2, values,
                              errors))
    {
        return;
    }

    (void) canary_strategy_json_read(values[0], values[1], &here,
                                     &rollout->strategy, errors);
}


static void
canary_state_read_spent(const cJSON *value, const canary_json_at_t *at,
    canary_state_endpoint_t *endpoint, canary_json_errors_t *errors)
{
    const cJSON       *values[2];
    canary_json_at_t   here = { at, "spent", 0 };

    if (!canary_state_members(value, &here, canary_spent_names, 2, values,
                              errors))
    {
        return;
    }

    endpoint->spent_stable = canary_state_count(values[0], &here, "stable",
                                                CANARY_STATE_NUMBER_MAX,
                                                errors);
    endpoint->spent_canary = canary_state_count(values[1], &here, "canary",
                                                CANARY_STATE_NUMBER_MAX,
                                                errors);
}


static void
canary_state_read_last(const cJSON *value, const canary_json_at_t *at,
    canary_state_endpoint_t *endpoint, canary_json_errors_t *errors)
{
    int                result;
    const cJSON       *values[CANARY_LAST_MEMBERS];
    canary_rollout_t  *rollout;
    canary_json_at_t   here = { at, "last_rollout", 0 };
    canary_json_at_t   at_result = { &here, "result", 0 };

    if (cJSON_IsNull(value)) {
        return;
    }

    if (!canary_state_members(value, &here, canary_last_names,
                              CANARY_LAST_MEMBERS, values, errors))
    {
        return;
    }

    rollout = &endpoint->rollout;

    rollout->last_number = (uint32_t) canary_state_count(
                                         values[CANARY_LAST_ID], &here, "id",
                                         UINT32_MAX, errors);

    result = canary_json_choice(values[CANARY_LAST_RESULT], &at_result,
                                canary_results, 2, errors);

    rollout->last_result = (result == 0) ? CANARY_PROMOTED
                                         : CANARY_ROLLED_BACK;

    canary_state_name(values[CANARY_LAST_RELEASE], &here, "release",
                      endpoint->last_release, sizeof(endpoint->last_release),
                      errors);
    canary_state_text(values[CANARY_LAST_REASON], &here, "reason",
                      endpoint->last_reason, sizeof(endpoint->last_reason),
                      errors);

    endpoint->ended = canary_state_count(values[CANARY_LAST_ENDED], &here,
                                         "ended", CANARY_STATE_TIME_MAX,
                                         errors);
}


static int
canary_state_make_room(const cJSON *releases, const cJSON *events,
    const canary_json_at_t *at, canary_state_endpoint_t *endpoint,
    canary_json_errors_t *errors)
{
    int               nreleases, nevents;
    canary_json_at_t  at_releases = { at, "releases", 0 };
    canary_json_at_t  at_events = { at, "events", 0 };

    nreleases = cJSON_IsArray(releases) ? cJSON_GetArraySize(releases) : -1;
    nevents = cJSON_IsArray(events) ? cJSON_GetArraySize(events) : -1;

    if (nreleases < 0 || nreleases > CANARY_RELEASES) {
        canary_json_error(errors, &at_releases,
                          "has to be a list of at most %d releases",
                          CANARY_RELEASES);
        return 0;
    }

    if (nevents < 0 || nevents > CANARY_EVENTS) {
        canary_json_error(errors, &at_events,
                          "has to be a list of at most %d events",
                          CANARY_EVENTS);
        return 0;
    }

    if (!canary_state_reserve(endpoint, (unsigned) nreleases,
                              (unsigned) nevents))
    {
        canary_json_error(errors, at, "there is no memory for it");
        return 0;
    }

    return 1;
}


static void
canary_state_read_releases(const cJSON *list, const canary_json_at_t *at,
    canary_state_endpoint_t *endpoint, canary_json_errors_t *errors)
{
    unsigned           i;
    const cJSON       *object;
    canary_json_at_t   at_list = { at, "releases", 0 };
    canary_json_at_t   here = { &at_list, NULL, 0 };

    cJSON_ArrayForEach(object, list) {
        canary_state_read_release(object, &here,
                                  &endpoint->releases[here.index], errors);

        for (i = 0; i < here.index && errors->total == 0; i++) {
            if (strcmp(endpoint->releases[i].name,
                       endpoint->releases[here.index].name)
                == 0)
            {
                canary_json_error(errors, &here,
                                  "another release has this name");
            }
        }

        endpoint->nreleases = ++here.index;
    }
}


static void
canary_state_read_release(const cJSON *object, const canary_json_at_t *at,
    canary_state_release_t *release, canary_json_errors_t *errors)
{
    unsigned          i, n;
    uint64_t         *counters[CANARY_TOTALS_MEMBERS], max;
    const cJSON      *values[CANARY_TOTALS_MEMBERS];
    canary_totals_t  *totals;

    if (!canary_state_some_members(object, at, canary_totals_names,
                                   CANARY_TOTALS_ALWAYS, CANARY_TOTALS_MEMBERS,
                                   values, errors))
    {
        return;
    }

    canary_state_name(values[0], at, "name", release->name,
                      sizeof(release->name), errors);

    totals = &release->totals;

    for (n = 1; n <= 5; n++) {
        counters[n] = &totals->responses[n - 1];
    }

    counters[n++] = &totals->failed;
    counters[n++] = &totals->timeouts;
    counters[n++] = &totals->cut;
    counters[n++] = &totals->cut_timeouts;
    counters[n++] = &totals->aborted;
    counters[n++] = &totals->fallbacks;
    counters[n++] = &totals->timed;
    counters[n++] = &totals->other_time;
    counters[n++] = &totals->cancelled;
    counters[n++] = &totals->abandoned;
    counters[n++] = &totals->no_live;

    for (i = 1; i < n; i++) {
        max = (counters[i] == &totals->other_time) ? CANARY_STATE_SUM_MAX
                                                   : CANARY_STATE_NUMBER_MAX;

        *counters[i] = values[i] ? canary_state_count(values[i], at,
                                                      canary_totals_names[i],
                                                      max, errors)
                                 : 0;
    }
}


static void
canary_state_read_events(const cJSON *list, const canary_json_at_t *at,
    canary_state_endpoint_t *endpoint, canary_json_errors_t *errors)
{
    uint64_t          last;
    const cJSON      *object;
    canary_json_at_t  at_list = { at, "events", 0 };
    canary_json_at_t  here = { &at_list, NULL, 0 };
    canary_json_at_t  at_id = { &here, "id", 0 };
    canary_event_t   *event;

    last = 0;

    cJSON_ArrayForEach(object, list) {
        event = &endpoint->events[here.index];

        canary_state_read_event(object, &here, event, errors);

        if (errors->total == 0 && event->id <= last) {
            canary_json_error(errors, &at_id,
                              "has to be above that of the event before");
        }

        last = event->id;
        endpoint->nevents = ++here.index;
    }
}


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

    } else if (rollout->weight == 0
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
