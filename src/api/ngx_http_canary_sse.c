
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_sse.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"

#include "ngx_http_canary_conf.h"

#include "ngx_http_canary_answer.h"
#include "ngx_http_canary_headers.h"
#include "ngx_http_canary_news.h"
#include "ngx_http_canary_refuse.h"


/*
 * Server-sent events.
 *
 * A stream is a request and the id of the last event that it was sent.  One
 * timer of the worker, which runs while there are streams, looks whether the
 * zone has later ones, and makes one text of them, which all streams share
 * that are equally far.  Each has at most one text on its way: who reads
 * slowly gets the next one later, and who does not read at all for
 * "send_timeout" is dropped.
 *
 * A write takes some 8 us, and 500 of them would stop all requests of the
 * worker for 4 ms; a text takes a millisecond.  So a round goes over a few
 * streams, or makes one text, lets the worker do what else there is to do, and
 * goes on.
 *
 * Streams stay, so they are not to take the connections that users need: at
 * most a quarter of all in the worker, and none of the last quarter that is
 * free.
 */


#define NGX_HTTP_CANARY_STREAMS         4      /* have one of so many
                                                  connections */
#define NGX_HTTP_CANARY_STREAM_TICK     100    /* ms */
#define NGX_HTTP_CANARY_STREAM_TURN     16     /* streams without a break */
#define NGX_HTTP_CANARY_HEARTBEAT       15000  /* ms */


typedef struct {
    ngx_queue_t                    queue;
    ngx_http_request_t            *request;
    ngx_canary_main_conf_t        *main;
    uint64_t                       last;    /* event sent, or passed over */
    ngx_msec_t                     sent;    /* time of the last text */
    ngx_uint_t                     busy;    /* that one is on its way */
    ngx_http_canary_events_text_t  *text;   /* it, if it is of events */
    ngx_buf_t                      buf;
    ngx_chain_t                    out;
} ngx_http_canary_stream_t;


static ngx_int_t ngx_http_canary_stream_start(ngx_http_request_t *r,
    uint64_t after);
static ngx_int_t ngx_http_canary_last_event_id(ngx_http_request_t *r,
    uint64_t *after);
static const char *ngx_http_canary_stream_refused(ngx_str_t *seconds);
static ngx_http_canary_stream_t *ngx_http_canary_add_stream(
    ngx_http_request_t *r, uint64_t after);
static void ngx_http_canary_stream_cleanup(void *data);
static void ngx_http_canary_start_streams(void);
static void ngx_http_canary_streams_handler(ngx_event_t *ev);
static void ngx_http_canary_streams_turn(void);
static void ngx_http_canary_stream_turn(ngx_http_canary_stream_t *stream);
static ngx_int_t ngx_http_canary_stream_end(ngx_http_canary_stream_t *stream);
static ngx_int_t ngx_http_canary_stream_feed(ngx_http_canary_stream_t *stream);
static ngx_int_t ngx_http_canary_stream_send(
    ngx_http_canary_stream_t *stream, u_char *data, size_t len);
static ngx_int_t ngx_http_canary_stream_output(
    ngx_http_canary_stream_t *stream, ngx_chain_t *out);
static void ngx_http_canary_stream_writer(ngx_http_request_t *r);


/* of this process */

static ngx_queue_t             ngx_http_canary_streams;
static ngx_queue_t             ngx_http_canary_waiting;  /* in this round */
static ngx_uint_t              ngx_http_canary_nstreams; /* in both */
static ngx_event_t             ngx_http_canary_streams_event;
static ngx_connection_t        ngx_http_canary_streams_dumb;
static ngx_http_canary_news_t  ngx_http_canary_news;     /* of this round */


ngx_int_t
ngx_http_canary_api_stream(ngx_http_request_t *r,
    ngx_http_canary_target_t *target)
{
    uint64_t     after;
    ngx_str_t    seconds;
    const char  *reason;

    if (r != r->main) {
        return ngx_http_canary_refuse(r, NGX_HTTP_BAD_REQUEST, "a stream of "
                                      "events has no end, so it cannot be a "
                                      "part of a page");
    }

    if (ngx_http_canary_last_event_id(r, &after) != NGX_OK) {
        return ngx_http_canary_refuse(r, NGX_HTTP_BAD_REQUEST,
                                      "Last-Event-ID, or the argument "
                                      "\"after\", has to be the number of an "
                                      "event, a whole number");
    }

    reason = ngx_http_canary_stream_refused(&seconds);

    if (reason == NULL) {
        return ngx_http_canary_stream_start(r, after);
    }

    /* whoever is refused is not to keep a connection all the same */

    r->keepalive = 0;

    if (ngx_http_canary_add_header(r, "Retry-After", &seconds) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_canary_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE, "%s",
                                  reason);
}


/* NULL: there may be one more; else it may be tried again after a while */

