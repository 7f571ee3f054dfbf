
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#define _POSIX_C_SOURCE  200809L


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "canary_event_json.h"
#include "canary_split.h"
#include "canary_rule_json.h"
#include "canary_text.h"


static void canary_event_json_text(cJSON *object, const char *name,
    const char *text, size_t len, int *failed);
static void canary_event_json_line(cJSON *object, const char *name,
    const unsigned char *text, int *failed);
static void canary_event_json_optional(cJSON *object, const char *name,
    const unsigned char *text, int *failed);
static void canary_event_json_time(cJSON *object, uint64_t ms, int *failed);
static void canary_event_json_actor(cJSON *object,
    const canary_actor_t *actor, int *failed);
static void canary_event_json_decision(cJSON *object,
    const canary_event_t *event, int *failed);
static void canary_event_json_outage(cJSON *object,
    const canary_event_t *event, int *failed);
static void canary_event_json_match(cJSON *object, const canary_rule_t *rule,
    const canary_matches_t *matches, int *failed);
static void canary_event_json_proof(cJSON *object, const canary_rule_t *rule,
    const canary_judgement_t *judgement, int *failed);


void
canary_event_json_write(cJSON *object, const char *endpoint, size_t len,
    const canary_event_t *event, int *failed)
{
    canary_json_add_number(object, "id", event->id, 0, failed);
    canary_json_add_text(object, "type", canary_event_type(event), failed);
    canary_event_json_optional(object, "release", event->release, failed);
    canary_event_json_text(object, "endpoint", endpoint, len, failed);
    canary_event_json_time(object, event->time, failed);

    canary_event_json_actor(object, &event->actor, failed);

    canary_event_json_write_point(object, "from", event->from_phase,
                                  event->from_weight, failed);
    canary_event_json_write_point(object, "to", event->to_phase,
                                  event->to_weight, failed);

    canary_event_json_line(object, "reason", event->reason, failed);

    canary_event_json_decision(object, event, failed);
}


static void
canary_event_json_text(cJSON *object, const char *name, const char *text,
    size_t len, int *failed)
{
    char  *utf8;

    utf8 = malloc(len * CANARY_UTF8_GROWS + 1);
    if (utf8 == NULL) {
        *failed = 1;
        return;
    }

    canary_utf8_replace(text, len, utf8);
    canary_json_add_text(object, name, utf8, failed);

    free(utf8);
}


static void
canary_event_json_line(cJSON *object, const char *name,
    const unsigned char *text, int *failed)
{
    canary_event_json_text(object, name, (const char *) text,
                           strlen((const char *) text), failed);
}


/* null: there is none */

static void
canary_event_json_optional(cJSON *object, const char *name,
    const unsigned char *text, int *failed)
{
    if (text[0]) {
        canary_event_json_line(object, name, text, failed);

    } else {
        canary_json_add_null(object, name, failed);
    }
}


static void
canary_event_json_time(cJSON *object, uint64_t ms, int *failed)
{
    char       text[64];
    time_t     time;
    size_t     len;
    struct tm  tm;

    time = (time_t) (ms / 1000);

    if (gmtime_r(&time, &tm) == NULL) {
        canary_json_add_null(object, "time", failed);
        return;
    }

    len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);

    (void) snprintf(text + len, sizeof(text) - len, ".%03uZ",
                    (unsigned) (ms % 1000));

    canary_json_add_text(object, "time", text, failed);
}


static void
canary_event_json_actor(cJSON *object, const canary_actor_t *actor,
    int *failed)
{
    object = canary_json_add_object(object, "actor", failed);

    canary_event_json_line(object, "name", actor->name, failed);
    canary_event_json_optional(object, "address", actor->address, failed);
}


void
canary_event_json_write_point(cJSON *object, const char *name, uint32_t phase,
    uint32_t weight, int *failed)
{
    object = canary_json_add_object(object, name, failed);

    canary_json_add_text(object, "phase", canary_phase_name(phase), failed);
    canary_json_add_number(object, "weight", weight, CANARY_WEIGHT_DECIMALS,
                           failed);
}


/* the figures that decided; of a violation, the rule that broke is first */

