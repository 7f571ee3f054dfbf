
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "ctl_endpoint.h"
#include "ctl_json.h"


#define CTL_HEARTBEAT_OLD  1000           /* ms */


static void ctl_add_when(ctl_text_t *text, const cJSON *endpoint,
    const char *what);
static int ctl_needs_approval(const cJSON *endpoint);
static void ctl_add_result(ctl_text_t *text, const cJSON *last);
static double ctl_next_weight(const cJSON *endpoint);


void
ctl_add_next(ctl_text_t *text, const cJSON *endpoint)
{
    double       next;
    ctl_text_t   what = { NULL, 0, 0 };
    const char  *phase;

    phase = ctl_json_text(endpoint, "phase", "");
    next = ctl_next_weight(endpoint);

    if (next < 1) {
        ctl_add_ratio(&what, next);

    } else if (strcmp(phase, "baking") == 0) {
        ctl_text_adds(&what, "promotion");

    } else {
        ctl_text_adds(&what, "100%");
    }

    if (strcmp(phase, "idle") == 0) {
        ctl_text_adds(text, "nothing until a rollout is started (canaryctl "
                      "update endpoint)");

    } else if (strcmp(phase, "paused") == 0) {
        ctl_text_addf(text, "nothing until resume, advance, promote or "
                      "rollback; the rules go on guarding; then %s",
                      what.data);

    } else if (strcmp(phase, "halted") == 0) {
        ctl_text_addf(text, "nothing until resume, advance, promote or "
                      "rollback; then %s", what.data);

    } else {
        ctl_add_when(text, endpoint, what.data);
    }

    ctl_text_free(&what);
}


/* the clock is one condition, the rules are the other */

static void
ctl_add_when(ctl_text_t *text, const cJSON *endpoint, const char *what)
{
    double  seconds;

    if (ctl_json_number(ctl_json_object(endpoint, "controller"),
                        "heartbeat_age_ms", 0) > CTL_HEARTBEAT_OLD)
    {
        ctl_text_addf(text, "%s, when the control loop of nginx runs again: "
                      "it has not for ", what);
        ctl_add_seconds(text, ctl_json_number(ctl_json_object(endpoint,
                                                              "controller"),
                                              "heartbeat_age_ms", 0) / 1000);
        return;
    }

    if (ctl_awaits_approval(endpoint)) {
        ctl_text_addf(text, "%s as soon as it is approved (canaryctl "
                      "approve)", what);
        return;
    }

    seconds = ctl_json_number(endpoint, "next_step_in_seconds", -1);

    if (seconds > 0) {
        ctl_text_addf(text, "%s in ", what);
        ctl_add_seconds(text, seconds);
        ctl_text_adds(text, ", if every rule passes");

    } else {
        ctl_text_addf(text, "%s as soon as every rule passes", what);
    }

    if (ctl_needs_approval(endpoint)) {
        ctl_text_adds(text, " and it is approved");
    }
}


static int
ctl_needs_approval(const cJSON *endpoint)
{
    const char   *approval;
    const cJSON  *strategy;

    strategy = ctl_json_object(ctl_json_object(endpoint, "strategy"),
                               "canary_strategy");
    approval = ctl_json_text(strategy, "approval", "");

    return strcmp(approval, "step") == 0
           || (strcmp(approval, "promotion") == 0
               && strcmp(ctl_json_text(endpoint, "phase", ""), "baking") == 0);
}


static double
ctl_next_weight(const cJSON *endpoint)
{
    const cJSON  *steps, *next;

    steps = ctl_json_list(endpoint, "steps");
    next = cJSON_GetArrayItem(steps, ctl_json_int(endpoint, "step"));

    return cJSON_IsNumber(next) ? next->valuedouble : 1;
}


void
ctl_add_waiting(ctl_text_t *text, const cJSON *endpoint)
{
    const cJSON  *waiting;

    waiting = ctl_json_object(endpoint, "waiting_for");

    if (waiting) {
        ctl_text_adds(text, ctl_json_text(waiting, "reason", "?"));
    }
}


int
ctl_awaits_approval(const cJSON *endpoint)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(
                            ctl_json_object(endpoint, "waiting_for"),
                            "approval"));
}


void
ctl_add_progress(ctl_text_t *text, const cJSON *endpoint)
{
    int  steps;

    ctl_text_adds(text, ctl_json_text(endpoint, "phase", "?"));

    if (strcmp(ctl_json_text(endpoint, "phase", ""), "idle") == 0) {
        return;
    }

    steps = cJSON_GetArraySize(ctl_json_list(endpoint, "steps"));

    ctl_text_adds(text, ", ");
    ctl_add_ratio(text, ctl_json_number(endpoint, "weight", 0));
    ctl_text_addf(text, ", step %.0f of %d",
                  ctl_json_number(endpoint, "step", 0), steps);
}


void
ctl_say_progress(const cJSON *endpoint)
{
    ctl_text_t    text = { NULL, 0, 0 }, out = { NULL, 0, 0 };
    const cJSON  *last;

    last = ctl_json_object(endpoint, "last_rollout");

    ctl_text_addf(&text, "%s: ", ctl_json_text(endpoint, "name", "?"));

    if (ctl_json_text(endpoint, "canary", NULL)) {
        ctl_add_progress(&text, endpoint);
        ctl_text_adds(&text, "; next: ");
        ctl_add_next(&text, endpoint);

    } else {
        if (last) {
            ctl_add_result(&text, last);
            ctl_text_adds(&text, "; ");
        }

        ctl_text_addf(&text, "%s is stable",
                      ctl_json_text(endpoint, "stable", "?"));
    }

    ctl_text_add_safe(&out, text.data);
    ctl_text_adds(&out, "\n");
    ctl_term_write(&out);

    ctl_text_free(&text);
    ctl_text_free(&out);
}


/* "v2 promoted" */

static void
ctl_add_result(ctl_text_t *text, const cJSON *last)
{
    ctl_text_addf(text, "%s %s", ctl_json_text(last, "release", "?"),
                  strcmp(ctl_json_text(last, "result", ""), "promoted") == 0
                  ? "promoted" : "rolled back");
}


void
ctl_add_last(ctl_text_t *text, const cJSON *endpoint)
{
    const cJSON  *last;

    last = ctl_json_object(endpoint, "last_rollout");

    if (last == NULL) {
        return;
    }

    ctl_add_result(text, last);
    ctl_text_adds(text, " ");
    ctl_add_time(text, ctl_json_text(last, "ended", ""));

    if (ctl_json_text(last, "reason", "")[0]) {
        ctl_text_addf(text, ": %s", ctl_json_text(last, "reason", ""));
    }
}
