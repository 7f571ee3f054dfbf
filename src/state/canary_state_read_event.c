
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_rule_json.h"
#include "canary_state_read.h"


enum {
    CANARY_EVENT_ID = 0,
    CANARY_EVENT_GENERATION,
    CANARY_EVENT_TIME,
    CANARY_EVENT_ROLLOUT,
    CANARY_EVENT_VERB,
    CANARY_EVENT_FROM,
    CANARY_EVENT_TO,
    CANARY_EVENT_ACTOR,
    CANARY_EVENT_ADDRESS,
    CANARY_EVENT_REASON,
    CANARY_EVENT_ATTEMPTS,
    CANARY_EVENT_RULES,
    CANARY_EVENT_JUDGEMENTS,
    CANARY_EVENT_STABLE,
    CANARY_EVENT_MEMBERS
};


enum {
    CANARY_JUDGEMENT_VERDICT = 0,
    CANARY_JUDGEMENT_VALUE,
    CANARY_JUDGEMENT_LOW,
    CANARY_JUDGEMENT_HIGH,
    CANARY_JUDGEMENT_BAD,
    CANARY_JUDGEMENT_ATTEMPTS,
    CANARY_JUDGEMENT_NEEDED,
    CANARY_JUDGEMENT_MEMBERS
};


static void canary_state_read_point(const cJSON *object,
    const canary_json_at_t *at, const char *name, uint32_t *phase,
    uint32_t *weight, canary_json_errors_t *errors);
static void canary_state_read_rules(const cJSON *list,
    const canary_json_at_t *at, canary_event_t *event,
    canary_json_errors_t *errors);
static void canary_state_read_judgements(const cJSON *list,
    const canary_json_at_t *at, canary_event_t *event,
    canary_json_errors_t *errors);
static void canary_state_read_judgement(const cJSON *object,
    const canary_json_at_t *at, canary_judgement_t *judgement,
    canary_json_errors_t *errors);
static void canary_state_read_outage(const cJSON *object,
    const canary_json_at_t *at, canary_outage_t *outage,
    canary_json_errors_t *errors);


static const char *const  canary_event_names[CANARY_EVENT_MEMBERS] = {
    "id", "generation", "time", "rollout", "verb", "from", "to", "actor",
    "address", "reason", "attempts", "rules", "judgements", "stable"
};

static const char *const  canary_point_names[] = { "phase", "weight" };

static const char *const  canary_judgement_names[] = {
    "verdict", "value", "low", "high", "bad", "attempts", "needed"
};

static const char *const  canary_outage_names[] = {
    "ms", "attempts", "value"
};


void
canary_state_read_event(const cJSON *object, const canary_json_at_t *at,
    canary_event_t *event, canary_json_errors_t *errors)
{
    int                verb;
    const cJSON       *values[CANARY_EVENT_MEMBERS];
    canary_json_at_t   at_verb = { at, "verb", 0 };

    if (!canary_state_members(object, at, canary_event_names,
                              CANARY_EVENT_MEMBERS, values, errors))
    {
        return;
    }

    event->id = canary_state_count(values[CANARY_EVENT_ID], at, "id",
                                   CANARY_STATE_NUMBER_MAX, errors);
    event->generation = canary_state_count(values[CANARY_EVENT_GENERATION],
                                           at, "generation",
                                           CANARY_STATE_NUMBER_MAX, errors);
    event->time = canary_state_count(values[CANARY_EVENT_TIME], at, "time",
                                     CANARY_STATE_TIME_MAX, errors);
    event->rollout = (uint32_t) canary_state_count(
                                           values[CANARY_EVENT_ROLLOUT], at,
                                           "rollout", UINT32_MAX, errors);
    event->attempts = canary_state_count(values[CANARY_EVENT_ATTEMPTS], at,
                                         "attempts", CANARY_STATE_NUMBER_MAX,
                                         errors);

    verb = canary_json_choice(values[CANARY_EVENT_VERB], &at_verb,
                              canary_state_verbs, CANARY_STATE_VERBS, errors);
    event->verb = (verb == -1) ? 0 : (uint32_t) verb;

    canary_state_read_point(values[CANARY_EVENT_FROM], at, "from",
                            &event->from_phase, &event->from_weight, errors);
    canary_state_read_point(values[CANARY_EVENT_TO], at, "to",
                            &event->to_phase, &event->to_weight, errors);

    canary_state_text(values[CANARY_EVENT_ACTOR], at, "actor",
                      (char *) event->actor.name, CANARY_NAME_SIZE, errors);
    canary_state_text(values[CANARY_EVENT_ADDRESS], at, "address",
                      (char *) event->actor.address, CANARY_NAME_SIZE,
                      errors);
    canary_state_text(values[CANARY_EVENT_REASON], at, "reason",
                      (char *) event->reason, CANARY_REASON_SIZE, errors);

    canary_state_read_rules(values[CANARY_EVENT_RULES], at, event, errors);
    canary_state_read_judgements(values[CANARY_EVENT_JUDGEMENTS], at, event,
                                 errors);
    canary_state_read_outage(values[CANARY_EVENT_STABLE], at, &event->outage,
                             errors);
}


