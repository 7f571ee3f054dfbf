
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl_feed.h"
#include "ctl_follow.h"
#include "ctl_json.h"
#include "ctl_term.h"


static ctl_exit_t ctl_events_run(ctl_feed_t *feed);
static ctl_exit_t ctl_events_after(ctl_feed_t *feed, const char *after);
static ctl_exit_t ctl_events_list(ctl_feed_t *feed);
static void ctl_events_json(const cJSON *events);
static void ctl_events_table(const cJSON *events);


ctl_exit_t
ctl_events(const ctl_options_t *options)
{
    ctl_exit_t  rc;
    ctl_http_t  http;
    ctl_feed_t  feed;

    memset(&feed, 0, sizeof(ctl_feed_t));

    feed.http = &http;
    feed.name = (options->nargs > 1) ? options->args[1] : NULL;
    feed.json = ctl_given(options, CTL_OPT_JSON);
    feed.exec = options->exec;

    if (feed.name && feed.name[0] == '/') {
        feed.name++;
    }

    if ((options->exec || options->state)
        && !ctl_given(options, CTL_OPT_FOLLOW))
    {
        ctl_error("--exec and --state go with --follow");
        return CTL_USAGE;
    }

    rc = ctl_events_after(&feed, options->after);

    if (rc != CTL_DONE) {
        return rc;
    }

    rc = ctl_http_open(&http, options);

    if (rc == CTL_DONE) {
        rc = ctl_events_run(&feed);
    }

    ctl_http_close(&http);

    return rc;
}


/* Nobody is sent what was long ago. */

static ctl_exit_t
ctl_events_run(ctl_feed_t *feed)
{
    ctl_exit_t            rc;
    const ctl_options_t  *options;

    options = feed->http->options;

    if (!ctl_given(options, CTL_OPT_FOLLOW)) {
        return ctl_events_list(feed);
    }

    rc = options->state ? ctl_position_open(&feed->position, options->state)
                        : CTL_DONE;

    if (rc == CTL_DONE) {
        feed->now = (options->exec || options->state)
                    && !options->after && !feed->position.known;
        rc = ctl_follow(feed);
    }

    ctl_position_close(&feed->position);

    return rc;
}


static ctl_exit_t
ctl_events_after(ctl_feed_t *feed, const char *after)
{
    char                *end;
    unsigned long long   n;

    if (after == NULL) {
        return CTL_DONE;
    }

    n = strtoull(after, &end, 10);

    if (after[0] < '0' || after[0] > '9' || *end || n >> 53) {
        ctl_error("--after has to be the number of an event, not \"%s\"",
                  after);
        return CTL_USAGE;
    }

    feed->position.id = (double) n;

    return CTL_DONE;
}


static ctl_exit_t
ctl_events_list(ctl_feed_t *feed)
{
    cJSON         *events;
    ctl_exit_t     rc;
    ctl_answer_t   answer;

    events = ctl_feed_get(feed, feed->position.id, &answer);

    rc = CTL_FAILED;

    if (events == NULL) {
        if (feed->json && answer.json) {
            ctl_answer_print(&answer);
        }

        ctl_answer_error(feed->http, &answer);

    } else {
        rc = CTL_DONE;

        if (feed->json) {
            ctl_events_json(events);

        } else {
            ctl_events_table(events);
        }
    }

    cJSON_Delete(events);
    ctl_answer_free(&answer);

    return rc;
}


/* the newest first, as the API has it */

static void
ctl_events_json(const cJSON *events)
{
    char         *text;
    ctl_text_t    out = { NULL, 0, 0 };
    const cJSON  *event;

    ctl_text_adds(&out, "{\"events\":[");

    event = NULL;

    while ((event = ctl_json_before(events, event)) != NULL) {
        text = cJSON_PrintUnformatted(event);
        if (text == NULL) {
            ctl_no_memory();
        }

        ctl_text_adds(&out, text);
        ctl_text_adds(&out, (event == events->child) ? "" : ",");
        cJSON_free(text);
    }

    ctl_text_adds(&out, "]}\n");
    ctl_term_write_json(&out);
    ctl_text_free(&out);
}


static void
ctl_events_table(const cJSON *events)
{
    size_t        i;
    ctl_term_t    term;
    ctl_text_t    out = { NULL, 0, 0 }, text = { NULL, 0, 0 };
    ctl_table_t   table;
    const cJSON  *event;

    static const char *const  heads[] = {
        "TIME (UTC)", "ID", "ENDPOINT", "CHANGE", "BY"
    };

    ctl_term_init(&term);
    ctl_table_init(&table, "lrlll");

    for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        ctl_table_add(&table, CTL_DIM, heads[i]);
    }

    cJSON_ArrayForEach(event, events) {
        ctl_add_time(&text, ctl_json_text(event, "time", ""));
        ctl_table_add(&table, CTL_PLAIN, text.data);
        ctl_cell_count(&table, CTL_PLAIN, ctl_json_number(event, "id", -1));
        ctl_table_add(&table, CTL_BOLD, ctl_json_text(event, "endpoint", ""));

        ctl_text_clear(&text);
        ctl_add_change(&text, event);
        ctl_table_add(&table, CTL_PLAIN, text.data);

        ctl_text_clear(&text);
        ctl_add_why(&text, event);
        ctl_table_add(&table, CTL_PLAIN, text.data);
        ctl_text_clear(&text);
    }

    /* why something was done is not cut off */

    term.columns = 0;

    ctl_table_write(&table, &term, &out);
    ctl_term_write(&out);

    ctl_table_free(&table);
    ctl_text_free(&text);
    ctl_text_free(&out);
}
