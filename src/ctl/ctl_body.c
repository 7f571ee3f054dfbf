
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl_body.h"
#include "ctl_json.h"
#include "ctl_rule.h"
#include "ctl_text.h"
#include "ctl_value.h"


#define CTL_FILE_MAX  65536               /* what the API takes */
#define CTL_WHY_MAX   512


static cJSON *ctl_body_file(const char *name);
static size_t ctl_body_read(const char *name, char *text, size_t size);
static ctl_exit_t ctl_body_options(const ctl_options_t *options, cJSON *body);
static ctl_exit_t ctl_body_strategy(const ctl_options_t *options, cJSON *body);
static ctl_exit_t ctl_body_parts(const ctl_options_t *options,
    cJSON *strategy);
static ctl_exit_t ctl_body_time(cJSON *strategy, const char *member,
    const char *value, double least);
static ctl_exit_t ctl_body_approval(const ctl_options_t *options,
    cJSON *strategy);
static ctl_exit_t ctl_body_step(const ctl_options_t *options,
    cJSON *strategy);
static ctl_exit_t ctl_body_steps(const ctl_options_t *options,
    cJSON *strategy);
static ctl_exit_t ctl_body_rules(const ctl_options_t *options,
    cJSON *strategy);
static cJSON *ctl_body_rule(const char *text);
static ctl_exit_t ctl_body_check(const cJSON *body);
static void ctl_body_set(cJSON *object, const char *name, cJSON *value);


cJSON *
ctl_body(const ctl_options_t *options, ctl_exit_t *rc)
{
    cJSON  *body;

    body = options->filename ? ctl_body_file(options->filename)
                             : cJSON_CreateObject();
    if (body == NULL) {
        *rc = CTL_USAGE;
        return NULL;
    }

    *rc = ctl_body_options(options, body);

    if (*rc == CTL_DONE) {
        *rc = ctl_body_check(body);
    }

    if (*rc != CTL_DONE) {
        cJSON_Delete(body);
        return NULL;
    }

    return body;
}


static cJSON *
ctl_body_file(const char *name)
{
    char     text[CTL_FILE_MAX + 1], why[CTL_WHY_MAX];
    cJSON   *body;
    size_t   len, values;

    len = ctl_body_read(name, text, sizeof(text));

    if (len == 0) {
        return NULL;
    }

    body = ctl_json_parse(text, len, &values, why, sizeof(why));

    if (body == NULL) {
        ctl_error("%s is not what the API takes: %s", name, why);

    } else if (!cJSON_IsObject(body)) {
        ctl_error("%s has to be a JSON object", name);
        cJSON_Delete(body);
        return NULL;
    }

    return body;
}


/* the bytes that were read; 0: an error was told */

static size_t
ctl_body_read(const char *name, char *text, size_t size)
{
    FILE    *file;
    size_t   n;

    file = (strcmp(name, "-") == 0) ? stdin : fopen(name, "r");
    if (file == NULL) {
        ctl_error("cannot read %s: %s", name, strerror(errno));
        return 0;
    }

    n = fread(text, 1, size, file);

    if (ferror(file)) {
        ctl_error("cannot read %s: %s", name, strerror(errno));
        n = 0;

    } else if (n == size) {
        ctl_error("%s is larger than the %d bytes that the API takes", name,
                  CTL_FILE_MAX);
        n = 0;

    } else if (n == 0) {
        ctl_error("%s is empty", name);
    }

    text[n] = '\0';

    if (file != stdin) {
        fclose(file);
    }

    return n;
}


static ctl_exit_t
ctl_body_options(const ctl_options_t *options, cJSON *body)
{
    if (options->release) {
        ctl_body_set(body, "release", cJSON_CreateString(options->release));
    }

    if (options->reason) {
        ctl_body_set(body, "reason", cJSON_CreateString(options->reason));
    }

    if (options->strategy) {
        if (strcmp(options->strategy, "canary") != 0
            && strcmp(options->strategy, "direct") != 0)
        {
            ctl_error("--strategy has to be canary or direct, not \"%s\"",
                      options->strategy);
            return CTL_USAGE;
        }

        ctl_body_set(body, "strategy", cJSON_CreateString(options->strategy));
    }

    return ctl_body_strategy(options, body);
}


