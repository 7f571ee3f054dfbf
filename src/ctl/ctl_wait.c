
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdlib.h>
#include <string.h>

#include "ctl_endpoint.h"
#include "ctl_json.h"
#include "ctl_wait.h"


#define CTL_WAIT_LOST  30                 /* s without an answer */


typedef enum {
    CTL_WAIT_RUNS = 0,
    CTL_WAIT_PROMOTED,
    CTL_WAIT_BACK,
    CTL_WAIT_HALTED,
    CTL_WAIT_GONE
} ctl_wait_state_t;


static void ctl_wait_begun(ctl_wait_t *wait, const cJSON *endpoint);
static ctl_exit_t ctl_wait_poll(ctl_wait_t *wait);
static ctl_wait_state_t ctl_wait_state(const ctl_wait_t *wait,
    const cJSON *endpoint);
static ctl_exit_t ctl_wait_result(ctl_wait_t *wait, ctl_wait_state_t state,
    const cJSON *endpoint);
static int ctl_wait_answered(ctl_wait_t *wait, const ctl_answer_t *answer);
static int ctl_wait_bears(const ctl_answer_t *answer);
static void ctl_wait_show(ctl_wait_t *wait, const ctl_answer_t *answer);
static void ctl_wait_events(ctl_wait_t *wait);
static void ctl_wait_event(ctl_wait_t *wait, const cJSON *event);
static void ctl_wait_waiting(ctl_wait_t *wait, const cJSON *endpoint);
static void ctl_wait_line(ctl_wait_t *wait, const cJSON *endpoint);
static void ctl_wait_clear(ctl_wait_t *wait);


void
ctl_wait_init(ctl_wait_t *wait, ctl_http_t *http, const char *name)
{
    memset(wait, 0, sizeof(ctl_wait_t));

    wait->http = http;
    wait->path = ctl_endpoint_path(name, "");
    wait->events_path = ctl_endpoint_path(name, "/events");

    ctl_term_init(&wait->term);
    ctl_text_clear(&wait->waiting);
}


void
ctl_wait_free(ctl_wait_t *wait)
{
    free(wait->path);
    free(wait->events_path);
    ctl_text_free(&wait->waiting);
}


ctl_exit_t
ctl_wait_prepare(ctl_wait_t *wait)
{
    ctl_exit_t    rc;
    ctl_answer_t  answer;

    ctl_http_request(wait->http, wait->events_path, NULL, &answer);

    rc = CTL_DONE;

    if (ctl_answer_ok(&answer)) {
        wait->event = ctl_json_number(cJSON_GetArrayItem(
                                          ctl_json_list(answer.json, "events"),
                                          0),
                                      "id", 0);
    } else {
        ctl_answer_error(wait->http, &answer);
        rc = CTL_FAILED;
    }

    ctl_answer_free(&answer);

    return rc;
}


ctl_exit_t
ctl_wait(ctl_wait_t *wait, const cJSON *started)
{
    ctl_exit_t  rc;

    ctl_signals_begin();

    ctl_wait_begun(wait, started);

    rc = ctl_wait_poll(wait);

    ctl_wait_clear(wait);

    if (ctl_interrupted()) {
        ctl_note("Not waited for any longer: the rollout goes on; canaryctl "
                 "status shows it.");
    }

    ctl_signals_end();

    return rc;
}


/*
 * Rollouts of an endpoint are numbered; the last one that ended is told.  A
 * direct one has ended already.
 */

static void
ctl_wait_begun(ctl_wait_t *wait, const cJSON *endpoint)
{
    double  last;

    last = ctl_json_number(ctl_json_object(endpoint, "last_rollout"), "id",
                           0);

    wait->rollout = last;

    if (strcmp(ctl_json_text(endpoint, "phase", ""), "idle") != 0) {
        wait->rollout++;
    }

    wait->generation = ctl_json_number(endpoint, "generation", 0);
}


