
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_facts.h"

#include "canary_outcome.h"


/*
 * What nginx knows of an attempt when it ends, and when its header comes; see
 * the core for what it means.
 */


static ngx_uint_t ngx_http_canary_resends(ngx_http_request_t *r);
static ngx_uint_t ngx_http_canary_cut_off(ngx_http_request_t *r);
static ngx_uint_t ngx_http_canary_has_grpc_type(ngx_http_request_t *r);


void
ngx_http_canary_facts(ngx_http_request_t *r, ngx_uint_t state,
    canary_facts_t *facts)
{
    ngx_int_t             grpc_status;
    ngx_connection_t     *c;
    ngx_http_upstream_t  *u;

    u = r->upstream;
    c = u->peer.connection;

    ngx_memzero(facts, sizeof(canary_facts_t));

    facts->failed = (state & (NGX_PEER_FAILED|NGX_PEER_NEXT)) ? 1 : 0;
    facts->header = (u->state->header_time != (ngx_msec_t) -1);
    facts->connected = (c != NULL);
    facts->cached = u->peer.cached;
    facts->resent = facts->cached && ngx_http_canary_resends(r);
    facts->received = (u->state->bytes_received != 0);
    facts->timedout = c && (c->read->timedout || c->write->timedout);
    facts->client_gone = r->connection->error
                         || (u->pipe && u->pipe->downstream_error);
    facts->given_up = r->connection->timedout;
    facts->exiting = ngx_http_canary_cut_off(r);
    facts->grpc_status = -1;

    if (!facts->header) {
        return;
    }

    facts->status = ngx_http_canary_status(r);

    grpc_status = ngx_http_canary_grpc_status(r);

    facts->cancelled = (grpc_status == CANARY_GRPC_CANCELLED);

    /* a gRPC status in the header is all there is: no trailers follow */

    if (ngx_http_canary_has_grpc_type(r) && grpc_status == -1) {
        facts->grpc = 1;
        facts->grpc_status = (int) ngx_http_canary_grpc_code(
                                                   &u->headers_in.trailers);
    }
}


/*
 * A header that nginx's own filters refuse, as slice does that of another
 * version of a file, was not the release's to answer for.  A response in memory
 * has no header that passes them.
 */

void
ngx_http_canary_facts_of_end(ngx_http_request_t *r, ngx_int_t rc,
    canary_facts_t *facts)
{
    facts->rc = (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : 0;
    facts->error = (rc == NGX_ERROR
                    && (r->header_sent || r->subrequest_in_memory));
    facts->torn_down = (rc == NGX_DONE);
    facts->complete = (rc == NGX_OK);
}


/*
 * Whether nginx sends a request again whose kept connection was dead, as
 * ngx_http_upstream_next() is going to decide: the try does not count, all
 * else does.
 */

static ngx_uint_t
ngx_http_canary_resends(ngx_http_request_t *r)
{
    ngx_msec_t            timeout;
    ngx_uint_t            mask;
    ngx_http_upstream_t  *u;

    u = r->upstream;
    mask = NGX_HTTP_UPSTREAM_FT_ERROR;
    timeout = u->conf->next_upstream_timeout;

    if (u->request_sent
        && (r->method & (NGX_HTTP_POST|NGX_HTTP_LOCK|NGX_HTTP_PATCH)))
    {
        mask |= NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT;
    }

    return (u->conf->next_upstream & mask) == mask
           && !(u->request_sent && r->request_body_no_buffering)
           && !(timeout && ngx_current_msec - u->peer.start_time >= timeout);
}


/*
 * Whether this process closes its connections, at a fast shutdown or when
 * worker_shutdown_timeout is over.  A worker that exits gracefully finishes
 * its requests, and they count like all others.
 */

static ngx_uint_t
ngx_http_canary_cut_off(ngx_http_request_t *r)
{
    ngx_connection_t  *c;

    c = r->connection;

#if (NGX_HTTP_V2)
    if (r->stream) {
        c = r->stream->connection->connection;
    }
#endif

    return ngx_terminate || (ngx_exiting && c->close);
}


ngx_int_t
ngx_http_canary_grpc_code(ngx_list_t *headers)
{
    ngx_int_t         status;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    static ngx_str_t  name = ngx_string("grpc-status");

    part = &headers->part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return -1;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == name.len
            && ngx_strncasecmp(h[i].key.data, name.data, name.len) == 0)
        {
            break;
        }
    }

    status = ngx_atoi(h[i].value.data, h[i].value.len);

    /* not a number: a status that nobody can know, UNKNOWN */

    return (status == NGX_ERROR) ? 2 : status;
}


static ngx_uint_t
ngx_http_canary_has_grpc_type(ngx_http_request_t *r)
{
    ngx_table_elt_t  *type;

    type = r->upstream->headers_in.content_type;

    return ngx_http_canary_is_grpc(r)
           && type
           && type->value.len >= sizeof("application/grpc") - 1
           && ngx_strncasecmp(type->value.data, (u_char *) "application/grpc",
                              sizeof("application/grpc") - 1)
              == 0;
}
