
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_feed.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"

#include "ngx_http_canary_conf.h"

#include "ngx_http_canary_answer.h"
#include "ngx_http_canary_dialect.h"


/*
 * Answers that are made in turns.
 *
 * All of a worker are in one queue, and each pass of the event loop makes one
 * part of one of them: so however many clients ask, and however fast they
 * read, other requests wait for one part at most.  A client that does not read
 * holds one part, and is dropped after "send_timeout".
 *
 * An answer that is complete with its first part has a Content-Length.
 */


static void ngx_http_canary_feed_cleanup(void *data);
static void ngx_http_canary_feed_queue(ngx_http_canary_feed_t *feed);
static void ngx_http_canary_feeds_handler(ngx_event_t *ev);
static void ngx_http_canary_feed_turn(ngx_http_canary_feed_t *feed);
static ngx_int_t ngx_http_canary_feed_render(ngx_http_canary_feed_t *feed);
static uint64_t ngx_http_canary_cpu_time(void);
static ngx_int_t ngx_http_canary_feed_header(ngx_http_canary_feed_t *feed);
static ngx_int_t ngx_http_canary_feed_send(ngx_http_canary_feed_t *feed);
static ngx_int_t ngx_http_canary_feed_output(ngx_http_canary_feed_t *feed,
    ngx_chain_t *out);
static void ngx_http_canary_feed_writer(ngx_http_request_t *r);
static ngx_int_t ngx_http_canary_feed_wait(ngx_http_request_t *r);
static void ngx_http_canary_feed_finish(ngx_http_canary_feed_t *feed,
    ngx_int_t rc);


/* of this process: those that can go on */

static ngx_queue_t  ngx_http_canary_feeds;
static ngx_event_t  ngx_http_canary_feeds_event;


ngx_http_canary_feed_t *
ngx_http_canary_feed_create(ngx_http_request_t *r, size_t size,
    const ngx_str_t *type, ngx_http_canary_feed_pt next)
{
    ngx_pool_cleanup_t      *cln;
    ngx_http_canary_feed_t  *feed;

    cln = ngx_pool_cleanup_add(r->pool, size);
    if (cln == NULL) {
        return NULL;
    }

    feed = cln->data;

    ngx_memzero(feed, size);

    feed->request = r;
    feed->main = ngx_http_get_module_main_conf(r, ngx_http_canary_module);
    feed->cycle = (ngx_cycle_t *) ngx_cycle;
    feed->type = type;
    feed->next = next;
    feed->buf.temporary = 1;
    feed->out.buf = &feed->buf;

    cln->handler = ngx_http_canary_feed_cleanup;

    ngx_http_set_ctx(r, feed, ngx_http_canary_api_module);

    return feed;
}


static void
ngx_http_canary_feed_cleanup(void *data)
{
    ngx_http_canary_feed_t  *feed = data;

    if (feed->queued) {
        ngx_queue_remove(&feed->queue);
    }

    if (feed->buf.start) {
        ngx_free(feed->buf.start);
    }
}


ngx_int_t
ngx_http_canary_feed_start(ngx_http_canary_feed_t *feed)
{
    ngx_http_request_t  *r;

    r = feed->request;

    r->main->count++;
    r->write_event_handler = ngx_http_canary_feed_writer;

    ngx_http_canary_feed_queue(feed);

    return NGX_DONE;
}


u_char *
ngx_http_canary_feed_room(ngx_http_canary_feed_t *feed, size_t size)
{
    size_t      used, whole;
    u_char     *p;
    ngx_buf_t  *b;

    b = &feed->buf;

    if ((size_t) (b->end - b->last) >= size) {
        return b->last;
    }

    /* one item more than what ends a turn, and for long ones twice as much */

    used = b->last - b->start;
    whole = ngx_max(used + size, (size_t) NGX_HTTP_CANARY_PART) * 5 / 4;

    p = ngx_alloc(whole, feed->request->connection->log);
    if (p == NULL) {
        return NULL;
    }

    if (b->start) {
        ngx_memcpy(p, b->start, used);
        ngx_free(b->start);
    }

    b->start = p;
    b->pos = p;
    b->last = p + used;
    b->end = p + whole;

    return b->last;
}