static void
canary_state_read_point(const cJSON *object, const canary_json_at_t *at,
    const char *name, uint32_t *phase, uint32_t *weight,
    canary_json_errors_t *errors)
{
    const cJSON       *values[2];
    canary_json_at_t   here = { at, name, 0 };

    if (!canary_state_members(object, &here, canary_point_names, 2, values,
                              errors))
    {
        return;
    }

    *phase = canary_state_phase(values[0], &here, errors);
    *weight = canary_state_weight(values[1], &here, errors);
}


static void
canary_state_read_rules(const cJSON *list, const canary_json_at_t *at,
    canary_event_t *event, canary_json_errors_t *errors)
{
    unsigned           i;
    canary_json_at_t   here = { at, "rules", 0 };
    canary_strategy_t  strategy;

    if (cJSON_IsArray(list) && list->child == NULL) {
        return;
    }

    canary_strategy_init(&strategy);
    canary_rule_json_read(list, &here, &strategy, errors);

    if (strategy.nrules > CANARY_FIGURES) {
        canary_json_error(errors, &here, "there can be at most %d rules",
                          CANARY_FIGURES);
        return;
    }

    event->nfigures = strategy.nrules;

    for (i = 0; i < strategy.nrules; i++) {
        event->figures[i].rule = strategy.rules[i];
    }
}


static void
canary_state_read_judgements(const cJSON *list, const canary_json_at_t *at,
    canary_event_t *event, canary_json_errors_t *errors)
{
    const cJSON       *object;
    canary_json_at_t   at_list = { at, "judgements", 0 };
    canary_json_at_t   here = { &at_list, NULL, 0 };

    if (!cJSON_IsArray(list)
        || (unsigned) cJSON_GetArraySize(list) != event->nfigures)
    {
        canary_json_wrong(errors, &at_list, list, "a list with as many "
                          "elements as \"rules\"");
        return;
    }

    cJSON_ArrayForEach(object, list) {
        canary_state_read_judgement(object, &here,
                                    &event->figures[here.index].judgement,
                                    errors);
        here.index++;
    }
}


static void
canary_state_read_judgement(const cJSON *object, const canary_json_at_t *at,
    canary_judgement_t *judgement, canary_json_errors_t *errors)
{
    int                verdict;
    const cJSON       *values[CANARY_JUDGEMENT_MEMBERS];
    canary_json_at_t   at_verdict = { at, "verdict", 0 };

    if (!canary_state_members(object, at, canary_judgement_names,
                              CANARY_JUDGEMENT_MEMBERS, values, errors))
    {
        return;
    }

    verdict = canary_json_choice(values[CANARY_JUDGEMENT_VERDICT],
                                 &at_verdict, canary_state_verdicts, 3,
                                 errors);
    judgement->verdict = (canary_verdict_t) (verdict == -1 ? 0 : verdict);

    judgement->value = canary_state_double(values[CANARY_JUDGEMENT_VALUE],
                                           at, "value", errors);
    judgement->low = canary_state_double(values[CANARY_JUDGEMENT_LOW], at,
                                         "low", errors);
    judgement->high = canary_state_double(values[CANARY_JUDGEMENT_HIGH], at,
                                          "high", errors);
    judgement->bad = canary_state_count(values[CANARY_JUDGEMENT_BAD], at,
                                        "bad", CANARY_STATE_NUMBER_MAX,
                                        errors);
    judgement->attempts = canary_state_count(
                                   values[CANARY_JUDGEMENT_ATTEMPTS], at,
                                   "attempts", CANARY_STATE_NUMBER_MAX,
                                   errors);
    judgement->needed = canary_state_count(values[CANARY_JUDGEMENT_NEEDED],
                                           at, "needed",
                                           CANARY_STATE_NUMBER_MAX, errors);
}


/* null: it is no event of an outage */

static void
canary_state_read_outage(const cJSON *object, const canary_json_at_t *at,
    canary_outage_t *outage, canary_json_errors_t *errors)
{
    const cJSON       *values[3];
    canary_json_at_t   here = { at, "stable", 0 };
    canary_json_at_t   at_value = { &here, "value", 0 };

    if (cJSON_IsNull(object)) {
        return;
    }

    if (!canary_state_members(object, &here, canary_outage_names, 3, values,
                              errors))
    {
        return;
    }

    outage->ms = canary_state_count(values[0], &here, "ms", UINT32_MAX,
                                    errors);
    outage->attempts = canary_state_count(values[1], &here, "attempts",
                                          CANARY_STATE_NUMBER_MAX, errors);
    outage->value = canary_state_double(values[2], &here, "value", errors);

    if (!(outage->value >= 0
          && outage->value <= (double) CANARY_STATE_NUMBER_MAX))
    {
        canary_json_wrong(errors, &at_value, values[2],
                          "a number from 0 to 2^53");
    }
}
