
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdlib.h>

#include "ctl_endpoint.h"
#include "ctl_http.h"
#include "ctl_json.h"


static char *ctl_verb_body(const char *reason);


/* advance, pause, resume, promote, rollback: the name is that of the path */

ctl_exit_t
ctl_verb(const ctl_options_t *options)
{
    char          *path, *body;
    ctl_exit_t     rc;
    ctl_http_t     http;
    ctl_text_t     rest = { NULL, 0, 0 };
    ctl_answer_t   answer;

    rc = ctl_http_open(&http, options);

    if (rc == CTL_DONE) {
        ctl_text_addf(&rest, "/rollout/%s", options->args[0]);
        path = ctl_endpoint_path(options->args[1], rest.data);
        body = ctl_verb_body(options->reason);

        rc = ctl_http_call(&http, path, body, &answer);

        if (rc == CTL_DONE && !ctl_given(options, CTL_OPT_JSON)) {
            ctl_say_progress(answer.json);
        }

        ctl_answer_free(&answer);
        ctl_text_free(&rest);
        free(path);
        cJSON_free(body);
    }

    ctl_http_close(&http);

    return rc;
}


static char *
ctl_verb_body(const char *reason)
{
    char   *text;
    cJSON  *body;

    body = cJSON_CreateObject();

    if (reason && cJSON_AddStringToObject(body, "reason", reason) == NULL) {
        ctl_no_memory();
    }

    text = cJSON_PrintUnformatted(body);
    if (text == NULL) {
        ctl_no_memory();
    }

    cJSON_Delete(body);

    return text;
}