static ctl_exit_t
ctl_wait_poll(ctl_wait_t *wait)
{
    ctl_exit_t        rc;
    ctl_answer_t      answer;
    ctl_wait_state_t  state;

    while (!ctl_interrupted()) {
        ctl_http_request(wait->http, wait->path, NULL, &answer);

        if (ctl_answer_ok(&answer)) {
            wait->lost = 0;
            state = ctl_wait_state(wait, answer.json);

            ctl_wait_show(wait, &answer);

            if (state != CTL_WAIT_RUNS) {
                rc = ctl_wait_result(wait, state, answer.json);
                ctl_answer_free(&answer);
                return rc;
            }

        } else if (!ctl_wait_answered(wait, &answer)) {
            ctl_answer_free(&answer);
            return CTL_FAILED;
        }

        ctl_answer_free(&answer);

        (void) ctl_pause(1);
    }

    return CTL_FAILED;
}


static ctl_wait_state_t
ctl_wait_state(const ctl_wait_t *wait, const cJSON *endpoint)
{
    double        id;
    const cJSON  *last;

    last = ctl_json_object(endpoint, "last_rollout");
    id = ctl_json_number(last, "id", 0);

    if (id == wait->rollout) {
        return strcmp(ctl_json_text(last, "result", ""), "promoted") == 0
               ? CTL_WAIT_PROMOTED : CTL_WAIT_BACK;
    }

    /* others have begun and ended since, or nginx has forgotten it */

    if (id > wait->rollout || id < wait->rollout - 1
        || strcmp(ctl_json_text(endpoint, "phase", ""), "idle") == 0)
    {
        return CTL_WAIT_GONE;
    }

    return strcmp(ctl_json_text(endpoint, "phase", ""), "halted") == 0
           ? CTL_WAIT_HALTED : CTL_WAIT_RUNS;
}


static ctl_exit_t
ctl_wait_result(ctl_wait_t *wait, ctl_wait_state_t state,
    const cJSON *endpoint)
{
    ctl_text_t  text = { NULL, 0, 0 };

    ctl_wait_clear(wait);

    switch (state) {

    case CTL_WAIT_PROMOTED:
        if (!ctl_given(wait->http->options, CTL_OPT_JSON)) {
            ctl_say_progress(endpoint);
        }

        return CTL_DONE;

    case CTL_WAIT_BACK:
        ctl_add_last(&text, endpoint);
        ctl_error("%s", text.data);
        ctl_text_free(&text);
        return CTL_ROLLED_BACK;

    case CTL_WAIT_HALTED:
        ctl_error("the rollout is halted at its weight; canaryctl resume, "
                  "advance, promote and rollback apply");
        return CTL_ROLLED_BACK;

    default: /* CTL_WAIT_GONE */
        ctl_error("the rollout that was waited for is not known any more: "
                  "others have ended since, or nginx was restarted");
        return CTL_FAILED;
    }
}


/* Whether to go on: a reload, a restart or a bad connection may pass. */

static int
ctl_wait_answered(ctl_wait_t *wait, const ctl_answer_t *answer)
{
    double      now;
    ctl_text_t  text = { NULL, 0, 0 };

    if (ctl_interrupted()) {
        return 1;
    }

    now = ctl_clock();

    if (!ctl_wait_bears(answer)
        || (wait->lost != 0 && now - wait->lost > CTL_WAIT_LOST))
    {
        ctl_wait_clear(wait);
        ctl_answer_error(wait->http, answer);
        ctl_note("How the rollout ends is not known; canaryctl status tells.");
        return 0;
    }

    if (wait->lost == 0) {
        wait->lost = now;
        ctl_wait_clear(wait);
        ctl_answer_tell(wait->http, answer, &text);
        ctl_note("%s; trying again for %d s", text.data, CTL_WAIT_LOST);
        ctl_text_free(&text);
    }

    return 1;
}


static int
ctl_wait_bears(const ctl_answer_t *answer)
{
    switch (answer->code) {

    case CURLE_OK:
        return answer->status >= 500 || answer->status == 429;

    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_SSL_CONNECT_ERROR:
        return 1;

    default:
        return 0;
    }
}


static void
ctl_wait_show(ctl_wait_t *wait, const ctl_answer_t *answer)
{
    double  generation;

    if (ctl_given(wait->http->options, CTL_OPT_JSON)) {
        generation = ctl_json_number(answer->json, "generation", 0);

        if (generation != wait->generation) {
            wait->generation = generation;
            ctl_answer_print(answer);
        }

        return;
    }

    ctl_wait_events(wait);

    if (ctl_json_text(answer->json, "canary", NULL) == NULL) {
        return;
    }

    if (wait->term.terminal) {
        ctl_wait_line(wait, answer->json);

    } else {
        ctl_wait_waiting(wait, answer->json);
    }
}


