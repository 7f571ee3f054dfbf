
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary_text.h"
#include "ctl_events.h"
#include "ctl_json.h"
#include "ctl_term.h"


#define CTL_EVENTS_MAX     200000
#define CTL_EVENTS_VALUES  8000000        /* of as many, about */


static ctl_exit_t ctl_events_run(ctl_feed_t *feed);
static ctl_exit_t ctl_events_after(ctl_feed_t *feed, const char *after);
static ctl_exit_t ctl_events_list(ctl_feed_t *feed);
static void ctl_events_json(const cJSON *events);
static void ctl_events_table(const cJSON *events);
static int ctl_events_all(ctl_feed_t *feed, cJSON *list,
    ctl_answer_t *answer);
static void ctl_events_too_many(ctl_answer_t *answer);
static int ctl_events_one(ctl_feed_t *feed, const char *name, cJSON *list,
    ctl_answer_t *answer);
static size_t ctl_events_add(cJSON *list, cJSON *answer);
static cJSON *ctl_events_sort(cJSON *list);
static int ctl_events_compare(const void *one, const void *two);


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

    if (feed.name && feed.name[0] == '/') {
        feed.name++;
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


static ctl_exit_t
ctl_events_run(ctl_feed_t *feed)
{
    return ctl_given(feed->http->options, CTL_OPT_FOLLOW)
           ? ctl_follow(feed) : ctl_events_list(feed);
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

    feed->last = (double) n;

    return CTL_DONE;
}


static ctl_exit_t
ctl_events_list(ctl_feed_t *feed)
{
    cJSON         *events;
    ctl_exit_t     rc;
    ctl_answer_t   answer;

    events = ctl_feed_get(feed, &answer);

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


cJSON *
ctl_feed_get(ctl_feed_t *feed, ctl_answer_t *answer)
{
    int     ok;
    cJSON  *list;

    list = cJSON_CreateArray();
    if (list == NULL) {
        ctl_no_memory();
    }

    feed->nevents = 0;

    ok = feed->name ? ctl_events_one(feed, feed->name, list, answer)
                    : ctl_events_all(feed, list, answer);

    if (!ok) {
        cJSON_Delete(list);
        return NULL;
    }

    return ctl_events_sort(list);
}


/*
 * An endpoint may be gone since, or have a name that is no UTF-8, and that
 * JSON does not tell.
 */

static int
ctl_events_all(ctl_feed_t *feed, cJSON *list, ctl_answer_t *answer)
{
    int            ok;
    size_t         values;
    const char    *name;
    const cJSON   *endpoint;
    ctl_answer_t   endpoints;

    ctl_http_request(feed->http, "endpoints", NULL, answer);

    if (!ctl_answer_ok(answer)) {
        return 0;
    }

    endpoints = *answer;
    memset(answer, 0, sizeof(ctl_answer_t));

    ok = 1;
    values = 0;

    cJSON_ArrayForEach(endpoint, ctl_json_list(endpoints.json, "endpoints")) {
        name = ctl_json_text(endpoint, "name", "");

        if (canary_text_bad_name(name, strlen(name))) {
            continue;
        }

        ctl_answer_free(answer);

        ok = ctl_events_one(feed, name, list, answer);

        if (!ok && answer->status != 404) {
            break;
        }

        ok = 1;
        values += answer->values;

        if (values > CTL_EVENTS_VALUES || feed->nevents > CTL_EVENTS_MAX) {
            ctl_events_too_many(answer);
            ok = 0;
            break;
        }
    }

    ctl_answer_free(&endpoints);

    return ok;
}


static void
ctl_events_too_many(ctl_answer_t *answer)
{
    cJSON_Delete(answer->json);
    answer->json = NULL;

    (void) snprintf(answer->why, sizeof(answer->why), "more events than are "
                    "kept at one time; ask for those of one endpoint");
}


static int
ctl_events_one(ctl_feed_t *feed, const char *name, cJSON *list,
    ctl_answer_t *answer)
{
    char        *path;
    ctl_text_t   rest = { NULL, 0, 0 }, slashed = { NULL, 0, 0 };

    /* a name that begins with a slash keeps it */

    ctl_text_addf(&slashed, "/%s", name);
    ctl_text_addf(&rest, "/events?after=%.0f", feed->last);
    path = ctl_endpoint_path(slashed.data, rest.data);

    ctl_http_request(feed->http, path, NULL, answer);

    free(path);
    ctl_text_free(&rest);
    ctl_text_free(&slashed);

    if (!ctl_answer_ok(answer)) {
        return 0;
    }

    feed->nevents += ctl_events_add(list, answer->json);

    return 1;
}


/* how many there are */

static size_t
ctl_events_add(cJSON *list, cJSON *answer)
{
    cJSON   *events, *event;
    size_t   n;

    n = 0;
    events = cJSON_GetObjectItemCaseSensitive(answer, "events");

    while (cJSON_IsArray(events) && events->child) {
        event = cJSON_DetachItemFromArray(events, 0);
        cJSON_AddItemToArray(list, event);
        n++;
    }

    return n;
}


/* the oldest first */

static cJSON *
ctl_events_sort(cJSON *list)
{
    size_t   i, n;
    cJSON  **events, *sorted;

    n = (size_t) cJSON_GetArraySize(list);
    events = ctl_calloc(n, sizeof(cJSON *));

    for (i = 0; i < n; i++) {
        events[i] = cJSON_DetachItemFromArray(list, 0);
    }

    cJSON_Delete(list);

    qsort(events, n, sizeof(cJSON *), ctl_events_compare);

    sorted = cJSON_CreateArray();
    if (sorted == NULL) {
        ctl_no_memory();
    }

    for (i = 0; i < n; i++) {
        cJSON_AddItemToArray(sorted, events[i]);
    }

    free(events);

    return sorted;
}


static int
ctl_events_compare(const void *one, const void *two)
{
    double  a, b;

    a = ctl_json_number(*(cJSON *const *) one, "id", 0);
    b = ctl_json_number(*(cJSON *const *) two, "id", 0);

    return (a > b) - (a < b);
}