static const char *
ngx_http_canary_stream_refused(ngx_str_t *seconds)
{
    ngx_uint_t  most;

    if (ngx_exiting || ngx_quit || ngx_terminate) {
        ngx_str_set(seconds, "1");
        return "nginx has been reloaded, and this process ends; try again";
    }

    ngx_str_set(seconds, "15");

    most = ngx_cycle->connection_n / NGX_HTTP_CANARY_STREAMS;

    if (ngx_http_canary_nstreams >= most) {
        return "there are as many streams of events as are possible, one for "
               "each four of \"worker_connections\"";
    }

    if (ngx_cycle->free_connection_n < most) {
        return "less than a quarter of \"worker_connections\" is free, and "
               "that is not for streams of events";
    }

    return NULL;
}


/*
 * A client that connects again sends the header, with the URL it began with.
 * Without either, a stream begins with the next event.
 */

static ngx_int_t
ngx_http_canary_last_event_id(ngx_http_request_t *r, uint64_t *after)
{
    off_t                    n;
    uint64_t                 last;
    ngx_str_t                value;
    ngx_table_elt_t         *header;
    ngx_canary_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_canary_module);

    last = cmcf->zone ? __atomic_load_n(&cmcf->zone->last_event,
                                        __ATOMIC_ACQUIRE)
                      : 0;
    *after = last;

    header = ngx_http_canary_find_header(r, "Last-Event-ID");

    if (header && header->value.len) {
        value = header->value;

    } else if (ngx_http_arg(r, (u_char *) "after", 5, &value) != NGX_OK) {
        return NGX_OK;
    }

    n = ngx_atoof(value.data, value.len);

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    /* above the last one: the state has begun anew, and all of it is news */

    *after = ((uint64_t) n > last) ? 0 : (uint64_t) n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_canary_stream_start(ngx_http_request_t *r, uint64_t after)
{
    ngx_int_t                  rc;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_canary_stream_t  *stream;

    static u_char     hello[] = "retry: 2000\n\n";
    static ngx_str_t  type = ngx_string("text/event-stream");
    static ngx_str_t  no = ngx_string("no");

    /* a proxy that is nginx is not to keep events back */

    if (ngx_http_canary_add_header(r, "X-Accel-Buffering", &no) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_canary_send_header(r, NGX_HTTP_OK, &type, -1);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    stream = ngx_http_canary_add_stream(r, after);
    if (stream == NULL) {
        return NGX_ERROR;
    }

    r->limit_rate = 0;
    r->limit_rate_set = 1;

    r->read_event_handler = r->discard_body
                            ? ngx_http_discarded_request_body_handler
                            : ngx_http_test_reading;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->tcp_nodelay && ngx_tcp_nodelay(r->connection) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_canary_stream_send(stream, hello, sizeof(hello) - 1)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    r->main->count++;

    return NGX_DONE;
}


static ngx_http_canary_stream_t *
ngx_http_canary_add_stream(ngx_http_request_t *r, uint64_t after)
{
    ngx_pool_cleanup_t        *cln;
    ngx_http_canary_stream_t  *stream;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_canary_stream_t));
    if (cln == NULL) {
        return NULL;
    }

    stream = cln->data;

    ngx_memzero(stream, sizeof(ngx_http_canary_stream_t));

    stream->request = r;
    stream->main = ngx_http_get_module_main_conf(r, ngx_http_canary_module);
    stream->last = after;

    ngx_http_canary_start_streams();

    ngx_queue_insert_tail(&ngx_http_canary_streams, &stream->queue);
    ngx_http_canary_nstreams++;

    cln->handler = ngx_http_canary_stream_cleanup;

    ngx_http_set_ctx(r, stream, ngx_http_canary_api_module);

    return stream;
}


static void
ngx_http_canary_stream_cleanup(void *data)
{
    ngx_http_canary_stream_t  *stream = data;

    ngx_queue_remove(&stream->queue);
    ngx_http_canary_nstreams--;

    ngx_http_canary_leave_text(&stream->text);
}


static void
ngx_http_canary_start_streams(void)
{
    ngx_event_t  *ev;

    ev = &ngx_http_canary_streams_event;

    if (ev->timer_set) {
        return;
    }

    if (ngx_http_canary_nstreams == 0) {
        ngx_queue_init(&ngx_http_canary_streams);
        ngx_queue_init(&ngx_http_canary_waiting);
    }

    /* the event's log line looks for a descriptor */

    ngx_http_canary_streams_dumb.fd = (ngx_socket_t) -1;

    ev->handler = ngx_http_canary_streams_handler;
    ev->data = &ngx_http_canary_streams_dumb;
    ev->log = ngx_cycle->log;

    /*
     * Not cancelable: a worker that is to end lives until the next tick, and
     * that ends all streams.  They are not ended by nginx itself.
     */

    ngx_add_timer(ev, NGX_HTTP_CANARY_STREAM_TICK);
}


/*
 * Runs by its timer, and in the next turn of the event loop if a round is not
 * over.  The timer stays then, too: without one a worker that is to end would
 * not wait for the rest of the round.
 */

