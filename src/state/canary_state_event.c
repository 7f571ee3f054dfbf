
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "canary_event.h"
#include "canary_kept.h"
#include "canary_outage.h"
#include "canary_rollout.h"
#include "canary_rule_json.h"
#include "canary_state.h"
#include "canary_state_event.h"


/* Two members of an event. */

typedef struct {
    uint32_t  phase;
    uint32_t  weight;
} canary_state_point_t;

_Static_assert(offsetof(canary_event_t, from_weight)
               - offsetof(canary_event_t, from_phase)
               == offsetof(canary_state_point_t, weight)
               && offsetof(canary_event_t, to_weight)
                  - offsetof(canary_event_t, to_phase)
                  == offsetof(canary_state_point_t, weight),
               "a point is a part of an event");


const char *const  canary_state_phases[CANARY_PHASES] = {
    "idle", "progressing", "paused", "halted", "baking"
};

const char *const  canary_state_verbs[CANARY_STATE_VERBS] = {
    "start", "direct", "patch", "advance", "pause", "resume", "promote",
    "rollback", "step", "violation", "holding", "release_gone",
    "stable_unavailable", "stable_available"
};

static const char *const  canary_state_verdicts[] = {
    "undecided", "passing", "failing"
};


/* The rules as strategies have them, and in the same order what they said. */

static void
canary_state_read_rules(const cJSON *value, const canary_json_at_t *at,
    const canary_state_field_t *field, void *of, canary_json_errors_t *errors)
{
    unsigned           i;
    canary_event_t    *event;
    canary_strategy_t  strategy;

    (void) field;

    event = of;

    if (cJSON_IsArray(value) && value->child == NULL) {
        return;
    }

    canary_strategy_init(&strategy);
    canary_rule_json_read(value, at, &strategy, errors);

    if (strategy.nrules > CANARY_FIGURES) {
        canary_json_error(errors, at, "there can be at most %d rules",
                          CANARY_FIGURES);
        return;
    }

    event->nfigures = strategy.nrules;
    event->matches = strategy.matches;

    for (i = 0; i < strategy.nrules; i++) {
        event->figures[i].rule = strategy.rules[i];
    }
}


static void
canary_state_write_rules(cJSON *object, const canary_state_field_t *field,
    const void *of, int *failed)
{
    unsigned               i;
    canary_strategy_t      strategy;
    const canary_event_t  *event;

    (void) field;

    event = of;

    canary_strategy_init(&strategy);

    strategy.nrules = event->nfigures;
    strategy.matches = event->matches;

    for (i = 0; i < event->nfigures; i++) {
        strategy.rules[i] = event->figures[i].rule;
    }

    canary_rule_json_write(object, &strategy, failed);
}


static const canary_state_kind_t  canary_state_rules = {
    canary_state_read_rules, canary_state_write_rules
};


static const canary_state_field_t  canary_state_judgement_fields[] = {
    { "verdict", &canary_state_choice, offsetof(canary_judgement_t, verdict),
      3, canary_state_verdicts },
    { "value", &canary_state_double,
      CANARY_STATE_FIELD(canary_judgement_t, value, 0) },
    { "low", &canary_state_double,
      CANARY_STATE_FIELD(canary_judgement_t, low, 0) },
    { "high", &canary_state_double,
      CANARY_STATE_FIELD(canary_judgement_t, high, 0) },
    { "bad", &canary_state_long,
      CANARY_STATE_FIELD(canary_judgement_t, bad, CANARY_STATE_NUMBER_MAX) },
    { "attempts", &canary_state_long,
      CANARY_STATE_FIELD(canary_judgement_t, attempts,
                         CANARY_STATE_NUMBER_MAX) },
    { "needed", &canary_state_long,
      CANARY_STATE_FIELD(canary_judgement_t, needed, CANARY_STATE_NUMBER_MAX) }
};

static const canary_state_object_t  canary_state_judgement = {
    CANARY_STATE_FIELDS(canary_state_judgement_fields), NULL, 0
};


static void
canary_state_read_judgements(const cJSON *value, const canary_json_at_t *at,
    const canary_state_field_t *field, void *of, canary_json_errors_t *errors)
{
    const cJSON       *object;
    canary_event_t    *event;
    canary_json_at_t   here = { at, NULL, 0 };

    (void) field;

    event = of;

    if (!cJSON_IsArray(value)
        || (unsigned) cJSON_GetArraySize(value) != event->nfigures)
    {
        canary_json_wrong(errors, at, value, "a list with as many elements "
                          "as \"rules\"");
        return;
    }

    cJSON_ArrayForEach(object, value) {
        canary_state_read_fields(object, &here, &canary_state_judgement,
                                 &event->figures[here.index].judgement,
                                 errors);
        here.index++;
    }
}


