
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_write.h"

#include "ngx_canary_judge.h"
#include "ngx_canary_pending.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_snapshot.h"
#include "ngx_canary_turn.h"
#include "ngx_canary_writer_lock.h"
#include "ngx_canary_zone.h"

#include "ngx_http_canary_access.h"
#include "ngx_http_canary_answer.h"
#include "ngx_http_canary_refuse.h"
#include "ngx_http_canary_wait.h"


/* The way of all writes: body, change, turn, and answer when it is durable. */


#define NGX_HTTP_CANARY_RACES  3     /* lost, and it is tried again */


static void ngx_http_canary_write_cleanup(void *data);
static ngx_int_t ngx_http_canary_write_attempt(ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_write_result(ngx_http_canary_write_t *w,
    ngx_canary_section_e rc);
static ngx_int_t ngx_http_canary_write_unable(ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_write_over(ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_write_fate(ngx_http_canary_write_t *w);
static ngx_canary_fate_e ngx_http_canary_fate(ngx_http_canary_write_t *w,
    ngx_uint_t *superseded);
static ngx_canary_fate_e ngx_http_canary_late(ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_write_fleet(ngx_http_canary_write_t *w,
    ngx_canary_fate_e fate);
static ngx_uint_t ngx_http_canary_write_match(void *data,
    const canary_rollout_t *rollout);
static ngx_uint_t ngx_http_canary_listed(ngx_str_t *list, ngx_str_t *tag);
static u_char *ngx_http_canary_tag_end(u_char *p, u_char *last);


void
ngx_http_canary_write_handler(ngx_http_request_t *r, ngx_str_t *text)
{
    ngx_int_t                         rc;
    ngx_pool_cleanup_t               *cln;
    ngx_http_canary_write_t          *w;
    ngx_http_canary_target_t          target;
    const ngx_http_canary_dialect_t  *dialect;

    dialect = ngx_http_canary_location(r)->dialect;

    cln = ngx_pool_cleanup_add(r->pool, dialect->size);
    if (cln == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    w = cln->data;

    ngx_memzero(w, dialect->size);

    cln->handler = ngx_http_canary_write_cleanup;

    /* found before, so found again: nothing of it can have changed */

    (void) dialect->find(r, &target);

    w->request = r;
    w->endpoint = target.endpoint;
    w->dialect = dialect;
    w->text = *text;
    w->status = NGX_HTTP_OK;
    w->over = ngx_http_canary_write_over;
    w->deadline = ngx_canary_milliseconds() + NGX_CANARY_PATIENCE;

    rc = dialect->write(w, &target);

    if (rc == NGX_DECLINED) {
        ngx_http_canary_find_actor(r, &w->change.actor);

        w->change.match = ngx_http_canary_write_match;
        w->change.data = w;

        rc = ngx_http_canary_write_attempt(w);
    }

    if (rc != NGX_DECLINED) {
        ngx_http_finalize_request(r, rc);
        return;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_http_canary_wait(w);
}


/* the body lives as long as the request, which may end early */

static void
ngx_http_canary_write_cleanup(void *data)
{
    ngx_http_canary_write_t  *w = data;

    ngx_http_canary_wait_leave(w);

    cJSON_Delete(w->body);
}


ngx_int_t
ngx_http_canary_write_parse(ngx_http_canary_write_t *w)
{
    w->body = canary_json_parse((char *) w->text.data, w->text.len,
                                &w->errors);

    return w->body ? NGX_OK : NGX_ERROR;
}


/*
 * What was prepared is stale if the endpoint has changed since, which it does
 * no more than twice for each write of the file, as what exposes something
 * has to be in there first.  So this ends.
 */

static ngx_int_t
ngx_http_canary_write_attempt(ngx_http_canary_write_t *w)
{
    ngx_int_t             rc;
    ngx_canary_section_e  section;

    do {
        rc = w->dialect->prepare(w);

        if (rc != NGX_DECLINED) {
            return rc;
        }

        section = ngx_canary_change(w->endpoint, &w->change);

        /* when the file is ours it is known what is in it */

        if (section == NGX_CANARY_NO_FILE
            && !ngx_canary_foreign(w->endpoint->main))
        {
            section = NGX_CANARY_BUSY;
        }

        w->wait = NGX_HTTP_CANARY_WAIT_NONE;

        rc = ngx_http_canary_write_result(w, section);

    } while (rc == NGX_DECLINED && w->wait == NGX_HTTP_CANARY_WAIT_NONE);

    return rc;
}


static ngx_int_t
ngx_http_canary_write_result(ngx_http_canary_write_t *w,
    ngx_canary_section_e rc)
{
    u_char               text[NGX_CANARY_PROBLEM];
    ngx_http_request_t  *r;

    r = w->request;

    switch (rc) {

    case NGX_CANARY_PENDING:
        w->wait = NGX_HTTP_CANARY_WAIT_FATE;
        return NGX_DECLINED;

    case NGX_CANARY_BUSY:
        w->wait = NGX_HTTP_CANARY_WAIT_TURN;
        return NGX_DECLINED;

    case NGX_CANARY_STALE_MATCH:
        return w->refused ? w->dialect->outcome(w, rc) : NGX_DECLINED;

    case NGX_CANARY_DONE:
    case NGX_CANARY_STOPPED:
        return w->dialect->outcome(w, rc);

    case NGX_CANARY_CROWDED:
        return ngx_http_canary_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                      "%s: %d writes of endpoint \"%V\" wait "
                                      "already, which is as many as may; try "
                                      "again", w->dialect->unchanged,
                                      NGX_CANARY_WRITES, &w->endpoint->name);

    case NGX_CANARY_NO_FILE:
        return ngx_http_canary_write_unable(w);

    case NGX_CANARY_NO_FLEET:
        return ngx_http_canary_write_fleet(w, NGX_CANARY_UNREACHED);

    case NGX_CANARY_NO_MEMORY:
        ngx_canary_zone_full(w->endpoint->main, text, sizeof(text));

        return ngx_http_canary_refuse(r, w->dialect->unable, "%s", text);

    default: /* NGX_CANARY_SUPERSEDED */

        /* another connection will find another worker */

        r->keepalive = 0;

        return ngx_http_canary_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                      "nginx has been reloaded, and this "
                                      "process serves its last requests; try "
                                      "again");
    }
}


static ngx_int_t
ngx_http_canary_write_unable(ngx_http_canary_write_t *w)
{
    u_char                            problem[NGX_CANARY_PROBLEM];
    const ngx_http_canary_dialect_t  *dialect;

    dialect = w->dialect;

    ngx_canary_copy_problem(w->endpoint->main, problem);

    if (problem[0]) {
        return ngx_http_canary_refuse(w->request, dialect->unable, "%s: %s",
                                      dialect->unchanged, problem);
    }

    if (ngx_canary_milliseconds() < w->deadline) {
        return ngx_http_canary_refuse(w->request, dialect->unable,
                                      "%s: the state file was not written; "
                                      "try again", dialect->unchanged);
    }

    return ngx_http_canary_refuse(w->request, dialect->unable,
                                  "%s: the state file was not written within "
                                  "%d seconds", dialect->unchanged,
                                  NGX_CANARY_PATIENCE / 1000);
}


static ngx_int_t
ngx_http_canary_write_over(ngx_http_canary_write_t *w)
{
    uint64_t  now;

    now = ngx_canary_milliseconds();

    switch (w->wait) {

    case NGX_HTTP_CANARY_WAIT_TURN:

        if (ngx_http_canary_too_late(w, now)) {
            return ngx_http_canary_write_unable(w);
        }

        /* nothing is prepared before */

        return ngx_canary_is_turn(w->endpoint, &w->change)
               ? ngx_http_canary_write_attempt(w) : NGX_DECLINED;

    case NGX_HTTP_CANARY_WAIT_FATE:
        return ngx_http_canary_write_fate(w);

    default: /* NGX_HTTP_CANARY_WAIT_DURABLE */

        if (!ngx_http_canary_wait_due(w, now)) {
            return NGX_DECLINED;
        }

        return ngx_http_canary_write_answer(w, ngx_http_canary_will_last(w));
    }
}


static ngx_int_t
ngx_http_canary_write_fate(ngx_http_canary_write_t *w)
{
    ngx_uint_t         superseded;
    ngx_canary_fate_e  fate;

    fate = ngx_http_canary_fate(w, &superseded);

    switch (fate) {

    case NGX_CANARY_IS_PENDING:
        return superseded
               ? ngx_http_canary_write_result(w, NGX_CANARY_SUPERSEDED)
               : NGX_DECLINED;

    case NGX_CANARY_APPLIED:
    case NGX_CANARY_OVERTAKEN:

        if (w->endpoint->main->zone->fleet) {
            w->wait = NGX_HTTP_CANARY_WAIT_DURABLE;
            return NGX_DECLINED;
        }

        return ngx_http_canary_write_answer(w, 1);

    case NGX_CANARY_OUTRUN:

        if (w->lost++ < NGX_HTTP_CANARY_RACES) {
            return ngx_http_canary_write_attempt(w);
        }

        return ngx_http_canary_refuse(w->request, NGX_HTTP_CONFLICT,
                                      "%s: changes of other nodes of the "
                                      "fleet came first, %d times",
                                      w->dialect->unchanged,
                                      NGX_HTTP_CANARY_RACES + 1);

    case NGX_CANARY_WAITS:
    case NGX_CANARY_UNREACHED:
    case NGX_CANARY_UNKNOWN:
        return ngx_http_canary_write_fleet(w, fate);

    case NGX_CANARY_CANCELLED:
        return w->dialect->outcome(w, NGX_CANARY_STOPPED);

    case NGX_CANARY_NOT_WRITTEN:
        return ngx_http_canary_write_unable(w);

    default: /* NGX_CANARY_FORGOTTEN */
        return ngx_http_canary_refuse(w->request, w->dialect->unable,
                                      "so many writes have ended since that "
                                      "it is not known any more whether this "
                                      "one was done; see %s of \"%V\"",
                                      w->dialect->shown, &w->endpoint->name);
    }
}


static ngx_canary_fate_e
ngx_http_canary_fate(ngx_http_canary_write_t *w, ngx_uint_t *superseded)
{
    ngx_canary_fate_e   fate;
    ngx_canary_zone_t  *zone;

    zone = w->endpoint->main->zone;

    ngx_canary_lock(zone);

    *superseded = zone->superseded;
    fate = ngx_canary_fate(w->endpoint->shared, w->change.sequence);

    if (fate == NGX_CANARY_IS_PENDING && !*superseded) {
        fate = ngx_http_canary_late(w);
    }

    ngx_canary_unlock(zone);

    return fate;
}


/*
 * Of what is pending: it is none to wait for any longer when it is too late,
 * but what the fleet has is done.  Under the lock.
 */

static ngx_canary_fate_e
ngx_http_canary_late(ngx_http_canary_write_t *w)
{
    uint64_t              now;
    ngx_canary_shared_t  *shared;

    shared = w->endpoint->shared;
    now = ngx_canary_milliseconds();

    if (!ngx_http_canary_too_late(w, now)) {
        return NGX_CANARY_IS_PENDING;
    }

    if (shared->zone->fleet && ngx_canary_pending_ready(shared)) {
        return NGX_CANARY_OVERTAKEN;
    }

    ngx_canary_conclude(shared, shared->pending.asked ? NGX_CANARY_UNKNOWN
                                                      : NGX_CANARY_NOT_WRITTEN,
                        now, w->request->connection->log);

    return ngx_canary_fate(shared, w->change.sequence);
}


static ngx_int_t
ngx_http_canary_write_fleet(ngx_http_canary_write_t *w, ngx_canary_fate_e fate)
{
    u_char              reason[CANARY_REASON_SIZE];
    ngx_canary_zone_t  *zone;

    zone = w->endpoint->main->zone;

    if (fate == NGX_CANARY_UNKNOWN) {
        return ngx_http_canary_refuse_fleet(w->request,
                                            NGX_HTTP_CANARY_NOT_KNOWN,
                                            "the fleet cannot be reached: "
                                            "it is not known whether this was "
                                            "done; see %s of \"%V\"",
                                            w->dialect->shown,
                                            &w->endpoint->name);
    }

    reason[0] = '\0';

    if (fate == NGX_CANARY_WAITS) {
        ngx_canary_lock(zone);

        if (zone->fleet) {
            ngx_memcpy(reason, zone->fleet->reason, CANARY_REASON_SIZE);
        }

        ngx_canary_unlock(zone);
    }

    return ngx_http_canary_refuse_fleet(w->request, NGX_HTTP_CANARY_UNCHANGED,
                                        "%s: %s", w->dialect->unchanged,
                                        reason[0] ? (char *) reason
                                            : "the fleet cannot be reached");
}


ngx_int_t
ngx_http_canary_write_answer(ngx_http_canary_write_t *w, ngx_uint_t durable)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = w->request;

    rc = w->dialect->answer(w, durable);

    /* it is done: 500 would say that it is not */

    if (rc == NGX_HTTP_INTERNAL_SERVER_ERROR && !r->header_sent) {
        return ngx_http_canary_answer_empty(r, w->status);
    }

    return rc;
}


/* by the section of the change: neither allocates nor locks */

static ngx_uint_t
ngx_http_canary_write_match(void *data, const canary_rollout_t *rollout)
{
    ngx_http_canary_write_t *w = data;

    u_char     buf[NGX_HTTP_CANARY_ETAG];
    ngx_str_t  tag;

    w->present = rollout->generation;
    w->present_uid = rollout->uid;

    if (w->if_match) {
        tag.data = buf;
        tag.len = ngx_http_canary_etag(buf, rollout->generation, rollout->uid)
                  - buf;

        if (!ngx_http_canary_listed(w->if_match, &tag)) {
            w->refused = 1;
            return 0;
        }
    }

    return !w->pinned || rollout->generation == w->expected;
}


/*
 * "*", or a list of entity tags (RFC 9110, 8.8.3 and 13.1.1).  A weak tag is
 * as good as a strong one: gzip makes one of the other.  What is no tag ends
 * the list.
 */

static ngx_uint_t
ngx_http_canary_listed(ngx_str_t *list, ngx_str_t *tag)
{
    u_char  *p, *end, *last;

    p = list->data;
    last = p + list->len;

    if (list->len == 1 && *p == '*') {
        return 1;
    }

    while (p < last) {

        if (*p == ' ' || *p == '\t' || *p == ',') {
            p++;
            continue;
        }

        if (last - p > 2 && p[0] == 'W' && p[1] == '/') {
            p += 2;
        }

        end = ngx_http_canary_tag_end(p, last);
        if (end == NULL) {
            return 0;
        }

        if ((size_t) (end - p) == tag->len
            && ngx_memcmp(p, tag->data, tag->len) == 0)
        {
            return 1;
        }

        p = end;
    }

    return 0;
}


/* what follows the tag at p, NULL if there is none */

static u_char *
ngx_http_canary_tag_end(u_char *p, u_char *last)
{
    if (*p != '"') {
        return NULL;
    }

    p = ngx_strlchr(p + 1, last, '"');

    return p ? p + 1 : NULL;
}