/* the timer keeps a worker that is to end, until the answer is complete */

static void
ngx_http_canary_feed_queue(ngx_http_canary_feed_t *feed)
{
    ngx_event_t               *ev, *wev;
    ngx_http_core_loc_conf_t  *clcf;

    ev = &ngx_http_canary_feeds_event;

    if (ev->handler == NULL) {
        ngx_queue_init(&ngx_http_canary_feeds);
        ev->handler = ngx_http_canary_feeds_handler;
    }

    ev->log = ngx_cycle->log;

    ngx_queue_insert_tail(&ngx_http_canary_feeds, &feed->queue);
    feed->queued = 1;

    wev = feed->request->connection->write;

    if (!wev->timer_set) {
        clcf = ngx_http_get_module_loc_conf(feed->request->main,
                                            ngx_http_core_module);
        ngx_add_timer(wev, clcf->send_timeout);
    }

    ngx_post_event(ev, &ngx_posted_next_events);
}


static void
ngx_http_canary_feeds_handler(ngx_event_t *ev)
{
    ngx_queue_t             *q;
    ngx_http_canary_feed_t  *feed;

    if (ngx_queue_empty(&ngx_http_canary_feeds)) {
        return;
    }

    q = ngx_queue_head(&ngx_http_canary_feeds);
    feed = ngx_queue_data(q, ngx_http_canary_feed_t, queue);

    ngx_queue_remove(q);
    feed->queued = 0;

    ngx_http_canary_feed_turn(feed);

    if (!ngx_queue_empty(&ngx_http_canary_feeds)) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}


static void
ngx_http_canary_feed_turn(ngx_http_canary_feed_t *feed)
{
    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = feed->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = ngx_http_canary_feed_render(feed);

    if (rc == NGX_OK) {
        rc = ngx_http_canary_feed_send(feed);

    } else if (!feed->begun) {
        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc != NGX_DONE) {
        ngx_http_canary_feed_finish(feed, rc);
    }

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_canary_feed_render(ngx_http_canary_feed_t *feed)
{
    uint64_t    began, cpu;
    ngx_int_t   rc;
    ngx_log_t  *log;
    ngx_uint_t  n;

    log = feed->request->connection->log;

    /* with one process a reload replaces the configuration under it */

    if (feed->cycle != ngx_cycle) {
        return NGX_ERROR;
    }

    feed->pool = ngx_create_pool(1024, log);
    if (feed->pool == NULL) {
        return NGX_ERROR;
    }

    feed->buf.pos = feed->buf.start;
    feed->buf.last = feed->buf.start;

    began = ngx_canary_microseconds();
    cpu = ngx_http_canary_cpu_time();
    n = 0;

    /* the processor's time is asked for only when it can have passed */

    do {
        rc = feed->next(feed);
        n++;

    } while (rc == NGX_OK
             && n < NGX_HTTP_CANARY_ITEMS
             && ngx_buf_size(&feed->buf) < NGX_HTTP_CANARY_PART
             && (ngx_canary_microseconds() - began
                     < NGX_HTTP_CANARY_TURN
                 || ngx_http_canary_cpu_time() - cpu < NGX_HTTP_CANARY_TURN));

    ngx_destroy_pool(feed->pool);

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, log, 0,
                   "canary part: %ui items, %O bytes, %uL us",
                   n, ngx_buf_size(&feed->buf),
                   ngx_http_canary_cpu_time() - cpu);

    feed->ended = (rc == NGX_DONE);

    return (rc == NGX_DONE) ? NGX_OK : rc;
}


/* microseconds, of this thread: on a busy machine a turn is no shorter */

