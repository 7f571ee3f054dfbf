
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary_text.h"
#include "ctl_feed.h"
#include "ctl_json.h"


#define CTL_FEED_MAX     200000
#define CTL_FEED_VALUES  8000000        /* of as many, about */


static int ctl_feed_all(ctl_feed_t *feed, double after, cJSON *list,
    ctl_answer_t *answer);
static void ctl_feed_too_many(ctl_answer_t *answer);
static int ctl_feed_one(ctl_feed_t *feed, const char *name, double after,
    cJSON *list, ctl_answer_t *answer);
static size_t ctl_feed_add(cJSON *list, cJSON *answer);
static cJSON *ctl_feed_sort(cJSON *list);
static int ctl_feed_compare(const void *one, const void *two);


cJSON *
ctl_feed_get(ctl_feed_t *feed, double after, ctl_answer_t *answer)
{
    int     ok;
    cJSON  *list;

    list = cJSON_CreateArray();
    if (list == NULL) {
        ctl_no_memory();
    }

    feed->nevents = 0;
    feed->most = 0;

    ok = feed->name ? ctl_feed_one(feed, feed->name, after, list, answer)
                    : ctl_feed_all(feed, after, list, answer);

    if (!ok) {
        cJSON_Delete(list);
        return NULL;
    }

    return ctl_feed_sort(list);
}


/*
 * An endpoint may be gone since, or have a name that is no UTF-8, and that
 * JSON does not tell.
 */

static int
ctl_feed_all(ctl_feed_t *feed, double after, cJSON *list,
    ctl_answer_t *answer)
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

        ok = ctl_feed_one(feed, name, after, list, answer);

        if (!ok && answer->status != 404) {
            break;
        }

        ok = 1;
        values += answer->values;

        if (values > CTL_FEED_VALUES || feed->nevents > CTL_FEED_MAX) {
            ctl_feed_too_many(answer);
            ok = 0;
            break;
        }
    }

    ctl_answer_free(&endpoints);

    return ok;
}


static void
ctl_feed_too_many(ctl_answer_t *answer)
{
    cJSON_Delete(answer->json);
    answer->json = NULL;

    (void) snprintf(answer->why, sizeof(answer->why), "more events than are "
                    "kept at one time; ask for those of one endpoint");
}


static int
ctl_feed_one(ctl_feed_t *feed, const char *name, double after, cJSON *list,
    ctl_answer_t *answer)
{
    char        *path;
    size_t       n;
    ctl_text_t   rest = { NULL, 0, 0 }, slashed = { NULL, 0, 0 };

    /* a name that begins with a slash keeps it */

    ctl_text_addf(&slashed, "/%s", name);
    ctl_text_addf(&rest, "/events?after=%.0f", after);
    path = ctl_endpoint_path(slashed.data, rest.data);

    ctl_http_request(feed->http, path, NULL, answer);

    free(path);
    ctl_text_free(&rest);
    ctl_text_free(&slashed);

    if (!ctl_answer_ok(answer)) {
        return 0;
    }

    n = ctl_feed_add(list, answer->json);

    feed->nevents += n;
    feed->most = (n > feed->most) ? n : feed->most;

    return 1;
}


/* how many there are */

static size_t
ctl_feed_add(cJSON *list, cJSON *answer)
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
ctl_feed_sort(cJSON *list)
{
    size_t   i, n;
    cJSON  **events, *sorted;

    n = (size_t) cJSON_GetArraySize(list);
    events = ctl_calloc(n, sizeof(cJSON *));

    for (i = 0; i < n; i++) {
        events[i] = cJSON_DetachItemFromArray(list, 0);
    }

    cJSON_Delete(list);

    qsort(events, n, sizeof(cJSON *), ctl_feed_compare);

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
ctl_feed_compare(const void *one, const void *two)
{
    double  a, b;

    a = ctl_json_number(*(cJSON *const *) one, "id", 0);
    b = ctl_json_number(*(cJSON *const *) two, "id", 0);

    return (a > b) - (a < b);
}
