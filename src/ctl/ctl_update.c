
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdlib.h>
#include <string.h>

#include "ctl_body.h"
#include "ctl_endpoint.h"
#include "ctl_http.h"
#include "ctl_json.h"
#include "ctl_wait.h"


static ctl_exit_t ctl_update_start(ctl_http_t *http, const char *body);
static ctl_exit_t ctl_update_wait(ctl_http_t *http, const char *path,
    const char *body);


ctl_exit_t
ctl_update(const ctl_options_t *options)
{
    char        *text;
    cJSON       *body;
    ctl_exit_t   rc;
    ctl_http_t   http;

    if (strcmp(options->args[1], "endpoint") != 0) {
        ctl_error("what is updated is an endpoint, not \"%s\": canaryctl "
                  "update endpoint NAME", options->args[1]);
        return CTL_USAGE;
    }

    body = ctl_body(options, &rc);
    if (body == NULL) {
        return rc;
    }

    text = cJSON_PrintUnformatted(body);
    if (text == NULL) {
        ctl_no_memory();
    }

    cJSON_Delete(body);

    rc = ctl_http_open(&http, options);

    if (rc == CTL_DONE) {
        rc = ctl_update_start(&http, text);
    }

    ctl_http_close(&http);
    cJSON_free(text);

    return rc;
}


static ctl_exit_t
ctl_update_start(ctl_http_t *http, const char *body)
{
    char          *path;
    ctl_exit_t     rc;
    ctl_answer_t   answer;

    path = ctl_endpoint_path(http->options->args[2], "/rollout");

    if (ctl_given(http->options, CTL_OPT_WAIT)) {
        rc = ctl_update_wait(http, path, body);
        free(path);
        return rc;
    }

    rc = ctl_http_call(http, path, body, &answer);

    if (rc == CTL_DONE && !ctl_given(http->options, CTL_OPT_JSON)) {
        ctl_say_progress(answer.json);
    }

    ctl_answer_free(&answer);
    free(path);

    return rc;
}


/* The last event before it tells which ones are its own. */

static ctl_exit_t
ctl_update_wait(ctl_http_t *http, const char *path, const char *body)
{
    ctl_exit_t    rc;
    ctl_wait_t    wait;
    ctl_answer_t  answer;

    ctl_wait_init(&wait, http, http->options->args[2]);

    rc = ctl_wait_prepare(&wait);

    if (rc == CTL_DONE) {
        rc = ctl_http_call(http, path, body, &answer);

        if (rc == CTL_DONE) {
            rc = ctl_wait(&wait, answer.json);
        }

        ctl_answer_free(&answer);
    }

    ctl_wait_free(&wait);

    return rc;
}
