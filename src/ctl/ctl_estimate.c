
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary_strategy_json.h"
#include "ctl_body.h"
#include "ctl_format.h"
#include "ctl_http.h"
#include "ctl_json.h"
#include "ctl_needed.h"
#include "ctl_same.h"


/*
 * How long a strategy would take: its intervals, and at each weight the time
 * in which the canary gets the attempts that each rule needs to pass, if all
 * of them are clean, at the rate of attempts that the endpoint has now.
 */


#define CTL_RATE_SECONDS   10             /* it is measured for so long, */
#define CTL_RATE_ATTEMPTS  100            /* or until there are so many */
#define CTL_RATE_MOST      30


typedef struct {
    ctl_http_t          http;
    char               *path;             /* of the endpoint */
    canary_strategy_t   strategy;
    uint64_t            needed[CANARY_RULES_MAX];
    double              attempts;         /* of all releases, in, */
    double              seconds;
    double              rate;             /* per second */
} ctl_estimate_t;


static ctl_exit_t ctl_estimate_run(ctl_estimate_t *estimate,
    const cJSON *body);
static ctl_exit_t ctl_estimate_strategy(ctl_estimate_t *estimate,
    const cJSON *body, const cJSON *endpoint);
static ctl_exit_t ctl_estimate_measure(ctl_estimate_t *estimate,
    double before);
static double ctl_estimate_attempts(const cJSON *endpoint);
static double ctl_estimate_step(const ctl_estimate_t *estimate,
    uint32_t step);
static double ctl_estimate_rule(const ctl_estimate_t *estimate, uint32_t i,
    double weight);
static double ctl_estimate_total(const ctl_estimate_t *estimate);
static void ctl_estimate_json(const ctl_estimate_t *estimate);
static void ctl_estimate_seconds(cJSON *object, double seconds, int *failed);
static void ctl_estimate_show(const ctl_estimate_t *estimate);
static void ctl_estimate_rules(const ctl_estimate_t *estimate,
    ctl_text_t *out);
static void ctl_estimate_steps(const ctl_estimate_t *estimate,
    ctl_text_t *out);
static void ctl_estimate_add(ctl_text_t *text, double seconds);


ctl_exit_t
ctl_estimate(const ctl_options_t *options)
{
    cJSON           *body;
    ctl_exit_t       rc;
    ctl_estimate_t   estimate;

    body = ctl_body(options, &rc);
    if (body == NULL) {
        return rc;
    }

    memset(&estimate, 0, sizeof(ctl_estimate_t));
    estimate.path = ctl_endpoint_path(options->args[1], "");

    rc = ctl_http_open(&estimate.http, options);

    if (rc == CTL_DONE) {
        rc = ctl_estimate_run(&estimate, body);
    }

    ctl_http_close(&estimate.http);
    free(estimate.path);
    cJSON_Delete(body);

    return rc;
}


static ctl_exit_t
ctl_estimate_run(ctl_estimate_t *estimate, const cJSON *body)
{
    double        before;
    ctl_exit_t    rc;
    ctl_answer_t  answer;

    before = 0;
    ctl_http_request(&estimate->http, estimate->path, NULL, &answer);

    if (ctl_answer_ok(&answer)) {
        rc = ctl_estimate_strategy(estimate, body, answer.json);
        before = ctl_estimate_attempts(answer.json);

    } else {
        ctl_answer_error(&estimate->http, &answer);
        rc = CTL_FAILED;
    }

    ctl_answer_free(&answer);

    if (rc == CTL_DONE) {
        rc = ctl_estimate_measure(estimate, before);
    }

    if (rc != CTL_DONE) {
        return rc;
    }

    if (ctl_given(estimate->http.options, CTL_OPT_JSON)) {
        ctl_estimate_json(estimate);

    } else {
        ctl_estimate_show(estimate);
    }

    return CTL_DONE;
}


/* What the options say, over what the endpoint has. */

static ctl_exit_t
ctl_estimate_strategy(ctl_estimate_t *estimate, const cJSON *body,
    const cJSON *endpoint)
{
    if (strcmp(ctl_json_text(body, "strategy", ""), "direct") == 0) {
        ctl_error("--strategy direct takes no time: the release is stable at "
                  "once");
        return CTL_USAGE;
    }

    canary_strategy_init(&estimate->strategy);

    if (!ctl_strategy_read(ctl_json_object(endpoint, "strategy"),
                           &estimate->strategy))
    {
        ctl_error("the strategy of %s cannot be read: nginx has another "
                  "version than this canaryctl",
                  ctl_json_text(endpoint, "name", "?"));
        return CTL_FAILED;
    }

    if (!ctl_strategy_read(body, &estimate->strategy)) {
        ctl_error("that strategy would be refused; canaryctl update tells "
                  "why");
        return CTL_FAILED;
    }

    if (!ctl_needed(&estimate->strategy, estimate->needed)) {
        ctl_error("a rollout with that strategy would be refused: it needs at "
                  "least one rule, and one without a baseline if it starts "
                  "at 100%%");
        return CTL_FAILED;
    }

    return CTL_DONE;
}


