
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "canary_event_json.h"
#include "canary_rule_json.h"
#include "canary_state_json.h"
#include "canary_state_write.h"
#include "canary_strategy_json.h"
#include "canary_text.h"


static void canary_state_write_endpoint(cJSON *list,
    const canary_state_endpoint_t *endpoint, int *failed);
static void canary_state_write_strategy(cJSON *object,
    const canary_rollout_t *rollout, int *failed);
static void canary_state_write_spent(cJSON *object,
    const canary_state_endpoint_t *endpoint, int *failed);
static void canary_state_write_last(cJSON *object,
    const canary_state_endpoint_t *endpoint, int *failed);
static void canary_state_write_release(cJSON *list,
    const canary_state_release_t *release, int *failed);
static void canary_state_write_outage(cJSON *object,
    const canary_outage_t *outage, int *failed);
static void canary_state_write_figures(cJSON *object,
    const canary_event_t *event, int *failed);
static void canary_state_write_double(cJSON *object, const char *name,
    double value, int *failed);
static void canary_state_write_count(cJSON *object, const char *name,
    uint64_t value, int *failed);
static void canary_state_write_time(cJSON *object, const char *name,
    uint64_t value, int *failed);
static void canary_state_write_long(cJSON *object, const char *name,
    uint64_t value, int *failed);


char *
canary_state_json_write(const canary_state_t *state, size_t *len)
{
    int        failed;
    char      *text, *document;
    cJSON     *json, *list;
    unsigned   i;

    failed = 0;

    json = cJSON_CreateObject();

    canary_state_write_long(json, "writer", state->writer, &failed);
    canary_state_write_count(json, "last_event", state->last_event, &failed);

    list = canary_json_add_array(json, "endpoints", &failed);

    for (i = 0; i < state->nendpoints; i++) {
        canary_state_write_endpoint(list, &state->endpoints[i], &failed);
    }

    text = failed ? NULL : cJSON_PrintUnformatted(json);

    cJSON_Delete(json);

    if (text == NULL) {
        return NULL;
    }

    document = canary_state_json_seal(text, strlen(text), len);

    cJSON_free(text);

    return document;
}


char *
canary_state_json_seal(const char *value, size_t size, size_t *len)
{
    int            n;
    char          *document, hex[2 * SHA256_DIGEST_LENGTH + 1];
    size_t         room;
    unsigned       i;
    unsigned char  digest[SHA256_DIGEST_LENGTH];

    (void) SHA256((const unsigned char *) value, size, digest);

    for (i = 0; i < SHA256_DIGEST_LENGTH; i++) {
        (void) snprintf(&hex[2 * i], 3, "%02x", digest[i]);
    }

    room = size + sizeof(hex) + 64;

    document = malloc(room);
    if (document == NULL) {
        return NULL;
    }

    n = snprintf(document, room, "{\"version\":%d,\"sha256\":\"%s\","
                 "\"state\":", CANARY_STATE_VERSION, hex);

    memcpy(document + n, value, size);
    memcpy(document + n + size, "}\n", sizeof("}\n"));

    *len = (size_t) n + size + 2;

    return document;
}


static void
canary_state_write_endpoint(cJSON *list,
    const canary_state_endpoint_t *endpoint, int *failed)
{
    cJSON                   *object, *part;
    unsigned                 i;
    const canary_rollout_t  *rollout;

    rollout = &endpoint->rollout;

    object = canary_json_add_object(list, NULL, failed);

    canary_state_write_text(object, "name", endpoint->name, failed);
    canary_state_write_count(object, "generation", rollout->generation,
                             failed);
    canary_state_write_count(object, "rollout", rollout->number, failed);
    canary_json_add_text(object, "phase", canary_phase_name(rollout->phase),
                         failed);
    canary_state_write_text(object, "stable", endpoint->stable, failed);
    canary_state_write_text(object, "canary", endpoint->canary, failed);
    canary_json_add_number(object, "weight", rollout->weight,
                           CANARY_WEIGHT_DECIMALS, failed);
    canary_state_write_count(object, "step", rollout->step, failed);

    canary_state_write_strategy(object, rollout, failed);
    canary_state_write_spent(object, endpoint, failed);
    canary_state_write_last(object, endpoint, failed);

    part = canary_json_add_array(object, "releases", failed);

    for (i = 0; i < endpoint->nreleases; i++) {
        canary_state_write_release(part, &endpoint->releases[i], failed);
    }

    part = canary_json_add_array(object, "events", failed);

    for (i = 0; i < endpoint->nevents; i++) {
        canary_state_write_event(canary_json_add_object(part, NULL, failed),
                                 &endpoint->events[i], failed);
    }
}