/* the oldest first */

static void
ctl_wait_events(ctl_wait_t *wait)
{
    ctl_text_t    path = { NULL, 0, 0 };
    const cJSON  *events, *event;
    ctl_answer_t  answer;

    ctl_text_addf(&path, "%s?after=%.0f", wait->events_path, wait->event);
    ctl_http_request(wait->http, path.data, NULL, &answer);
    ctl_text_free(&path);

    if (ctl_answer_ok(&answer)) {
        events = ctl_json_list(answer.json, "events");
        event = NULL;

        while ((event = ctl_json_before(events, event)) != NULL) {
            ctl_wait_event(wait, event);
        }
    }

    ctl_answer_free(&answer);
}


static void
ctl_wait_event(ctl_wait_t *wait, const cJSON *event)
{
    double      id;
    ctl_text_t  text = { NULL, 0, 0 }, out = { NULL, 0, 0 };

    id = ctl_json_number(event, "id", 0);

    if (id <= wait->event) {
        return;
    }

    wait->event = id;

    ctl_wait_clear(wait);
    ctl_text_clear(&wait->waiting);

    ctl_add_event(&text, event);
    ctl_text_add_safe(&out, text.data);
    ctl_text_adds(&out, "\n");
    ctl_term_write(&out);

    ctl_text_free(&text);
    ctl_text_free(&out);
}


/*
 * What holds it when the interval is over, a rule or a person: once for each,
 * and again after an event.
 */

static void
ctl_wait_waiting(ctl_wait_t *wait, const cJSON *endpoint)
{
    ctl_text_t    text = { NULL, 0, 0 }, out = { NULL, 0, 0 };
    const char   *rule;
    const cJSON  *waiting;

    waiting = ctl_json_object(endpoint, "waiting_for");
    rule = ctl_awaits_approval(endpoint) ? "approval"
                                         : ctl_json_text(waiting, "rule", "");

    if (ctl_json_number(endpoint, "next_step_in_seconds", 1) > 0) {
        rule = "";
    }

    if (strcmp(wait->waiting.data, rule) == 0) {
        return;
    }

    ctl_text_clear(&wait->waiting);
    ctl_text_adds(&wait->waiting, rule);

    if (rule[0]) {
        ctl_add_progress(&text, endpoint);
        ctl_text_adds(&text, "; waiting: ");
        ctl_add_waiting(&text, endpoint);

        ctl_text_add_safe(&out, text.data);
        ctl_text_adds(&out, "\n");
        ctl_term_write(&out);
    }

    ctl_text_free(&text);
    ctl_text_free(&out);
}


/* the last line of the terminal, written anew each second */

static void
ctl_wait_line(ctl_wait_t *wait, const cJSON *endpoint)
{
    ctl_text_t  text = { NULL, 0, 0 }, out = { NULL, 0, 0 };

    ctl_term_measure(&wait->term);

    ctl_add_progress(&text, endpoint);
    ctl_text_adds(&text, "; next: ");

    if (ctl_json_number(endpoint, "next_step_in_seconds", 1) > 0
        || ctl_json_object(endpoint, "waiting_for") == NULL)
    {
        ctl_add_next(&text, endpoint);

    } else {
        ctl_add_waiting(&text, endpoint);
    }

    ctl_text_adds(&out, "\r\033[K");
    ctl_text_clear(&wait->waiting);
    ctl_text_add_safe(&wait->waiting, text.data);
    ctl_text_add(&out, wait->waiting.data,
                 ctl_fit(wait->waiting.data, wait->waiting.len,
                         wait->term.columns - 1));
    ctl_term_write(&out);

    ctl_text_free(&text);
    ctl_text_free(&out);
}


static void
ctl_wait_clear(ctl_wait_t *wait)
{
    ctl_text_t  out = { NULL, 0, 0 };

    if (wait->term.terminal && wait->waiting.len) {
        ctl_text_clear(&wait->waiting);
        ctl_text_adds(&out, "\r\033[K");
        ctl_term_write(&out);
        ctl_text_free(&out);
    }
}