static ctl_exit_t
ctl_body_strategy(const ctl_options_t *options, cJSON *body)
{
    int          parts, more;
    cJSON       *strategy;
    const char  *kind;

    parts = options->interval || options->step || options->steps
            || options->nrules;
    more = options->approval || options->bake || options->patience;

    if (!parts && !more) {
        return CTL_DONE;
    }

    kind = ctl_json_text(body, "strategy", "");

    if (more && strcmp(kind, "direct") == 0) {
        ctl_error("%s does not go with --strategy direct, which has no steps",
                  options->approval ? "--approval"
                  : options->bake ? "--bake" : "--patience");
        return CTL_USAGE;
    }

    if (parts && strcmp(kind, "canary") != 0) {
        ctl_error("%s goes with --strategy canary, which needs an interval, "
                  "a step and a rule",
                  options->interval ? "--canary-interval"
                  : options->step ? "--canary-step"
                  : options->steps ? "--steps" : "--rule");
        return CTL_USAGE;
    }

    strategy = cJSON_GetObjectItemCaseSensitive(body, "canary_strategy");

    if (!cJSON_IsObject(strategy)) {
        strategy = cJSON_CreateObject();
        ctl_body_set(body, "canary_strategy", strategy);
    }

    return ctl_body_parts(options, strategy);
}


static ctl_exit_t
ctl_body_parts(const ctl_options_t *options, cJSON *strategy)
{
    size_t      i;
    ctl_exit_t  rc;

    const struct {
        const char  *option;
        const char  *value;
        const char  *member;
        const char  *right;
        double       least;
    } times[] = {
        { "--canary-interval", options->interval, "progress_interval_seconds",
          "a time above 0, as 10 (seconds) or 5m", 0.001 },
        { "--bake", options->bake, "bake_seconds",
          "a time, as 10 (seconds) or 5m", 0 },
        { "--patience", options->patience, "patience_seconds",
          "a time from 10s to 10m", 10 }
    };

    for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        rc = ctl_body_time(strategy, times[i].member, times[i].value,
                           times[i].least);

        if (rc != CTL_DONE) {
            ctl_error("%s has to be %s, not \"%s\"", times[i].option,
                      times[i].right, times[i].value);
            return rc;
        }
    }

    rc = ctl_body_approval(options, strategy);

    if (rc == CTL_DONE) {
        rc = options->steps ? ctl_body_steps(options, strategy)
                            : ctl_body_step(options, strategy);
    }

    return (rc == CTL_DONE) ? ctl_body_rules(options, strategy) : rc;
}


static ctl_exit_t
ctl_body_time(cJSON *strategy, const char *member, const char *value,
    double least)
{
    double  seconds;

    if (value == NULL) {
        return CTL_DONE;
    }

    if (!ctl_seconds(value, &seconds) || seconds < least) {
        return CTL_USAGE;
    }

    ctl_body_set(strategy, member, cJSON_CreateNumber(seconds));

    return CTL_DONE;
}


static ctl_exit_t
ctl_body_approval(const ctl_options_t *options, cJSON *strategy)
{
    const char  *approval;

    approval = options->approval;

    if (approval == NULL) {
        return CTL_DONE;
    }

    if (strcmp(approval, "off") != 0 && strcmp(approval, "step") != 0
        && strcmp(approval, "promotion") != 0)
    {
        ctl_error("--approval has to be off, step or promotion, not \"%s\"",
                  approval);
        return CTL_USAGE;
    }

    ctl_body_set(strategy, "approval", cJSON_CreateString(approval));

    return CTL_DONE;
}


static ctl_exit_t
ctl_body_step(const ctl_options_t *options, cJSON *strategy)
{
    double  ratio;

    if (options->step == NULL) {
        return CTL_DONE;
    }

    if (!ctl_ratio(options->step, &ratio) || ratio <= 0 || ratio > 1) {
        ctl_error("--canary-step has to be a ratio above 0 and at most 1, "
                  "as 0.2 or 20%%, not \"%s\"", options->step);
        return CTL_USAGE;
    }

    cJSON_DeleteItemFromObjectCaseSensitive(strategy, "progress_steps");
    ctl_body_set(strategy, "progress_step", cJSON_CreateNumber(ratio));

    return CTL_DONE;
}