static uint64_t
ngx_http_canary_cpu_time(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


/* NGX_DONE: there is more to come; else what the request ends with */

static ngx_int_t
ngx_http_canary_feed_send(ngx_http_canary_feed_t *feed)
{
    ngx_int_t            rc;
    ngx_buf_t           *b;
    ngx_http_request_t  *r;

    r = feed->request;
    b = &feed->buf;

    if (!feed->begun) {
        feed->begun = 1;

        rc = ngx_http_canary_feed_header(feed);

        if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
            return rc;
        }
    }

    if (feed->ended) {
        b->flush = 0;
        b->last_buf = (r == r->main) ? 1 : 0;
        b->last_in_chain = 1;

        /* nothing was left to say: only that this is the end */

        if (b->last == b->pos) {
            b->temporary = 0;
            b->sync = (r == r->main) ? 0 : 1;
        }

        return ngx_http_output_filter(r, &feed->out);
    }

    if (b->last == b->pos) {
        ngx_http_canary_feed_queue(feed);
        return NGX_DONE;
    }

    /* what filters keep back would never be known to have been sent */

    b->flush = 1;

    return ngx_http_canary_feed_output(feed, &feed->out);
}


static ngx_int_t
ngx_http_canary_feed_header(ngx_http_canary_feed_t *feed)
{
    off_t                length;
    ngx_int_t            rc;
    ngx_str_t            type;
    ngx_http_request_t  *r;

    r = feed->request;
    type = *feed->type;
    length = feed->ended ? ngx_buf_size(&feed->buf) : -1;

    rc = ngx_http_canary_send_header(r, NGX_HTTP_OK, &type, length);

    r->read_event_handler = r->discard_body
                            ? ngx_http_discarded_request_body_handler
                            : ngx_http_test_reading;

    return rc;
}


/* NULL: what is left of the part */

static ngx_int_t
ngx_http_canary_feed_output(ngx_http_canary_feed_t *feed, ngx_chain_t *out)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = feed->request;
    c = r->connection;

    if (ngx_http_output_filter(r, out) == NGX_ERROR || c->error) {
        return NGX_ERROR;
    }

    if (ngx_buf_size(&feed->buf) == 0
        && !r->buffered && !r->postponed
        && !(r == r->main && c->buffered))
    {
        ngx_http_canary_feed_queue(feed);
        return NGX_DONE;
    }

    return ngx_http_canary_feed_wait(r);
}


static void
ngx_http_canary_feed_writer(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_event_t             *wev;
    ngx_connection_t        *c;
    ngx_http_canary_feed_t  *feed;

    c = r->connection;
    wev = c->write;

    feed = ngx_http_get_module_ctx(r, ngx_http_canary_api_module);

    if (feed->queued) {

        /* it is we who are late, not the client */

        wev->timedout = 0;
        rc = ngx_http_canary_feed_wait(r);

    } else if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                      "canary: a client reads its answer too slowly");
        c->timedout = 1;
        rc = NGX_HTTP_REQUEST_TIME_OUT;

    } else if (wev->delayed) {
        rc = ngx_http_canary_feed_wait(r);

    } else {
        rc = ngx_http_canary_feed_output(feed, NULL);
    }

    if (rc != NGX_DONE) {
        ngx_http_canary_feed_finish(feed, rc);
    }
}


/* for the client; with "limit_rate" there is a timer that tells when it is */

static ngx_int_t
ngx_http_canary_feed_wait(ngx_http_request_t *r)
{
    ngx_event_t               *wev;
    ngx_http_core_loc_conf_t  *clcf;

    wev = r->connection->write;
    clcf = ngx_http_get_module_loc_conf(r->main, ngx_http_core_module);

    if (!wev->delayed) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    return (ngx_handle_write_event(wev, clcf->send_lowat) == NGX_OK)
           ? NGX_DONE : NGX_ERROR;
}


static void
ngx_http_canary_feed_finish(ngx_http_canary_feed_t *feed, ngx_int_t rc)
{
    ngx_event_t         *wev;
    ngx_http_request_t  *r;

    r = feed->request;
    wev = r->connection->write;

    if (wev->timer_set && !wev->delayed) {
        ngx_del_timer(wev);
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_http_finalize_request(r, rc);
}
