
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdlib.h>
#include <string.h>

#include "ctl_http.h"
#include "ctl_json.h"
#include "ctl_term.h"


#define CTL_KNOWN_MAX  20                 /* endpoints that are named */


static void ctl_answer_known(ctl_http_t *http);
static int ctl_answer_is_problem(const ctl_answer_t *answer);
static void ctl_answer_applicable(const ctl_answer_t *answer);
static void ctl_answer_problem(const ctl_http_t *http,
    const ctl_answer_t *answer, ctl_text_t *line);
static void ctl_answer_foreign(const ctl_http_t *http,
    const ctl_answer_t *answer, ctl_text_t *line);
static int ctl_answer_is_json(const ctl_answer_t *answer);
static void ctl_answer_none(const ctl_http_t *http,
    const ctl_answer_t *answer, ctl_text_t *line);
static const char *ctl_answer_advice(const ctl_http_t *http, CURLcode code);


ctl_exit_t
ctl_http_call(ctl_http_t *http, const char *path, const char *body,
    ctl_answer_t *answer)
{
    ctl_http_request(http, path, body, answer);

    return ctl_answer_take(http, body != NULL, answer);
}


ctl_exit_t
ctl_answer_take(ctl_http_t *http, int written, ctl_answer_t *answer)
{
    if (ctl_given(http->options, CTL_OPT_JSON) && answer->json) {
        ctl_answer_print(answer);
    }

    if (ctl_answer_ok(answer)) {
        return CTL_DONE;
    }

    ctl_answer_error(http, answer);

    if (written && answer->code != CURLE_OK && answer->sent
        && !ctl_interrupted())
    {
        ctl_note(CTL_DOUBT);
    }

    return CTL_FAILED;
}


void
ctl_answer_print(const ctl_answer_t *answer)
{
    ctl_text_t  out = { NULL, 0, 0 };

    ctl_text_add(&out, answer->body.data, answer->body.len);

    if (out.len && out.data[out.len - 1] != '\n') {
        ctl_text_adds(&out, "\n");
    }

    ctl_term_write_json(&out);

    ctl_text_free(&out);
}


void
ctl_answer_free(ctl_answer_t *answer)
{
    free(answer->type);
    free(answer->location);
    cJSON_Delete(answer->json);
    ctl_text_free(&answer->body);

    memset(answer, 0, sizeof(ctl_answer_t));
}


int
ctl_answer_ok(const ctl_answer_t *answer)
{
    return answer->code == CURLE_OK
           && answer->status >= 200 && answer->status < 300
           && cJSON_IsObject(answer->json);
}


void
ctl_answer_error(ctl_http_t *http, const ctl_answer_t *answer)
{
    ctl_text_t    text = { NULL, 0, 0 };
    const cJSON  *errors, *item;

    ctl_answer_tell(http, answer, &text);

    if (text.len) {
        ctl_error("%s", text.data);
    }

    ctl_text_free(&text);

    /* a fault that is alone stands in the detail */

    errors = ctl_json_list(answer->json, "errors");

    if (cJSON_GetArraySize(errors) > 1) {
        cJSON_ArrayForEach(item, errors) {
            ctl_note("  %s: %s", ctl_json_text(item, "pointer", ""),
                     ctl_json_text(item, "detail", ""));
        }
    }

    if (answer->status == 404 && ctl_answer_is_problem(answer)) {
        ctl_answer_known(http);
    }

    if (answer->status == 409 && ctl_answer_is_problem(answer)) {
        ctl_answer_applicable(answer);
    }
}


/* what endpoints there are, where there is none of the name */

static void
ctl_answer_known(ctl_http_t *http)
{
    int            n;
    ctl_text_t     text = { NULL, 0, 0 };
    const cJSON   *endpoints, *endpoint;
    ctl_answer_t   answer;

    ctl_http_request(http, "endpoints", NULL, &answer);

    if (ctl_answer_ok(&answer)) {
        n = 0;
        endpoints = ctl_json_list(answer.json, "endpoints");

        cJSON_ArrayForEach(endpoint, endpoints) {
            if (n++ == CTL_KNOWN_MAX) {
                ctl_text_addf(&text, ", and %d more",
                              cJSON_GetArraySize(endpoints) - CTL_KNOWN_MAX);
                break;
            }

            ctl_text_addf(&text, "%s%s", (n > 1) ? ", " : "",
                          ctl_json_text(endpoint, "name", "?"));
        }

        ctl_note("  The endpoints there are: %s", n ? text.data : "none");
    }

    ctl_text_free(&text);
    ctl_answer_free(&answer);
}


/* what would do, by the names of commands */

static void
ctl_answer_applicable(const ctl_answer_t *answer)
{
    const char   *name;
    ctl_text_t    text = { NULL, 0, 0 };
    const cJSON  *list, *item;

    list = ctl_json_list(answer->json, "applicable");

    cJSON_ArrayForEach(item, list) {
        name = cJSON_IsString(item) ? item->valuestring : "?";

        ctl_text_addf(&text, "%s%s", text.len ? ", " : "",
                      (strcmp(name, "start") == 0) ? "update endpoint"
                      : (strcmp(name, "PATCH") == 0) ? "weight" : name);
    }

    if (text.len) {
        ctl_note("  The commands that apply now: %s", text.data);
    }

    ctl_text_free(&text);
}