static void
ngx_http_canary_streams_handler(ngx_event_t *ev)
{
    ev->log = ngx_cycle->log;

    if (!ev->timer_set) {
        ngx_add_timer(ev, NGX_HTTP_CANARY_STREAM_TICK);
    }

    if (ev->timedout) {
        ev->timedout = 0;

        /* a round that takes longer goes on as it would have */

        if (ev->posted) {
            return;
        }

        if (!ngx_queue_empty(&ngx_http_canary_streams)) {
            ngx_queue_add(&ngx_http_canary_waiting, &ngx_http_canary_streams);
            ngx_queue_init(&ngx_http_canary_streams);
        }
    }

    ngx_http_canary_streams_turn();

    if (!ngx_queue_empty(&ngx_http_canary_waiting)) {
        ngx_post_event(ev, &ngx_posted_next_events);
        return;
    }

    ngx_http_canary_leave_text(&ngx_http_canary_news.text);

    if (ngx_http_canary_nstreams == 0) {
        ngx_del_timer(ev);
    }
}


/* any stream may go while another one has its turn */

static void
ngx_http_canary_streams_turn(void)
{
    ngx_uint_t    n, texts;
    ngx_queue_t  *q;

    texts = ngx_http_canary_news.made;

    for (n = 0; n < NGX_HTTP_CANARY_STREAM_TURN; n++) {

        if (ngx_http_canary_news.made != texts
            || ngx_queue_empty(&ngx_http_canary_waiting))
        {
            return;
        }

        q = ngx_queue_head(&ngx_http_canary_waiting);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&ngx_http_canary_streams, q);

        ngx_http_canary_stream_turn(
                       ngx_queue_data(q, ngx_http_canary_stream_t, queue));
    }
}


static void
ngx_http_canary_stream_turn(ngx_http_canary_stream_t *stream)
{
    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = stream->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    /* with one process a reload replaces the configuration under it */

    if (ngx_exiting || ngx_quit || ngx_terminate
        || stream->main != ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                                     ngx_http_canary_module))
    {
        rc = ngx_http_canary_stream_end(stream);

    } else {
        rc = ngx_http_canary_stream_feed(stream);

        if (rc == NGX_OK) {
            return;
        }
    }

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


/* in the middle of a text only the connection can end it */

static ngx_int_t
ngx_http_canary_stream_end(ngx_http_canary_stream_t *stream)
{
    if (stream->busy) {
        return NGX_ERROR;
    }

    stream->request->keepalive = 0;

    return ngx_http_send_special(stream->request, NGX_HTTP_LAST);
}


static ngx_int_t
ngx_http_canary_stream_feed(ngx_http_canary_stream_t *stream)
{
    ngx_http_canary_news_t         *news;
    ngx_http_canary_events_text_t  *text;

    static u_char  heartbeat[] = ":\n\n";

    news = &ngx_http_canary_news;

    if (stream->busy) {
        return NGX_OK;
    }

    if (stream->main->zone
        && __atomic_load_n(&stream->main->zone->last_event, __ATOMIC_ACQUIRE)
           > stream->last)
    {
        if (ngx_http_canary_make_news(news, stream->main, stream->last)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        stream->last = news->upto;
        text = news->text;

        if (text->len) {
            text->users++;
            stream->text = text;

            return ngx_http_canary_stream_send(stream, text->data, text->len);
        }
    }

    if (ngx_current_msec - stream->sent >= NGX_HTTP_CANARY_HEARTBEAT) {
        return ngx_http_canary_stream_send(stream, heartbeat,
                                           sizeof(heartbeat) - 1);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_canary_stream_send(ngx_http_canary_stream_t *stream, u_char *data,
    size_t len)
{
    ngx_buf_t  *b;

    b = &stream->buf;

    ngx_memzero(b, sizeof(ngx_buf_t));

    b->pos = data;
    b->last = data + len;
    b->memory = 1;
    b->flush = 1;

    stream->out.buf = b;
    stream->out.next = NULL;
    stream->sent = ngx_current_msec;
    stream->busy = 1;

    return ngx_http_canary_stream_output(stream, &stream->out);
}


/* NULL: what is left */

static ngx_int_t
ngx_http_canary_stream_output(ngx_http_canary_stream_t *stream,
    ngx_chain_t *out)
{
    ngx_event_t               *wev;
    ngx_connection_t          *c;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = stream->request;
    c = r->connection;
    wev = c->write;

    if (ngx_http_output_filter(r, out) == NGX_ERROR || c->error) {
        return NGX_ERROR;
    }

    if (r->buffered || r->postponed || (r == r->main && c->buffered)) {
        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        r->write_event_handler = ngx_http_canary_stream_writer;

        ngx_add_timer(wev, clcf->send_timeout);

        return ngx_handle_write_event(wev, clcf->send_lowat);
    }

    if (wev->timer_set) {
        ngx_del_timer(wev);
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_http_canary_leave_text(&stream->text);
    stream->busy = 0;

    return NGX_OK;
}


static void
ngx_http_canary_stream_writer(ngx_http_request_t *r)
{
    ngx_connection_t          *c;
    ngx_http_canary_stream_t  *stream;

    c = r->connection;

    if (c->write->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                      "canary: a client reads its events too slowly");
        c->timedout = 1;

        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    stream = ngx_http_get_module_ctx(r, ngx_http_canary_api_module);

    if (ngx_http_canary_stream_output(stream, NULL) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_ERROR);
    }
}
