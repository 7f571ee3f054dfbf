
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdlib.h>
#include <string.h>

#include "ctl_endpoint.h"
#include "ctl_http.h"
#include "ctl_json.h"


#define CTL_STATUS_EVENTS  5
#define CTL_WATCH_EVENTS   64


typedef struct {
    ctl_http_t     http;
    ctl_term_t     term;
    char          *path;                  /* of the endpoint */
    char          *events_path;
    ctl_answer_t   endpoint;
    ctl_answer_t   events;
    ctl_text_t     shown;                 /* the last line that was written */
} ctl_view_t;


static ctl_exit_t ctl_status_once(ctl_view_t *view);
static ctl_exit_t ctl_status_watch(ctl_view_t *view);
static int ctl_view_get(ctl_view_t *view);
static void ctl_view_free(ctl_view_t *view);
static void ctl_view_draw(ctl_view_t *view);
static void ctl_view_json(ctl_view_t *view);
static void ctl_view_line(ctl_view_t *view);


ctl_exit_t
ctl_status(const ctl_options_t *options)
{
    ctl_exit_t  rc;
    ctl_view_t  view;

    memset(&view, 0, sizeof(ctl_view_t));

    ctl_term_init(&view.term);

    view.path = ctl_endpoint_path(options->args[1], "");
    view.events_path = ctl_endpoint_path(options->args[1], "/events");

    rc = ctl_http_open(&view.http, options);

    if (rc == CTL_DONE) {
        rc = ctl_given(options, CTL_OPT_WATCH) ? ctl_status_watch(&view)
                                               : ctl_status_once(&view);
    }

    ctl_http_close(&view.http);
    ctl_text_free(&view.shown);
    free(view.path);
    free(view.events_path);

    return rc;
}


static ctl_exit_t
ctl_status_once(ctl_view_t *view)
{
    ctl_exit_t  rc;
    ctl_text_t  out = { NULL, 0, 0 };

    rc = ctl_http_call(&view->http, view->path, NULL, &view->endpoint);

    if (rc == CTL_DONE && !ctl_given(view->http.options, CTL_OPT_JSON)) {
        rc = ctl_http_call(&view->http, view->events_path, NULL,
                           &view->events);

        if (rc == CTL_DONE) {

            /* it may scroll */

            view->term.rows = 0;

            ctl_endpoint_screen(view->endpoint.json,
                                ctl_json_list(view->events.json, "events"),
                                CTL_STATUS_EVENTS, &view->term, &out);
            ctl_term_write(&out);
            ctl_text_free(&out);
        }
    }

    ctl_view_free(view);

    return rc;
}


/* What is wrong at the beginning ends it; later, it is shown. */

static ctl_exit_t
ctl_status_watch(ctl_view_t *view)
{
    int          screen;
    ctl_pause_t  pause;

    if (!ctl_view_get(view)) {
        ctl_answer_error(&view->http, &view->endpoint);
        ctl_view_free(view);
        return CTL_FAILED;
    }

    screen = view->term.terminal
             && !ctl_given(view->http.options, CTL_OPT_JSON);

    ctl_signals_begin();

    if (screen) {
        ctl_screen_begin();
    }

    for ( ;; ) {
        if (screen) {
            ctl_term_measure(&view->term);
            ctl_view_draw(view);

        } else if (ctl_given(view->http.options, CTL_OPT_JSON)) {
            ctl_view_json(view);

        } else {
            ctl_view_line(view);
        }

        pause = ctl_pause(1);

        if (pause == CTL_PAUSE_QUIT) {
            break;
        }

        if (pause == CTL_PAUSE_OVER) {
            ctl_view_free(view);
            (void) ctl_view_get(view);

            if (ctl_interrupted()) {
                break;
            }
        }
    }

    ctl_screen_end();
    ctl_view_free(view);
    ctl_signals_end();

    return CTL_DONE;
}


static int
ctl_view_get(ctl_view_t *view)
{
    ctl_http_request(&view->http, view->path, NULL, &view->endpoint);

    if (!ctl_answer_ok(&view->endpoint)) {
        return 0;
    }

    if (!ctl_given(view->http.options, CTL_OPT_JSON)) {
        ctl_http_request(&view->http, view->events_path, NULL, &view->events);
    }

    return 1;
}


static void
ctl_view_free(ctl_view_t *view)
{
    ctl_answer_free(&view->endpoint);
    ctl_answer_free(&view->events);
}


static void
ctl_view_draw(ctl_view_t *view)
{
    ctl_text_t  out = { NULL, 0, 0 }, text = { NULL, 0, 0 };

    if (ctl_answer_ok(&view->endpoint)) {
        ctl_endpoint_screen(view->endpoint.json,
                            ctl_json_list(view->events.json, "events"),
                            CTL_WATCH_EVENTS, &view->term, &out);
    } else {
        ctl_answer_tell(&view->http, &view->endpoint, &text);
        ctl_term_field(&view->term, &out, "Trouble", CTL_BAD, text.data);
        ctl_term_field(&view->term, &out, "Next", CTL_PLAIN,
                       "another try each second; q ends this");
    }

    ctl_screen_draw(&view->term, &out);

    ctl_text_free(&out);
    ctl_text_free(&text);
}


/* one line for each answer */

static void
ctl_view_json(ctl_view_t *view)
{
    if (view->endpoint.json) {
        ctl_answer_print(&view->endpoint);

    } else {
        ctl_answer_error(&view->http, &view->endpoint);
    }
}


/* A line only if it says something new. */

static void
ctl_view_line(ctl_view_t *view)
{
    ctl_text_t    line = { NULL, 0, 0 }, safe = { NULL, 0, 0 };
    const cJSON  *event;

    if (ctl_answer_ok(&view->endpoint)) {
        ctl_add_progress(&line, view->endpoint.json);

        event = cJSON_GetArrayItem(ctl_json_list(view->events.json, "events"),
                                   0);
        if (event) {
            ctl_text_adds(&line, "; ");
            ctl_add_time(&line, ctl_json_text(event, "time", ""));
            ctl_text_addf(&line, " %s", ctl_json_text(event, "reason", ""));
        }

    } else {
        ctl_answer_tell(&view->http, &view->endpoint, &line);
    }

    ctl_text_add_safe(&safe, line.data);
    ctl_text_adds(&safe, "\n");

    if (view->shown.data == NULL || strcmp(view->shown.data, safe.data) != 0) {
        ctl_term_write(&safe);
        ctl_text_clear(&view->shown);
        ctl_text_adds(&view->shown, safe.data);
    }

    ctl_text_free(&line);
    ctl_text_free(&safe);
}
