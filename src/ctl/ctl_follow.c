
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl_deliver.h"
#include "ctl_follow.h"
#include "ctl_json.h"
#include "ctl_sse.h"


#define CTL_EVENTS_KEPT  64               /* of an endpoint, by the API */


typedef enum {
    CTL_STREAM_ENDED = 0,
    CTL_STREAM_NONE,                      /* the API has none */
    CTL_STREAM_REFUSED
} ctl_stream_t;


static int ctl_follow_catch_up(ctl_feed_t *feed, ctl_answer_t *answer);
static void ctl_follow_begin(ctl_feed_t *feed, const cJSON *events);
static int ctl_follow_rest(ctl_feed_t *feed, double newest,
    ctl_answer_t *answer);
static int ctl_follow_forgot(ctl_feed_t *feed, const cJSON *events);
static int ctl_follow_anew(ctl_feed_t *feed, ctl_answer_t *answer);
static ctl_exit_t ctl_follow_again(ctl_feed_t *feed, ctl_stream_t stream);
static double ctl_follow_newest(const cJSON *events);
static ctl_stream_t ctl_follow_stream(ctl_feed_t *feed);
static int ctl_follow_piece(void *data, const char *bytes, size_t len);
static void ctl_follow_sse(void *data, const char *id, const char *text);
static void ctl_follow_lost(ctl_feed_t *feed, const ctl_answer_t *answer);
static void ctl_follow_event(ctl_feed_t *feed, const cJSON *event);
static void ctl_follow_show(const ctl_feed_t *feed, const cJSON *event);
static void ctl_follow_keep(ctl_feed_t *feed);


/* By a stream if the API has one, else by asking each second. */

ctl_exit_t
ctl_follow(ctl_feed_t *feed)
{
    ctl_exit_t    rc;
    ctl_answer_t  answer;
    ctl_stream_t  stream;

    ctl_signals_begin();

    rc = CTL_DONE;
    stream = CTL_STREAM_ENDED;

    if (!ctl_follow_catch_up(feed, &answer)) {
        ctl_answer_error(feed->http, &answer);
        rc = CTL_FAILED;
    }

    ctl_answer_free(&answer);

    while (rc == CTL_DONE && !ctl_interrupted()) {

        if (stream == CTL_STREAM_ENDED) {
            stream = ctl_follow_stream(feed);
        }

        if (stream == CTL_STREAM_REFUSED) {
            rc = CTL_FAILED;
            break;
        }

        (void) ctl_pause(1);

        rc = ctl_follow_again(feed, stream);
    }

    ctl_signals_end();

    return rc;
}


/*
 * Tells of all that there is now; 0: the answer tells what went wrong.
 *
 * All endpoints are not asked at one time: an event of the first may come
 * after it was asked, and before a later one of the second.  Up to what a
 * pass has seen, the next one has seen all.
 */

static int
ctl_follow_catch_up(ctl_feed_t *feed, ctl_answer_t *answer)
{
    int      forgot;
    cJSON   *events;
    double   last, newest;

    /* with the last one itself, which tells whether it is the same count */

    last = feed->position.id;
    events = ctl_feed_get(feed, (last > 0) ? last - 1 : 0, answer);

    if (events == NULL) {
        return 0;
    }

    newest = ctl_follow_newest(events);

    if (feed->now) {
        ctl_follow_begin(feed, events);
        cJSON_Delete(events);
        return 1;
    }

    forgot = ctl_follow_forgot(feed, events);

    cJSON_Delete(events);
    ctl_answer_free(answer);

    return forgot ? ctl_follow_anew(feed, answer)
                  : ctl_follow_rest(feed, newest, answer);
}


static void
ctl_follow_begin(ctl_feed_t *feed, const cJSON *events)
{
    const cJSON  *last;

    last = ctl_json_before(events, NULL);

    ctl_position_pass(&feed->position, ctl_json_number(last, "id", 0),
                      ctl_json_text(last, "time", ""));
    ctl_follow_keep(feed);

    feed->now = 0;
}


