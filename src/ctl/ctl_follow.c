
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdio.h>
#include <string.h>

#include "ctl_follow.h"
#include "ctl_json.h"
#include "ctl_sse.h"


typedef enum {
    CTL_STREAM_ENDED = 0,
    CTL_STREAM_NONE,                      /* the API has none */
    CTL_STREAM_REFUSED
} ctl_stream_t;


static ctl_exit_t ctl_follow_first(ctl_feed_t *feed);
static double ctl_follow_newest(const cJSON *events);
static void ctl_follow_show(ctl_feed_t *feed, const cJSON *events,
    double newest);
static ctl_stream_t ctl_follow_stream(ctl_feed_t *feed);
static int ctl_follow_piece(void *data, const char *bytes, size_t len);
static void ctl_follow_sse(void *data, const char *id, const char *text);
static ctl_exit_t ctl_follow_poll(ctl_feed_t *feed);
static void ctl_follow_event(ctl_feed_t *feed, const cJSON *event);
static void ctl_follow_lost(ctl_feed_t *feed, const ctl_answer_t *answer);


/* By a stream if the API has one, else by asking each second. */

ctl_exit_t
ctl_follow(ctl_feed_t *feed)
{
    ctl_exit_t    rc;
    ctl_stream_t  stream;

    ctl_signals_begin();

    rc = ctl_follow_first(feed);
    stream = CTL_STREAM_ENDED;

    while (rc == CTL_DONE && !ctl_interrupted()) {
        stream = ctl_follow_stream(feed);

        if (stream != CTL_STREAM_ENDED) {
            break;
        }

        (void) ctl_pause(1);
    }

    if (stream == CTL_STREAM_NONE) {
        rc = ctl_follow_poll(feed);

    } else if (stream == CTL_STREAM_REFUSED) {
        rc = CTL_FAILED;
    }

    ctl_signals_end();

    return rc;
}


/*
 * All endpoints are not asked at one time: an event of the first may come
 * after it was asked, and before a later one of the second.  Up to what a
 * pass has seen, the next one has seen all.
 */

static ctl_exit_t
ctl_follow_first(ctl_feed_t *feed)
{
    int            pass;
    cJSON         *events;
    double         newest;
    ctl_answer_t   answer;

    newest = feed->last;

    for (pass = 0; pass < 2; pass++) {
        events = ctl_feed_get(feed, &answer);

        if (events == NULL) {
            ctl_answer_error(feed->http, &answer);
            ctl_answer_free(&answer);
            return CTL_FAILED;
        }

        if (pass == 0) {
            newest = ctl_follow_newest(events);

        } else {
            ctl_follow_show(feed, events, newest);
        }

        cJSON_Delete(events);
        ctl_answer_free(&answer);
    }

    return CTL_DONE;
}


static double
ctl_follow_newest(const cJSON *events)
{
    return ctl_json_number(cJSON_GetArrayItem(events,
                                              cJSON_GetArraySize(events) - 1),
                           "id", 0);
}


static void
ctl_follow_show(ctl_feed_t *feed, const cJSON *events, double newest)
{
    const cJSON  *event;

    cJSON_ArrayForEach(event, events) {
        if (ctl_json_number(event, "id", 0) <= newest) {
            ctl_follow_event(feed, event);
        }
    }
}


static ctl_stream_t
ctl_follow_stream(ctl_feed_t *feed)
{
    char          id[32];
    ctl_sse_t     sse;
    ctl_stream_t  rc;
    ctl_answer_t  answer;

    snprintf(id, sizeof(id), "%.0f", feed->last);

    ctl_sse_init(&sse, ctl_follow_sse, feed);

    ctl_http_stream(feed->http, "events", id, ctl_follow_piece, &sse,
                    &answer);

    rc = CTL_STREAM_ENDED;

    if (sse.too_long) {
        ctl_error("%sevents has an event of more than %u bytes, and is no "
                  "stream of the canary module", feed->http->base,
                  CTL_SSE_MAX);
        rc = CTL_STREAM_REFUSED;

    } else if (answer.status == 404 || answer.status == 405
               || answer.status == 406
               || (answer.status == 200
                   && !ctl_is_type(answer.type, "text/event-stream")))
    {
        rc = CTL_STREAM_NONE;

    } else if (answer.status >= 400 && answer.status < 500
               && answer.status != 429)
    {
        ctl_answer_error(feed->http, &answer);
        rc = CTL_STREAM_REFUSED;

    } else if (answer.status != 200) {
        ctl_follow_lost(feed, &answer);
    }

    ctl_answer_free(&answer);
    ctl_sse_free(&sse);

    return rc;
}


static int
ctl_follow_piece(void *data, const char *bytes, size_t len)
{
    return ctl_sse_feed(data, bytes, len);
}


static void
ctl_follow_sse(void *data, const char *id, const char *text)
{
    char         why[CURL_ERROR_SIZE];
    cJSON       *event;
    size_t       values;
    ctl_feed_t  *feed = data;

    event = ctl_json_parse(text, strlen(text), &values, why, sizeof(why));

    if (cJSON_IsObject(event)
        && (feed->name == NULL
            || strcmp(ctl_json_text(event, "endpoint", ""), feed->name) == 0))
    {
        ctl_follow_event(feed, event);
    }

    cJSON_Delete(event);
}


static ctl_exit_t
ctl_follow_poll(ctl_feed_t *feed)
{
    cJSON         *events;
    double         newest, seen;
    ctl_answer_t   answer;

    newest = feed->last;

    while (!ctl_interrupted()) {
        events = ctl_feed_get(feed, &answer);

        if (events) {
            feed->lost = 0;
            seen = ctl_follow_newest(events);

            if (feed->name) {
                newest = seen;
            }

            ctl_follow_show(feed, events, newest);
            newest = seen;

        } else {
            ctl_follow_lost(feed, &answer);
        }

        cJSON_Delete(events);
        ctl_answer_free(&answer);

        (void) ctl_pause(1);
    }

    return CTL_DONE;
}


/* told once, until it is there again */

static void
ctl_follow_lost(ctl_feed_t *feed, const ctl_answer_t *answer)
{
    if (!feed->lost && !ctl_interrupted()) {
        feed->lost = 1;
        ctl_answer_error(feed->http, answer);
        ctl_note("Trying again each second.");
    }
}


static void
ctl_follow_event(ctl_feed_t *feed, const cJSON *event)
{
    char        *json;
    double       id;
    ctl_text_t   text = { NULL, 0, 0 }, out = { NULL, 0, 0 };

    id = ctl_json_number(event, "id", 0);

    if (id <= feed->last) {
        return;
    }

    feed->last = id;
    feed->lost = 0;

    if (feed->json) {
        json = cJSON_PrintUnformatted(event);
        if (json == NULL) {
            ctl_no_memory();
        }

        ctl_text_adds(&out, json);
        ctl_text_adds(&out, "\n");
        ctl_term_write_json(&out);
        cJSON_free(json);

    } else {
        ctl_add_event(&text, event);
        ctl_text_add_safe(&out, text.data);
        ctl_text_adds(&out, "\n");
        ctl_term_write(&out);
    }

    ctl_text_free(&text);
    ctl_text_free(&out);
}