static void
canary_event_json_decision(cJSON *object, const canary_event_t *event,
    int *failed)
{
    const canary_rule_t    *rule;
    const canary_figure_t  *broken;

    object = canary_json_add_object(object, "figures", failed);

    if (event->verb == CANARY_STABLE_AVAILABLE) {
        canary_json_add_number(object, "served", event->outage.attempts, 0,
                               failed);
        canary_json_add_number(object, "seconds", event->outage.ms, 3, failed);
    }

    if (event->nfigures == 0) {
        return;
    }

    canary_json_add_number(object, "attempts", event->attempts, 0, failed);

    if (event->verb == CANARY_VIOLATION || event->verb == CANARY_HOLDING) {
        broken = &event->figures[0];
        rule = &broken->rule;

        canary_json_add_text(object, "rule", canary_rule_info[rule->kind].name,
                             failed);
        canary_event_json_match(object, rule, &event->matches, failed);
        canary_rule_json_write_value(object, "value", rule,
                                     broken->judgement.value, failed);
        canary_rule_json_write_threshold(object, "threshold", rule, failed);
    }

    if (event->verb == CANARY_HOLDING) {
        canary_event_json_outage(object, event, failed);
    }

    canary_event_json_write_figures(canary_json_add_array(object, "rules",
                                                          failed),
                                    event->figures, event->nfigures,
                                    &event->matches, failed);
}


/* what stable did in the time in which it broke the rule too */

static void
canary_event_json_outage(cJSON *object, const canary_event_t *event,
    int *failed)
{
    double                share;
    const canary_rule_t  *rule;

    rule = &event->figures[0].rule;

    object = canary_json_add_object(object, "stable", failed);

    if (canary_rule_info[rule->kind].quantile) {

        /* its value is a share of attempts, not a time */

        share = (event->outage.value < 1) ? event->outage.value : 1;

        canary_json_add_number(object, "above_threshold",
                               (uint64_t) (share * CANARY_RATIO_ONE + 0.5),
                               9, failed);
    } else {
        canary_rule_json_write_value(object, "value", rule,
                                     event->outage.value, failed);
    }

    canary_json_add_number(object, "attempts", event->outage.attempts, 0,
                           failed);
    canary_json_add_number(object, "seconds", event->outage.ms, 3, failed);
}


void
canary_event_json_write_figures(cJSON *list, const canary_figure_t *figures,
    unsigned n, const canary_matches_t *matches, int *failed)
{
    cJSON                     *object;
    unsigned                   i;
    const canary_rule_t       *rule;
    const canary_judgement_t  *judgement;

    for (i = 0; i < n; i++) {
        rule = &figures[i].rule;
        judgement = &figures[i].judgement;

        object = canary_json_add_object(list, NULL, failed);

        canary_json_add_text(object, "rule", canary_rule_info[rule->kind].name,
                             failed);
        canary_event_json_match(object, rule, matches, failed);
        canary_rule_json_write_threshold(object, "threshold", rule, failed);
        canary_rule_json_write_value(object, "value", rule,
                                     judgement->value, failed);

        if (rule->baseline) {
            canary_json_add_text(object, "baseline", "stable", failed);
        }

        canary_json_add_number(object, "attempts", judgement->attempts, 0,
                               failed);
        canary_json_add_text(object, "verdict",
                             canary_verdict_name(judgement->verdict), failed);

        if (rule->confidence) {
            canary_event_json_proof(object, rule, judgement, failed);
        }
    }
}


static void
canary_event_json_match(cJSON *object, const canary_rule_t *rule,
    const canary_matches_t *matches, int *failed)
{
    if (rule->match) {
        canary_json_add_text(object, "match", matches->names[rule->match - 1],
                             failed);
    }
}


/* between what the value is, and how many good attempts would do */

static void
canary_event_json_proof(cJSON *object, const canary_rule_t *rule,
    const canary_judgement_t *judgement, int *failed)
{
    cJSON  *bounds;

    bounds = canary_json_add_array(object, "bounds", failed);

    canary_rule_json_write_value(bounds, NULL, rule, judgement->low, failed);
    canary_rule_json_write_value(bounds, NULL, rule, judgement->high, failed);

    if (judgement->needed >= CANARY_NEEDED_MAX) {
        canary_json_add_null(object, "needs", failed);

    } else {
        canary_json_add_number(object, "needs", judgement->needed, 0, failed);
    }
}
