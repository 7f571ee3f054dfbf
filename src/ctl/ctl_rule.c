
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdlib.h>
#include <string.h>

#include "canary_rule_json.h"
#include "canary_rule_text.h"
#include "ctl.h"
#include "ctl_rule.h"
#include "ctl_text.h"


#define CTL_BLANKS  " \t\r\n"


static cJSON *ctl_rule_parsed(const cJSON *written);
static unsigned ctl_rule_words(char *text, const char **words);


cJSON *
ctl_rule(const char *text)
{
    int                 failed;
    char               *copy, why[CANARY_RULE_WHY_MAX];
    cJSON              *object, *rule;
    unsigned            n;
    const char         *words[CANARY_RULE_WORDS];
    canary_strategy_t   strategy;

    copy = ctl_strdup(text);
    n = ctl_rule_words(copy, words);

    canary_strategy_init(&strategy);
    strategy.nrules = 1;

    if (!canary_rule_text_read(words, n, &strategy.matches,
                               &strategy.rules[0], why))
    {
        ctl_error("--rule \"%s\": %s", text, why);
        free(copy);
        return NULL;
    }

    failed = 0;
    object = cJSON_CreateObject();

    canary_rule_json_write(object, &strategy, &failed);

    if (failed) {
        ctl_no_memory();
    }

    rule = ctl_rule_parsed(cJSON_GetObjectItem(object, "rules")->child);

    cJSON_Delete(object);
    free(copy);

    return rule;
}


/* numbers that are written exactly are no numbers before they are read */

static cJSON *
ctl_rule_parsed(const cJSON *written)
{
    char   *text;
    cJSON  *rule;

    text = cJSON_PrintUnformatted(written);
    rule = text ? cJSON_Parse(text) : NULL;

    if (rule == NULL) {
        ctl_no_memory();
    }

    cJSON_free(text);

    return rule;
}


/* how many there are, of those that are looked at */

static unsigned
ctl_rule_words(char *text, const char **words)
{
    unsigned  n;

    for (n = 0; n < CANARY_RULE_WORDS; n++) {
        text += strspn(text, CTL_BLANKS);

        if (*text == '\0') {
            break;
        }

        words[n] = text;
        text += strcspn(text, CTL_BLANKS);

        if (*text) {
            *text++ = '\0';
        }
    }

    return n;
}
