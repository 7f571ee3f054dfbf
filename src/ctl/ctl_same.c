
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_strategy_json.h"
#include "ctl_endpoint.h"
#include "ctl_json.h"
#include "ctl_same.h"


static int ctl_same_strategy(const cJSON *body, const cJSON *endpoint);


ctl_same_t
ctl_same(const cJSON *body, const cJSON *endpoint)
{
    const char  *release, *canary;

    release = ctl_json_text(body, "release", NULL);
    canary = ctl_json_text(endpoint, "canary", NULL);

    if (canary == NULL) {
        return (release
                && strcmp(release, ctl_json_text(endpoint, "stable", "")) == 0)
               ? CTL_SAME_STABLE : CTL_SAME_NOT;
    }

    if (release && strcmp(release, canary) != 0) {
        return CTL_SAME_NOT;
    }

    return ctl_same_strategy(body, endpoint) ? CTL_SAME_ROLLOUT
                                             : CTL_SAME_RELEASE;
}


/* What the body says, read over what there is, changes nothing. */

static int
ctl_same_strategy(const cJSON *body, const cJSON *endpoint)
{
    canary_strategy_t  present, asked;

    memset(&present, 0, sizeof(canary_strategy_t));
    canary_strategy_init(&present);

    if (strcmp(ctl_json_text(body, "strategy", "canary"), "canary") != 0
        || !ctl_strategy_read(ctl_json_object(endpoint, "strategy"),
                              &present))
    {
        return 0;
    }

    /* with what is between its members */

    memcpy(&asked, &present, sizeof(canary_strategy_t));

    return ctl_strategy_read(body, &asked)
           && memcmp(&asked, &present, sizeof(canary_strategy_t)) == 0;
}


int
ctl_strategy_read(const cJSON *object, canary_strategy_t *strategy)
{
    canary_json_errors_t  errors;

    memset(&errors, 0, sizeof(canary_json_errors_t));

    (void) canary_strategy_json_read(
               cJSON_GetObjectItemCaseSensitive(object, "strategy"),
               cJSON_GetObjectItemCaseSensitive(object, "canary_strategy"),
               NULL, strategy, &errors);

    return errors.total == 0;
}


void
ctl_same_say(ctl_same_t same, const cJSON *endpoint)
{
    ctl_text_t  text = { NULL, 0, 0 }, out = { NULL, 0, 0 };

    ctl_text_addf(&text, "%s: ", ctl_json_text(endpoint, "name", "?"));

    if (same == CTL_SAME_STABLE) {
        ctl_text_addf(&text, "%s is stable already",
                      ctl_json_text(endpoint, "stable", "?"));

    } else {
        ctl_text_addf(&text, "%s is being rolled out already: ",
                      ctl_json_text(endpoint, "canary", "?"));
        ctl_add_progress(&text, endpoint);
        ctl_text_adds(&text, "; next: ");
        ctl_add_next(&text, endpoint);
    }

    ctl_text_add_safe(&out, text.data);
    ctl_text_adds(&out, "\n");
    ctl_term_write(&out);

    ctl_text_free(&text);
    ctl_text_free(&out);
}