/* With little traffic it takes longer to know how little it is. */

static ctl_exit_t
ctl_estimate_measure(ctl_estimate_t *estimate, double before)
{
    double        began;
    ctl_answer_t  answer;

    began = ctl_clock();

    do {
        (void) ctl_pause(1);

        ctl_http_request(&estimate->http, estimate->path, NULL, &answer);

        if (!ctl_answer_ok(&answer)) {
            ctl_answer_error(&estimate->http, &answer);
            ctl_answer_free(&answer);
            return CTL_FAILED;
        }

        estimate->seconds = ctl_clock() - began;
        estimate->attempts = ctl_estimate_attempts(answer.json) - before;
        ctl_answer_free(&answer);

    } while (estimate->seconds < CTL_RATE_SECONDS
             || (estimate->attempts < CTL_RATE_ATTEMPTS
                 && estimate->seconds < CTL_RATE_MOST));

    estimate->rate = fmax(estimate->attempts, 0) / estimate->seconds;

    return CTL_DONE;
}


static double
ctl_estimate_attempts(const cJSON *endpoint)
{
    double        sum;
    const cJSON  *release;

    sum = 0;

    cJSON_ArrayForEach(release, ctl_json_list(endpoint, "releases")) {
        sum += ctl_json_number(release, "attempts", 0);
    }

    return sum;
}


/* The seconds of a step, the last of which is the bake; INFINITY: no end */

static double
ctl_estimate_step(const ctl_estimate_t *estimate, uint32_t step)
{
    double                    weight, seconds;
    uint32_t                  i;
    const canary_strategy_t  *strategy;

    strategy = &estimate->strategy;
    weight = (double) canary_strategy_weight(strategy, step) / CANARY_ONE;
    seconds = (double) (weight < 1 ? strategy->interval : strategy->bake)
              / 1000;

    /* one attempt there has to be */

    seconds = fmax(seconds, 1 / (weight * estimate->rate));

    if (strategy->on_undecided == CANARY_ADVANCE_UNDECIDED && weight < 1) {
        return seconds;
    }

    for (i = 0; i < strategy->nrules; i++) {
        seconds = fmax(seconds, ctl_estimate_rule(estimate, i, weight));
    }

    return seconds;
}


/* A rule with a window has to have its attempts within that. */

static double
ctl_estimate_rule(const ctl_estimate_t *estimate, uint32_t i, double weight)
{
    double                seconds;
    const canary_rule_t  *rule;

    rule = &estimate->strategy.rules[i];

    /* beside stable nothing is new at 100 % */

    if (estimate->needed[i] == 0 || (rule->baseline && weight >= 1)) {
        return 0;
    }

    seconds = (double) estimate->needed[i] / (weight * estimate->rate);

    return (rule->window && seconds * 1000 > rule->window) ? INFINITY
                                                           : seconds;
}


static double
ctl_estimate_total(const ctl_estimate_t *estimate)
{
    double    seconds;
    uint32_t  step;

    seconds = 0;

    for (step = 1; step <= canary_strategy_steps(&estimate->strategy); step++)
    {
        seconds += ctl_estimate_step(estimate, step);
    }

    return seconds;
}


static void
ctl_estimate_json(const ctl_estimate_t *estimate)
{
    int          failed;
    char        *text;
    cJSON       *json, *list, *object;
    uint32_t     i;
    ctl_text_t   out = { NULL, 0, 0 };

    failed = 0;
    json = cJSON_CreateObject();

    ctl_estimate_seconds(json, ctl_estimate_total(estimate), &failed);
    canary_json_add(json, "attempts_per_second",
                    cJSON_CreateNumber(estimate->rate), &failed);

    list = canary_json_add_array(json, "rules", &failed);

    for (i = 0; i < estimate->strategy.nrules; i++) {
        object = canary_json_add_object(list, NULL, &failed);
        canary_json_add_text(object, "rule",
                       canary_rule_info[estimate->strategy.rules[i].kind].name,
                       &failed);
        canary_json_add_number(object, "attempts", estimate->needed[i], 0,
                               &failed);
    }

    list = canary_json_add_array(json, "steps", &failed);

    for (i = 1; i <= canary_strategy_steps(&estimate->strategy); i++) {
        object = canary_json_add_object(list, NULL, &failed);
        canary_json_add_number(object, "weight",
                               canary_strategy_weight(&estimate->strategy, i),
                               6, &failed);
        ctl_estimate_seconds(object, ctl_estimate_step(estimate, i), &failed);
    }

    text = failed ? NULL : cJSON_PrintUnformatted(json);
    if (text == NULL) {
        ctl_no_memory();
    }

    ctl_text_addf(&out, "%s\n", text);
    ctl_term_write_json(&out);

    ctl_text_free(&out);
    cJSON_free(text);
    cJSON_Delete(json);
}