static int
ctl_follow_rest(ctl_feed_t *feed, double newest, ctl_answer_t *answer)
{
    cJSON        *events;
    const cJSON  *event;

    if (newest <= feed->position.id) {
        return 1;
    }

    events = ctl_feed_get(feed, feed->position.id, answer);

    if (events == NULL) {
        return 0;
    }

    if (feed->position.known && feed->most >= CTL_EVENTS_KEPT) {
        ctl_error("warning: more may have happened since event %.0f than the "
                  "last %d of an endpoint, which nginx keeps: events.jsonl in "
                  "its canary_state_path has all", feed->position.id,
                  CTL_EVENTS_KEPT);
    }

    cJSON_ArrayForEach(event, events) {
        if (ctl_json_number(event, "id", 0) <= newest) {
            ctl_follow_event(feed, event);
        }
    }

    cJSON_Delete(events);

    return 1;
}


/*
 * A nginx whose state is lost counts events anew.  Then the last one that was
 * told is not there, or is another.  Of an endpoint that is gone, or that had
 * many since, it is not there either.
 */

static int
ctl_follow_forgot(ctl_feed_t *feed, const cJSON *events)
{
    const char   *time;
    const cJSON  *first;

    if (!feed->position.known || feed->position.id == 0) {
        return 0;
    }

    first = events->child;

    if (first == NULL) {
        return 1;
    }

    time = ctl_json_text(first, "time", "");

    return ctl_json_number(first, "id", 0) == feed->position.id
           && feed->position.time[0]
           && strcmp(feed->position.time, time) != 0;
}


/*
 * What is later than the last one that was told is new, whatever its number
 * is: times have one form, and compare as texts.
 */

static int
ctl_follow_anew(ctl_feed_t *feed, ctl_answer_t *answer)
{
    char          since[CTL_TIME_MAX];
    cJSON        *events;
    const cJSON  *event;

    events = ctl_feed_get(feed, 0, answer);

    if (events == NULL) {
        return 0;
    }

    (void) snprintf(since, sizeof(since), "%s", feed->position.time);

    ctl_position_pass(&feed->position, 0, since);

    cJSON_ArrayForEach(event, events) {
        if (strcmp(ctl_json_text(event, "time", ""), since) > 0) {
            ctl_follow_event(feed, event);

        } else {
            ctl_position_pass(&feed->position,
                              ctl_json_number(event, "id", 0), since);
        }
    }

    if (!ctl_interrupted()) {
        ctl_follow_keep(feed);
    }

    cJSON_Delete(events);

    return 1;
}


/* Whatever was there may be away for long; who is refused is told so. */

static ctl_exit_t
ctl_follow_again(ctl_feed_t *feed, ctl_stream_t stream)
{
    ctl_exit_t    rc;
    ctl_answer_t  answer;

    rc = CTL_DONE;

    while (!ctl_interrupted()) {

        if (ctl_follow_catch_up(feed, &answer)) {
            feed->lost &= (stream != CTL_STREAM_NONE);
            ctl_answer_free(&answer);
            break;
        }

        if (answer.status == 401 || answer.status == 403) {
            ctl_answer_error(feed->http, &answer);
            ctl_answer_free(&answer);
            rc = CTL_FAILED;
            break;
        }

        ctl_follow_lost(feed, &answer);
        ctl_answer_free(&answer);

        (void) ctl_pause(1);
    }

    return rc;
}


static double
ctl_follow_newest(const cJSON *events)
{
    return ctl_json_number(ctl_json_before(events, NULL), "id", 0);
}


static ctl_stream_t
ctl_follow_stream(ctl_feed_t *feed)
{
    char          id[32];
    ctl_sse_t     sse;
    ctl_stream_t  rc;
    ctl_answer_t  answer;

    snprintf(id, sizeof(id), "%.0f", feed->position.id);

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
    ctl_sse_t   *sse = data;
    ctl_feed_t  *feed = sse->data;

    feed->lost = 0;

    return ctl_sse_feed(sse, bytes, len);
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
    double  id;

    id = ctl_json_number(event, "id", 0);

    if (id <= feed->position.id || ctl_interrupted()) {
        return;
    }

    if (feed->exec) {
        (void) ctl_deliver(feed->exec, &feed->position, event);
        return;
    }

    ctl_follow_show(feed, event);
    ctl_position_pass(&feed->position, id, ctl_json_text(event, "time", ""));
    ctl_follow_keep(feed);
}


static void
ctl_follow_show(const ctl_feed_t *feed, const cJSON *event)
{
    char        *json;
    ctl_text_t   text = { NULL, 0, 0 }, out = { NULL, 0, 0 };

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


static void
ctl_follow_keep(ctl_feed_t *feed)
{
    if (!ctl_position_keep(&feed->position)) {
        ctl_error("cannot write %s: %s", feed->position.name,
                  strerror(errno));
    }
}
