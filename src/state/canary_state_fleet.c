
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "canary_kept.h"
#include "canary_state.h"
#include "canary_state_fleet.h"


/*
 * Seeds and members are texts of words: "SEED SEED ...", "NAME NUMBER ...".
 * Others are an object: a record, as text, by the word of its endpoint.
 */


static void
canary_state_read_words(const cJSON *value, const canary_json_at_t *at,
    canary_json_errors_t *errors, char *words, size_t size)
{
    canary_state_field_t  field = { NULL, NULL, 0, size, NULL };

    words[0] = '\0';
    canary_state_text.read(value, at, &field, words, errors);
}


static void
canary_state_read_seeds(const cJSON *value, const canary_json_at_t *at,
    const canary_state_field_t *field, void *of, canary_json_errors_t *errors)
{
    char                  words[CANARY_STATE_SEEDS], *word, *last;
    canary_fleet_kept_t  *kept;

    (void) field;

    kept = of;
    canary_state_read_words(value, at, errors, words, sizeof(words));

    for (word = words; *word && kept->nseeds < CANARY_FLEET_SEEDS; /* void */) {
        last = word + strcspn(word, " ");

        if (last - word >= CANARY_FLEET_SEED_SIZE || last == word) {
            canary_json_error(errors, at, "has a word that is no seed");
            return;
        }

        memcpy(kept->seeds[kept->nseeds++], word, (size_t) (last - word));
        word = *last ? last + 1 : last;
    }
}


static void
canary_state_write_seeds(cJSON *object, const canary_state_field_t *field,
    const void *of, int *failed)
{
    char                        words[CANARY_STATE_SEEDS];
    size_t                      len;
    uint32_t                    i;
    const canary_fleet_kept_t  *kept;

    kept = of;
    words[0] = '\0';

    for (i = 0, len = 0; i < kept->nseeds; i++) {
        len += (size_t) snprintf(words + len, sizeof(words) - len, "%s%s",
                                 i ? " " : "", kept->seeds[i]);
    }

    canary_json_add_text(object, field->name, words, failed);
}


static const canary_state_kind_t  canary_state_seeds = {
    canary_state_read_seeds, canary_state_write_seeds
};


static void
canary_state_read_members(const cJSON *value, const canary_json_at_t *at,
    const canary_state_field_t *field, void *of, canary_json_errors_t *errors)
{
    int                   n;
    char                  words[CANARY_STATE_MEMBERS];
    canary_fleet_kept_t  *kept;

    (void) field;

    kept = of;
    canary_state_read_words(value, at, errors, words, sizeof(words));

    n = words[0] ? canary_fleet_members_parse(words, strlen(words),
                                              kept->members)
                 : 0;
    if (n < 0) {
        canary_json_error(errors, at, "has to be names and numbers");
        return;
    }

    kept->nmembers = (uint32_t) n;
}


static void
canary_state_write_members(cJSON *object, const canary_state_field_t *field,
    const void *of, int *failed)
{
    char                        words[CANARY_STATE_MEMBERS];
    size_t                      len;
    uint32_t                    i;
    const canary_fleet_kept_t  *kept;

    kept = of;
    words[0] = '\0';

    for (i = 0, len = 0; i < kept->nmembers; i++) {
        len += (size_t) snprintf(words + len, sizeof(words) - len,
                                 "%s%s %" PRIu64, i ? " " : "",
                                 kept->members[i].name,
                                 kept->members[i].number);
    }

    canary_json_add_text(object, field->name, words, failed);
}


static const canary_state_kind_t  canary_state_member_list = {
    canary_state_read_members, canary_state_write_members
};


static void
canary_state_read_others(const cJSON *value, const canary_json_at_t *at,
    const canary_state_field_t *field, void *of, canary_json_errors_t *errors)
{
    const cJSON  *item;

    (void) field;

    if (!cJSON_IsObject(value)) {
        canary_json_error(errors, at, "has to be an object");
        return;
    }

    cJSON_ArrayForEach(item, value) {

        if (!cJSON_IsString(item)) {
            canary_json_error(errors, at, "has a record that is no text");
            return;
        }

        if (!canary_state_add_other(of, item->string, strlen(item->string),
                                    item->valuestring,
                                    strlen(item->valuestring)))
        {
            canary_json_error(errors, at, "is too large for the memory");
            return;
        }
    }
}


