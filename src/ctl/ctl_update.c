
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdlib.h>
#include <string.h>

#include "ctl_body.h"
#include "ctl_endpoint.h"
#include "ctl_http.h"
#include "ctl_json.h"
#include "ctl_same.h"
#include "ctl_wait.h"


#define CTL_RELOAD_SECONDS  5             /* until a release is known */
#define CTL_RELOAD_PAUSE    0.25


/* what is updated, and with what */

typedef struct {
    ctl_http_t    http;
    char         *path;                   /* of the endpoint */
    char         *start_path;
    cJSON        *body;
    char         *text;                   /* of the body */
    ctl_same_t    same;                   /* nothing had to be done */
    char         *other;                  /* what is rolled out instead */
} ctl_update_t;


static ctl_exit_t ctl_update_run(ctl_update_t *update);
static ctl_exit_t ctl_update_start(ctl_update_t *update,
    ctl_answer_t *answer);
static void ctl_update_send(ctl_update_t *update, ctl_answer_t *answer);
static int ctl_update_unknown(const ctl_update_t *update,
    const ctl_answer_t *answer);
static void ctl_update_compare(ctl_update_t *update, ctl_answer_t *answer);
static ctl_exit_t ctl_update_wait(ctl_update_t *update);


ctl_exit_t
ctl_update(const ctl_options_t *options)
{
    ctl_exit_t    rc;
    ctl_update_t  update;

    if (strcmp(options->args[1], "endpoint") != 0) {
        ctl_error("what is updated is an endpoint, not \"%s\": canaryctl "
                  "update endpoint NAME", options->args[1]);
        return CTL_USAGE;
    }

    if (options->nargs == 2) {
        return ctl_missing(ctl_command(options->args[0]), 2);
    }

    memset(&update, 0, sizeof(ctl_update_t));

    update.body = ctl_body(options, &rc);
    if (update.body == NULL) {
        return rc;
    }

    update.text = cJSON_PrintUnformatted(update.body);
    if (update.text == NULL) {
        ctl_no_memory();
    }

    update.path = ctl_endpoint_path(options->args[2], "");
    update.start_path = ctl_endpoint_path(options->args[2], "/rollout");

    rc = ctl_http_open(&update.http, options);

    if (rc == CTL_DONE) {
        rc = ctl_given(options, CTL_OPT_WAIT) ? ctl_update_wait(&update)
                                              : ctl_update_run(&update);
    }

    ctl_http_close(&update.http);
    free(update.path);
    free(update.start_path);
    free(update.other);
    cJSON_free(update.text);
    cJSON_Delete(update.body);

    return rc;
}


static ctl_exit_t
ctl_update_run(ctl_update_t *update)
{
    ctl_exit_t    rc;
    ctl_answer_t  answer;

    rc = ctl_update_start(update, &answer);

    if (rc == CTL_DONE && update->same == CTL_SAME_NOT
        && !ctl_given(update->http.options, CTL_OPT_JSON))
    {
        ctl_say_progress(answer.json);
    }

    ctl_answer_free(&answer);

    return rc;
}


/* The last event before it tells which ones are its own. */

static ctl_exit_t
ctl_update_wait(ctl_update_t *update)
{
    ctl_exit_t    rc;
    ctl_wait_t    wait;
    ctl_answer_t  answer;

    ctl_wait_init(&wait, &update->http, update->http.options->args[2]);

    rc = ctl_wait_prepare(&wait);

    if (rc == CTL_DONE) {
        rc = ctl_update_start(update, &answer);

        if (rc == CTL_DONE && update->same != CTL_SAME_STABLE) {
            rc = ctl_wait(&wait, answer.json);
        }

        ctl_answer_free(&answer);
    }

    ctl_wait_free(&wait);

    return rc;
}


/* What is there already is a success: a pipeline may run twice. */

static ctl_exit_t
ctl_update_start(ctl_update_t *update, ctl_answer_t *answer)
{
    ctl_exit_t  rc;

    ctl_update_send(update, answer);

    if (answer->code == CURLE_OK && answer->status == 409) {
        ctl_update_compare(update, answer);
    }

    rc = ctl_answer_take(&update->http, 1, answer);

    if (rc == CTL_DONE && update->same != CTL_SAME_NOT
        && !ctl_given(update->http.options, CTL_OPT_JSON))
    {
        ctl_same_say(update->same, answer->json);
    }

    if (rc != CTL_DONE && update->same == CTL_SAME_RELEASE) {
        ctl_note("It is being rolled out, but with another strategy; "
                 "canaryctl status shows it.");

    } else if (rc != CTL_DONE && update->other) {
        ctl_note("What is being rolled out is %s; canaryctl status shows it.",
                 update->other);
    }

    return rc;
}


/* A reload takes effect a moment after nginx -s reload has returned. */

static void
ctl_update_send(ctl_update_t *update, ctl_answer_t *answer)
{
    double  until;

    until = ctl_clock() + CTL_RELOAD_SECONDS;

    for ( ;; ) {
        ctl_http_request(&update->http, update->start_path, update->text,
                         answer);

        if (!ctl_update_unknown(update, answer)
            || ctl_clock() + CTL_RELOAD_PAUSE > until)
        {
            return;
        }

        ctl_answer_free(answer);
        (void) ctl_pause(CTL_RELOAD_PAUSE);
    }
}


/* whether all that is wrong is that the release is not known */

static int
ctl_update_unknown(const ctl_update_t *update, const ctl_answer_t *answer)
{
    const cJSON  *errors;

    errors = ctl_json_list(answer->json, "errors");

    return answer->code == CURLE_OK && answer->status == 400
           && ctl_json_text(update->body, "release", NULL)
           && cJSON_GetArraySize(errors) == 1
           && strcmp(ctl_json_text(errors->child, "pointer", ""), "/release")
              == 0;
}


/* The answer is then the endpoint as it is. */

static void
ctl_update_compare(ctl_update_t *update, ctl_answer_t *answer)
{
    const char    *canary;
    ctl_answer_t   endpoint;

    ctl_http_request(&update->http, update->path, NULL, &endpoint);

    update->same = ctl_answer_ok(&endpoint)
                   ? ctl_same(update->body, endpoint.json) : CTL_SAME_NOT;

    if (update->same == CTL_SAME_STABLE || update->same == CTL_SAME_ROLLOUT) {
        ctl_answer_free(answer);
        *answer = endpoint;
        return;
    }

    canary = ctl_json_text(endpoint.json, "canary", NULL);
    update->other = canary ? ctl_strdup(canary) : NULL;

    ctl_answer_free(&endpoint);
}