static void
canary_state_write_strategy(cJSON *object, const canary_rollout_t *rollout,
    int *failed)
{
    if (rollout->phase == CANARY_IDLE) {
        canary_json_add_null(object, "strategy", failed);
        return;
    }

    canary_strategy_json_write(canary_json_add_object(object, "strategy",
                                                      failed),
                               &rollout->strategy, failed);
}


static void
canary_state_write_spent(cJSON *object,
    const canary_state_endpoint_t *endpoint, int *failed)
{
    object = canary_json_add_object(object, "spent", failed);

    canary_state_write_count(object, "stable", endpoint->spent_stable,
                             failed);
    canary_state_write_count(object, "canary", endpoint->spent_canary,
                             failed);
}


static void
canary_state_write_last(cJSON *object,
    const canary_state_endpoint_t *endpoint, int *failed)
{
    const canary_rollout_t  *rollout;

    rollout = &endpoint->rollout;

    if (rollout->last_number == 0) {
        canary_json_add_null(object, "last_rollout", failed);
        return;
    }

    object = canary_json_add_object(object, "last_rollout", failed);

    canary_state_write_count(object, "id", rollout->last_number, failed);
    canary_state_write_text(object, "release", endpoint->last_release,
                            failed);
    canary_json_add_text(object, "result",
                         canary_result_name(rollout->last_result), failed);
    canary_state_write_text(object, "reason", endpoint->last_reason, failed);
    canary_state_write_time(object, "ended", endpoint->ended, failed);
}


static void
canary_state_write_release(cJSON *list, const canary_state_release_t *release,
    int *failed)
{
    cJSON                  *object;
    unsigned                i;
    const canary_totals_t  *totals;

    static const char *const  names[] = { "1xx", "2xx", "3xx", "4xx", "5xx" };

    totals = &release->totals;

    object = canary_json_add_object(list, NULL, failed);

    canary_state_write_text(object, "name", release->name, failed);

    for (i = 0; i < 5; i++) {
        canary_state_write_count(object, names[i], totals->responses[i],
                                 failed);
    }

    canary_state_write_count(object, "failed", totals->failed, failed);
    canary_state_write_count(object, "timeouts", totals->timeouts, failed);
    canary_state_write_count(object, "cut", totals->cut, failed);
    canary_state_write_count(object, "cut_timeouts", totals->cut_timeouts,
                             failed);
    canary_state_write_count(object, "aborted", totals->aborted, failed);
    canary_state_write_count(object, "cancelled", totals->cancelled, failed);
    canary_state_write_count(object, "abandoned", totals->abandoned, failed);
    canary_state_write_count(object, "no_live", totals->no_live, failed);
    canary_state_write_count(object, "fallbacks", totals->fallbacks, failed);
    canary_state_write_count(object, "timed", totals->timed, failed);
    canary_state_write_long(object, "time_us",
                            (totals->other_time < CANARY_STATE_SUM_MAX)
                            ? totals->other_time : CANARY_STATE_SUM_MAX,
                            failed);
}


void
canary_state_write_event(cJSON *object, const canary_event_t *event,
    int *failed)
{
    canary_state_write_count(object, "id", event->id, failed);
    canary_state_write_count(object, "generation", event->generation, failed);
    canary_state_write_time(object, "time", event->time, failed);
    canary_state_write_count(object, "rollout", event->rollout, failed);
    canary_json_add_text(object, "verb", canary_state_verbs[event->verb],
                         failed);

    canary_event_json_write_point(object, "from", event->from_phase,
                                  event->from_weight, failed);
    canary_event_json_write_point(object, "to", event->to_phase,
                                  event->to_weight, failed);

    canary_state_write_text(object, "actor", (char *) event->actor.name,
                            failed);
    canary_state_write_text(object, "address", (char *) event->actor.address,
                            failed);
    canary_state_write_text(object, "reason", (char *) event->reason, failed);
    canary_state_write_count(object, "attempts", event->attempts, failed);

    canary_state_write_figures(object, event, failed);
    canary_state_write_outage(object, &event->outage, failed);
}