static void
ctl_estimate_seconds(cJSON *object, double seconds, int *failed)
{
    if (isinf(seconds)) {
        canary_json_add_null(object, "seconds", failed);

    } else {
        canary_json_add(object, "seconds",
                        cJSON_CreateNumber(round(seconds * 10) / 10), failed);
    }
}


static void
ctl_estimate_show(const ctl_estimate_t *estimate)
{
    ctl_text_t                out = { NULL, 0, 0 };
    const canary_strategy_t  *strategy;

    strategy = &estimate->strategy;

    ctl_text_addf(&out, "%.3g attempts/s (%.0f in %.0f s)\n\n",
                  estimate->rate, estimate->attempts, estimate->seconds);

    ctl_estimate_rules(estimate, &out);
    ctl_text_adds(&out, "\n");
    ctl_estimate_steps(estimate, &out);

    ctl_text_adds(&out, "\nIn all ");
    ctl_estimate_add(&out, ctl_estimate_total(estimate));
    ctl_text_adds(&out, ", if each attempt of the canary is clean and the "
                  "rate stays");

    if (strategy->approval != CANARY_APPROVAL_OFF) {
        ctl_text_adds(&out, (strategy->approval == CANARY_APPROVAL_STEP)
                      ? ", and until somebody approves each step"
                      : ", and until somebody approves the promotion");
    }

    ctl_text_adds(&out, ".\n");
    ctl_term_write(&out);
    ctl_text_free(&out);
}


static void
ctl_estimate_rules(const ctl_estimate_t *estimate, ctl_text_t *out)
{
    uint32_t              i;
    ctl_term_t            term;
    ctl_table_t           table;
    const canary_rule_t  *rule;

    ctl_term_init(&term);
    ctl_table_init(&table, "lr");

    ctl_table_add(&table, CTL_DIM, "RULE");
    ctl_table_add(&table, CTL_DIM, "NEEDS ATTEMPTS");

    for (i = 0; i < estimate->strategy.nrules; i++) {
        rule = &estimate->strategy.rules[i];

        ctl_table_addf(&table, CTL_PLAIN, "%s%s%s",
                       canary_rule_info[rule->kind].name,
                       rule->match ? " " : "",
                       rule->match
                       ? estimate->strategy.matches.names[rule->match - 1]
                       : "");
        ctl_cell_count(&table, CTL_PLAIN, (double) estimate->needed[i]);
    }

    ctl_table_write(&table, &term, out);
    ctl_table_free(&table);
}


static void
ctl_estimate_steps(const ctl_estimate_t *estimate, ctl_text_t *out)
{
    double        seconds, weight;
    uint32_t      i;
    ctl_term_t    term;
    ctl_text_t    text = { NULL, 0, 0 };
    ctl_table_t   table;

    ctl_term_init(&term);
    ctl_table_init(&table, "rrrl");

    ctl_table_add(&table, CTL_DIM, "STEP");
    ctl_table_add(&table, CTL_DIM, "WEIGHT");
    ctl_table_add(&table, CTL_DIM, "TAKES");
    ctl_table_add(&table, CTL_DIM, "");

    for (i = 1; i <= canary_strategy_steps(&estimate->strategy); i++) {
        weight = (double) canary_strategy_weight(&estimate->strategy, i)
                 / CANARY_ONE;
        seconds = ctl_estimate_step(estimate, i);

        ctl_table_addf(&table, CTL_PLAIN, "%u", (unsigned) i);
        ctl_cell_ratio(&table, CTL_PLAIN, weight);

        ctl_text_clear(&text);
        ctl_estimate_add(&text, seconds);
        ctl_table_add(&table, CTL_PLAIN, text.data);

        ctl_table_add(&table, CTL_PLAIN,
                      (weight >= 1) ? "bake"
                      : (seconds * 1000 > (double) estimate->strategy.interval)
                        ? "longer than the interval" : "the interval");
    }

    ctl_table_write(&table, &term, out);
    ctl_table_free(&table);
    ctl_text_free(&text);
}


static void
ctl_estimate_add(ctl_text_t *text, double seconds)
{
    if (isinf(seconds)) {
        ctl_text_adds(text, "no end");

    } else {
        ctl_add_seconds(text, seconds);
    }
}