static void
canary_state_write_judgements(cJSON *object, const canary_state_field_t *field,
    const void *of, int *failed)
{
    cJSON                 *list;
    unsigned               i;
    const canary_event_t  *event;

    event = of;
    list = canary_json_add_array(object, field->name, failed);

    for (i = 0; i < event->nfigures; i++) {
        canary_state_write_fields(canary_json_add_object(list, NULL, failed),
                                  &canary_state_judgement,
                                  &event->figures[i].judgement, failed);
    }
}


static const canary_state_kind_t  canary_state_judgements = {
    canary_state_read_judgements, canary_state_write_judgements
};


static int
canary_state_is_outage(const void *of)
{
    return ((const canary_outage_t *) of)->ms != 0;
}


static const canary_state_field_t  canary_state_outage_fields[] = {
    { "ms", &canary_state_long,
      CANARY_STATE_FIELD(canary_outage_t, ms, UINT32_MAX) },
    { "attempts", &canary_state_long,
      CANARY_STATE_FIELD(canary_outage_t, attempts, CANARY_STATE_NUMBER_MAX) },
    { "value", &canary_state_double,
      CANARY_STATE_FIELD(canary_outage_t, value, CANARY_STATE_NUMBER_MAX) }
};

static const canary_state_object_t  canary_state_outage = {
    CANARY_STATE_FIELDS(canary_state_outage_fields), canary_state_is_outage, 0
};


static const canary_state_field_t  canary_state_point_fields[] = {
    { "phase", &canary_state_choice, offsetof(canary_state_point_t, phase),
      CANARY_PHASES, canary_state_phases },
    { "weight", &canary_state_ratio,
      CANARY_STATE_FIELD(canary_state_point_t, weight, 0) }
};

static const canary_state_object_t  canary_state_point = {
    CANARY_STATE_FIELDS(canary_state_point_fields), NULL, 0
};


static const canary_state_field_t  canary_state_event_fields[] = {
    { "id", &canary_state_long,
      CANARY_STATE_FIELD(canary_event_t, id, CANARY_STATE_NUMBER_MAX) },
    { "generation", &canary_state_long,
      CANARY_STATE_FIELD(canary_event_t, generation,
                         CANARY_STATE_NUMBER_MAX) },
    { "time", &canary_state_long,
      CANARY_STATE_FIELD(canary_event_t, time, CANARY_STATE_TIME_MAX) },
    { "rollout", &canary_state_int,
      CANARY_STATE_FIELD(canary_event_t, rollout, UINT32_MAX) },
    { "verb", &canary_state_choice, offsetof(canary_event_t, verb),
      CANARY_STATE_VERBS, canary_state_verbs },
    { "from", &canary_state_part, offsetof(canary_event_t, from_phase), 0,
      &canary_state_point },
    { "to", &canary_state_part, offsetof(canary_event_t, to_phase), 0,
      &canary_state_point },
    { "actor", &canary_state_text,
      CANARY_STATE_FIELD(canary_event_t, actor.name, CANARY_NAME_SIZE) },
    { "address", &canary_state_text,
      CANARY_STATE_FIELD(canary_event_t, actor.address, CANARY_NAME_SIZE) },
    { "reason", &canary_state_text,
      CANARY_STATE_FIELD(canary_event_t, reason, CANARY_REASON_SIZE) },
    { "attempts", &canary_state_long,
      CANARY_STATE_FIELD(canary_event_t, attempts, CANARY_STATE_NUMBER_MAX) },
    { "rules", &canary_state_rules, 0, 0, NULL },
    { "judgements", &canary_state_judgements, 0, 0, NULL },
    { "stable", &canary_state_part, offsetof(canary_event_t, outage), 0,
      &canary_state_outage },

    /* not in files of before it was */

    { "release", &canary_state_name,
      CANARY_STATE_FIELD(canary_event_t, release, CANARY_NAME_SIZE) }
};

const canary_state_object_t  canary_state_event = {
    CANARY_STATE_FIELDS(canary_state_event_fields), NULL, 1
};