/* The rules as strategies have them, and in the same order what they said. */

static void
canary_state_write_figures(cJSON *object, const canary_event_t *event,
    int *failed)
{
    cJSON                     *list, *part;
    unsigned                   i;
    canary_strategy_t          strategy;
    const canary_judgement_t  *judgement;

    canary_strategy_init(&strategy);

    strategy.nrules = event->nfigures;

    for (i = 0; i < event->nfigures; i++) {
        strategy.rules[i] = event->figures[i].rule;
    }

    canary_rule_json_write(object, &strategy, failed);

    list = canary_json_add_array(object, "judgements", failed);

    for (i = 0; i < event->nfigures; i++) {
        judgement = &event->figures[i].judgement;
        part = canary_json_add_object(list, NULL, failed);

        canary_json_add_text(part, "verdict",
                             canary_state_verdicts[judgement->verdict],
                             failed);

        canary_state_write_double(part, "value", judgement->value, failed);
        canary_state_write_double(part, "low", judgement->low, failed);
        canary_state_write_double(part, "high", judgement->high, failed);

        canary_state_write_count(part, "bad", judgement->bad, failed);

        canary_state_write_count(part, "attempts", judgement->attempts,
                                 failed);
        canary_state_write_count(part, "needed", judgement->needed, failed);
    }
}


static void
canary_state_write_outage(cJSON *object, const canary_outage_t *outage,
    int *failed)
{
    double  value;

    if (outage->ms == 0) {
        canary_json_add_null(object, "stable", failed);
        return;
    }

    object = canary_json_add_object(object, "stable", failed);

    value = (double) CANARY_STATE_NUMBER_MAX;

    if (!(outage->value > value)) {
        value = (outage->value > 0) ? outage->value : 0;
    }

    canary_state_write_long(object, "ms",
                            (outage->ms < UINT32_MAX) ? outage->ms
                                                      : UINT32_MAX, failed);
    canary_state_write_count(object, "attempts", outage->attempts, failed);
    canary_state_write_double(object, "value", value, failed);
}


/* cJSON writes as many digits as give the same double again */

static void
canary_state_write_double(cJSON *object, const char *name, double value,
    int *failed)
{
    canary_json_add(object, name, isfinite(value) ? cJSON_CreateNumber(value)
                                                  : cJSON_CreateNull(),
                    failed);
}


void
canary_state_write_text(cJSON *object, const char *name, const char *text,
    int *failed)
{
    char    hex[2 * CANARY_STATE_ENDPOINT_NAME + 1];
    size_t  len, i;

    len = strlen(text);

    if (canary_utf8_prefix(text, len) == len) {
        canary_json_add_text(object, name, text, failed);
        return;
    }

    for (i = 0; i < len && i < CANARY_STATE_ENDPOINT_NAME; i++) {
        (void) snprintf(&hex[2 * i], 3, "%02x", (unsigned char) text[i]);
    }

    object = canary_json_add_object(object, name, failed);
    canary_json_add_text(object, "hex", hex, failed);
}


static void
canary_state_write_count(cJSON *object, const char *name, uint64_t value,
    int *failed)
{
    canary_state_write_long(object, name,
                            (value < CANARY_STATE_NUMBER_MAX)
                            ? value : CANARY_STATE_NUMBER_MAX, failed);
}


static void
canary_state_write_time(cJSON *object, const char *name, uint64_t value,
    int *failed)
{
    canary_state_write_long(object, name,
                            (value < CANARY_STATE_TIME_MAX)
                            ? value : CANARY_STATE_TIME_MAX, failed);
}


static void
canary_state_write_long(cJSON *object, const char *name, uint64_t value,
    int *failed)
{
    char  digits[24];

    if (value <= CANARY_STATE_NUMBER_MAX) {
        canary_json_add_number(object, name, value, 0, failed);
        return;
    }

    (void) snprintf(digits, sizeof(digits), "%" PRIu64, value);

    canary_json_add_text(object, name, digits, failed);
}
