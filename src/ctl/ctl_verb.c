
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl_endpoint.h"
#include "ctl_http.h"
#include "ctl_json.h"
#include "ctl_value.h"


#define CTL_NUMBER_MAX  64                /* characters */


static ctl_exit_t ctl_verb_send(const ctl_options_t *options,
    const char *method, const char *rest, cJSON *body);
static ctl_exit_t ctl_approve_look(const ctl_options_t *options,
    char *generation);
static cJSON *ctl_verb_body(const char *reason);


/* advance, pause, resume, promote, rollback: the name is that of the path */

ctl_exit_t
ctl_verb(const ctl_options_t *options)
{
    ctl_exit_t  rc;
    ctl_text_t  rest = { NULL, 0, 0 };

    ctl_text_addf(&rest, "/rollout/%s", options->args[0]);

    rc = ctl_verb_send(options, "POST", rest.data,
                       ctl_verb_body(options->reason));

    ctl_text_free(&rest);

    return rc;
}


ctl_exit_t
ctl_weight(const ctl_options_t *options)
{
    cJSON   *body;
    double   weight;

    if (!ctl_ratio(options->args[2], &weight)
        || weight <= 0 || weight >= 1)
    {
        ctl_error("a weight has to be above 0 and below 1, as 0.35 or 35%%, "
                  "not \"%s\"; rollback takes all traffic off the canary, "
                  "promote gives it all", options->args[2]);
        return CTL_USAGE;
    }

    body = ctl_verb_body(options->reason);

    if (cJSON_AddNumberToObject(body, "weight", weight) == NULL) {
        ctl_no_memory();
    }

    return ctl_verb_send(options, "PATCH", "/rollout", body);
}


/* What is approved is what was seen, and is not approved twice. */

ctl_exit_t
ctl_approve(const ctl_options_t *options)
{
    char           generation[CTL_NUMBER_MAX];
    ctl_exit_t     rc;
    ctl_options_t  seen;

    rc = ctl_approve_look(options, generation);

    if (rc != CTL_DONE) {
        return rc;
    }

    seen = *options;

    if (seen.generation == NULL) {
        seen.generation = generation;
    }

    return ctl_verb_send(&seen, "POST", "/rollout/advance",
                         ctl_verb_body(options->reason));
}


/* at which generation it waits for it; else it is told what it does instead */

static ctl_exit_t
ctl_approve_look(const ctl_options_t *options, char *generation)
{
    char          *path;
    ctl_exit_t     rc;
    ctl_http_t     http;
    ctl_text_t     text = { NULL, 0, 0 };
    ctl_answer_t   answer;

    rc = ctl_http_open(&http, options);

    if (rc != CTL_DONE) {
        ctl_http_close(&http);
        return rc;
    }

    path = ctl_endpoint_path(options->args[1], "");
    ctl_http_request(&http, path, NULL, &answer);

    if (ctl_answer_ok(&answer) && ctl_awaits_approval(answer.json)) {
        (void) snprintf(generation, CTL_NUMBER_MAX, "%.0f",
                        ctl_json_number(answer.json, "generation", 0));

    } else {
        rc = CTL_FAILED;

        if (ctl_given(options, CTL_OPT_JSON) && answer.json) {
            ctl_answer_print(&answer);
        }

        if (ctl_answer_ok(&answer)) {
            ctl_add_progress(&text, answer.json);
            ctl_text_adds(&text, "; next: ");
            ctl_add_next(&text, answer.json);
            ctl_error("%s does not wait for approval: %s",
                      ctl_json_text(answer.json, "name", "?"), text.data);
            ctl_text_free(&text);

        } else {
            ctl_answer_error(&http, &answer);
        }
    }

    ctl_answer_free(&answer);
    ctl_http_close(&http);
    free(path);

    return rc;
}


/* The endpoint is the first argument; the body is freed. */

static ctl_exit_t
ctl_verb_send(const ctl_options_t *options, const char *method,
    const char *rest, cJSON *body)
{
    char          *path, *text;
    ctl_exit_t     rc;
    ctl_http_t     http;
    ctl_answer_t   answer;

    path = ctl_endpoint_path(options->args[1], rest);

    text = cJSON_PrintUnformatted(body);
    if (text == NULL) {
        ctl_no_memory();
    }

    rc = ctl_http_open(&http, options);

    if (rc == CTL_DONE) {
        http.method = method;

        rc = ctl_http_call(&http, path, text, &answer);

        if (rc == CTL_DONE && !ctl_given(options, CTL_OPT_JSON)) {
            ctl_say_progress(answer.json);
        }

        ctl_answer_free(&answer);
    }

    ctl_http_close(&http);
    cJSON_free(text);
    cJSON_Delete(body);
    free(path);

    return rc;
}


static cJSON *
ctl_verb_body(const char *reason)
{
    cJSON  *body;

    body = cJSON_CreateObject();

    if (body == NULL
        || (reason && cJSON_AddStringToObject(body, "reason", reason) == NULL))
    {
        ctl_no_memory();
    }

    return body;
}