static ctl_exit_t
ctl_body_steps(const ctl_options_t *options, cJSON *strategy)
{
    double   ratio, before;
    cJSON   *list;
    char    *steps, *step, *rest;

    if (options->step) {
        ctl_error("--steps and --canary-step do not go together: all steps, "
                  "or the size of each");
        return CTL_USAGE;
    }

    list = cJSON_CreateArray();

    cJSON_DeleteItemFromObjectCaseSensitive(strategy, "progress_step");
    ctl_body_set(strategy, "progress_steps", list);

    steps = ctl_strdup(options->steps);
    before = 0;

    for (step = steps; step; step = rest) {
        rest = strchr(step, ',');

        if (rest) {
            *rest++ = '\0';
        }

        if (!ctl_ratio(step, &ratio) || ratio <= before || ratio > 1) {
            ctl_error("--steps has to be a list of rising ratios up to 1, as "
                      "1%%,10%%,50%%; \"%s\" of \"%s\" is none", step,
                      options->steps);
            free(steps);
            return CTL_USAGE;
        }

        if (!cJSON_AddItemToArray(list, cJSON_CreateNumber(ratio))) {
            ctl_no_memory();
        }

        before = ratio;
    }

    free(steps);

    return CTL_DONE;
}


/* They replace those of the file. */

static ctl_exit_t
ctl_body_rules(const ctl_options_t *options, cJSON *strategy)
{
    cJSON   *list, *rule;
    size_t   i;

    if (options->nrules == 0) {
        return CTL_DONE;
    }

    list = cJSON_CreateArray();
    ctl_body_set(strategy, "rules", list);

    for (i = 0; i < options->nrules; i++) {
        rule = (options->rules[i][strspn(options->rules[i], " \t\n")] == '{')
               ? ctl_body_rule(options->rules[i])
               : ctl_rule(options->rules[i]);

        if (rule == NULL) {
            return CTL_USAGE;
        }

        cJSON_AddItemToArray(list, rule);
    }

    return CTL_DONE;
}


static cJSON *
ctl_body_rule(const char *text)
{
    char     why[CTL_WHY_MAX];
    cJSON   *rule;
    size_t   values;

    why[0] = '\0';
    rule = ctl_json_parse(text, strlen(text), &values, why, sizeof(why));

    if (rule == NULL) {
        ctl_error("--canary-rule has to be a JSON object, as {\"rule\": "
                  "\"error_5xx_rate\", \"rule_parameters\": [{\"name\": "
                  "\"threshold\", \"value\": 0.1}]}, or a rule as in "
                  "nginx.conf, as 'error_5xx_rate 10%%', not \"%s\": %s",
                  text, why);
    }

    return rule;
}


/* As with Verta's client, a canary says by what it goes on and ends. */

static ctl_exit_t
ctl_body_check(const cJSON *body)
{
    const char   *missing;
    const cJSON  *strategy;

    if (strcmp(ctl_json_text(body, "strategy", ""), "canary") != 0) {
        return CTL_DONE;
    }

    strategy = ctl_json_object(body, "canary_strategy");
    missing = NULL;

    if (!cJSON_HasObjectItem(strategy, "progress_interval_seconds")) {
        missing = "an interval: --canary-interval TIME";

    } else if (!cJSON_HasObjectItem(strategy, "progress_step")
               && !cJSON_HasObjectItem(strategy, "progress_steps"))
    {
        missing = "a step: --canary-step RATIO, or --steps";

    } else if (!cJSON_HasObjectItem(strategy, "rules")) {
        missing = "a rule: --rule 'NAME THRESHOLD'";
    }

    if (missing) {
        ctl_error("the strategy canary needs %s (without --strategy, that of "
                  "nginx.conf is taken)", missing);
        return CTL_USAGE;
    }

    return CTL_DONE;
}


static void
ctl_body_set(cJSON *object, const char *name, cJSON *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(object, name);

    if (!cJSON_AddItemToObject(object, name, value)) {
        ctl_no_memory();
    }
}