/* a later field, which is there for whoever has some */

static void
canary_state_write_others(cJSON *object, const canary_state_field_t *field,
    const void *of, int *failed)
{
    cJSON                       *list;
    const canary_state_other_t  *other;
    const canary_state_fleet_t  *fleet;

    fleet = of;

    if (fleet->others == NULL) {
        return;
    }

    list = canary_json_add_object(object, field->name, failed);

    for (other = fleet->others; other; other = other->next) {
        canary_json_add_text(list, other->word, other->record, failed);
    }
}


static const canary_state_kind_t  canary_state_other_list = {
    canary_state_read_others, canary_state_write_others
};


static int
canary_state_has_fleet(const void *of)
{
    return ((const canary_state_t *) of)->fleet.name[0] != '\0';
}


static const canary_state_field_t  canary_state_fleet_fields[] = {
    { "name", &canary_state_text,
      CANARY_STATE_FIELD(canary_state_t, fleet.name, CANARY_NAME_SIZE) },
    { "version", &canary_state_long,
      CANARY_STATE_FIELD(canary_state_t, fleet.kept.version,
                         CANARY_STATE_NUMBER_MAX) },
    { "incarnation", &canary_state_int,
      CANARY_STATE_FIELD(canary_state_t, fleet.kept.incarnation,
                         UINT32_MAX) },
    { "term", &canary_state_int,
      CANARY_STATE_FIELD(canary_state_t, fleet.kept.term, UINT32_MAX) },
    { "contact", &canary_state_long,
      CANARY_STATE_FIELD(canary_state_t, fleet.contact,
                         CANARY_STATE_TIME_MAX) },
    { "seeds", &canary_state_seeds,
      CANARY_STATE_FIELD(canary_state_t, fleet.kept, 0) },
    { "members", &canary_state_member_list,
      CANARY_STATE_FIELD(canary_state_t, fleet.kept, 0) },
    { "others", &canary_state_other_list,
      CANARY_STATE_FIELD(canary_state_t, fleet, 0) }
};

const canary_state_object_t  canary_state_fleet = {
    CANARY_STATE_FIELDS(canary_state_fleet_fields), canary_state_has_fleet, 1
};


static int
canary_state_is_of_fleet(const void *of)
{
    return ((const canary_state_endpoint_t *) of)->rollout.uid != 0;
}


static const canary_state_field_t  canary_state_fleet_rollout_fields[] = {
    { "uid", &canary_state_int,
      CANARY_STATE_FIELD(canary_state_endpoint_t, rollout.uid, UINT32_MAX) },
    { "tests", &canary_state_int,
      CANARY_STATE_FIELD(canary_state_endpoint_t, rollout.tests, UINT32_MAX) },
    { "trial", &canary_state_int,
      CANARY_STATE_FIELD(canary_state_endpoint_t, rollout.trial, UINT32_MAX) },
    { "since", &canary_state_long,
      CANARY_STATE_FIELD(canary_state_endpoint_t, rollout.since,
                         CANARY_STATE_NUMBER_MAX) },
    { "elapsed", &canary_state_long,
      CANARY_STATE_FIELD(canary_state_endpoint_t, rollout.elapsed,
                         CANARY_STATE_NUMBER_MAX) },

    { "members", &canary_state_int,
      CANARY_STATE_FIELD(canary_state_endpoint_t, rollout.members,
                         UINT32_MAX) },
    { "joined", &canary_state_long,
      CANARY_STATE_FIELD(canary_state_endpoint_t, rollout.joined,
                         CANARY_STATE_NUMBER_MAX) }
};

const canary_state_object_t  canary_state_fleet_rollout = {
    CANARY_STATE_FIELDS(canary_state_fleet_rollout_fields),
    canary_state_is_of_fleet, 2
};