static int
ctl_answer_is_problem(const ctl_answer_t *answer)
{
    return answer->code == CURLE_OK && cJSON_IsObject(answer->json)
           && ctl_is_type(answer->type, "application/problem+json");
}


void
ctl_answer_tell(const ctl_http_t *http, const ctl_answer_t *answer,
    ctl_text_t *text)
{
    ctl_text_t  line = { NULL, 0, 0 };

    if (answer->code != CURLE_OK) {
        ctl_answer_none(http, answer, &line);

    } else if (ctl_answer_is_problem(answer)) {
        ctl_answer_problem(http, answer, &line);

    } else {
        ctl_answer_foreign(http, answer, &line);
    }

    ctl_text_add_safe(text, line.data ? line.data : "");
    ctl_text_free(&line);
}


static void
ctl_answer_problem(const ctl_http_t *http, const ctl_answer_t *answer,
    ctl_text_t *line)
{
    const char  *title, *detail;

    title = ctl_json_text(answer->json, "title", "");
    detail = ctl_json_text(answer->json, "detail", "");

    ctl_text_addf(line, "%s%s%s (%ld)", title,
                  (title[0] && detail[0]) ? ": " : "", detail,
                  answer->status);

    if (answer->status == 401 && http->token) {
        ctl_text_addf(line, "; the token was that of %s: its line has to be "
                      "in the file of canary_api_tokens, which nginx reads "
                      "at a reload", http->options->token_file);

    } else if (answer->status == 401) {
        ctl_text_adds(line, "; --token-file FILE or CANARY_TOKEN_FILE gives "
                      "a token");
    }
}


/* of something else than the API, perhaps of nginx before it */

static void
ctl_answer_foreign(const ctl_http_t *http, const ctl_answer_t *answer,
    ctl_text_t *line)
{
    if (answer->status == 401 || answer->status == 403) {
        ctl_text_addf(line, "%s refuses access (%ld); --token-file FILE "
                      "gives a token, a URL with USER:PASSWORD@ a user, "
                      "--cert FILE a certificate, and \"allow\" in nginx.conf "
                      "lets this machine in", http->base, answer->status);

    } else if (answer->location) {
        ctl_text_addf(line, "%s redirects to %s (%ld): give --url or "
                      "CANARY_URL what is meant", http->base,
                      answer->location, answer->status);

    } else if (answer->why[0] && ctl_answer_is_json(answer)) {
        ctl_text_addf(line, "%s answers with JSON that cannot be read: %s",
                      http->base, answer->why);

    } else if (answer->status >= 500) {
        ctl_text_addf(line, "%s answers with status %ld", http->base,
                      answer->status);

    } else {
        ctl_text_addf(line, "%s is not the API of the canary module (status "
                      "%ld): give --url or CANARY_URL the location of "
                      "canary_api, such as " CTL_URL, http->base,
                      answer->status);
    }
}


static int
ctl_answer_is_json(const ctl_answer_t *answer)
{
    return ctl_is_type(answer->type, "application/json")
           || ctl_is_type(answer->type, "application/problem+json");
}


/* nothing is told to whoever has ended the program */

static void
ctl_answer_none(const ctl_http_t *http, const ctl_answer_t *answer,
    ctl_text_t *line)
{
    if (answer->too_large) {
        ctl_text_addf(line, "%s is not the API of the canary module: it "
                      "answers with more than that can", http->base);

    } else if (answer->code != CURLE_ABORTED_BY_CALLBACK) {
        ctl_text_addf(line, "no answer from %s", http->base);

        if (http->options->unix_socket) {
            ctl_text_addf(line, " at %s", http->options->unix_socket);
        }

        ctl_text_addf(line, ": %s; %s", answer->why,
                      ctl_answer_advice(http, answer->code));
    }
}


static const char *
ctl_answer_advice(const ctl_http_t *http, CURLcode code)
{
    if (http->options->unix_socket && code == CURLE_COULDNT_CONNECT) {
        return "nginx has to be running, with \"listen unix:\" and this path";
    }

    switch (code) {

    case CURLE_PEER_FAILED_VERIFICATION:
        return "--cacert FILE says which authority is trusted";

    case CURLE_SSL_CACERT_BADFILE:
        return "--cacert has to name a file of certificates in PEM";

    case CURLE_SSL_CERTPROBLEM:
        return "--cert and --key have to name a certificate and its key in "
               "PEM";

    case CURLE_SSL_CONNECT_ERROR:
        return "does this port speak TLS?";

    case CURLE_OPERATION_TIMEDOUT:
        return "is it the right address?";

    default:
        return "is nginx running there? --url or CANARY_URL says where its "
               "canary_api is";
    }
}
