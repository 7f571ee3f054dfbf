
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_failure.h"

#include "canary_text.h"

#include "ngx_canary_shared.h"
#include "ngx_canary_attempt_layout.h"

#include "ngx_http_canary_facts.h"
#include "ngx_http_canary_request.h"


/* What a failed attempt was, in words and numbers of http. */


static ngx_canary_how_e ngx_http_canary_how(ngx_http_canary_peer_t *cp);
static ngx_canary_how_e ngx_http_canary_how_without_header(
    ngx_http_request_t *r);
static ngx_uint_t ngx_http_canary_in_handshake(ngx_connection_t *c);
static void ngx_http_canary_describe_status(
    ngx_canary_failure_t *failure, ngx_http_request_t *r);
static void ngx_http_canary_write_text(u_char *text, size_t size,
    ngx_str_t *value);
static void ngx_http_canary_write_uri(u_char *text, size_t size,
    ngx_str_t *uri);
static void ngx_http_canary_write_request_id(u_char *text, size_t size,
    ngx_http_request_t *r);


void
ngx_http_canary_describe(ngx_canary_attempt_t *attempt,
    uint64_t elapsed, ngx_canary_failure_t *failure)
{
    struct timeval           tv;
    ngx_http_request_t      *r;
    ngx_http_canary_peer_t  *cp;

    cp = (ngx_http_canary_peer_t *)
             ((u_char *) attempt - offsetof(ngx_http_canary_peer_t, attempt));

    r = cp->request;

    ngx_memzero(failure, sizeof(ngx_canary_failure_t));

    ngx_gettimeofday(&tv);

    failure->time = (uint64_t) tv.tv_sec * 1000 + tv.tv_usec / 1000;
    failure->elapsed = elapsed;
    failure->how = ngx_http_canary_how(cp);

    ngx_http_canary_describe_status(failure, r);

    ngx_http_canary_write_text(failure->method, sizeof(failure->method),
                               &r->method_name);
    ngx_http_canary_write_uri(failure->uri, sizeof(failure->uri), &r->uri);
    ngx_http_canary_write_request_id(failure->request_id,
                                     sizeof(failure->request_id), r);

    /* the name may be that of a peer before */

    if (failure->how != NGX_CANARY_NO_LIVE && r->upstream->peer.name) {
        ngx_http_canary_write_text(failure->peer, sizeof(failure->peer),
                                   r->upstream->peer.name);
    }
}


/* more closely than it has to be known to be counted */

static ngx_canary_how_e
ngx_http_canary_how(ngx_http_canary_peer_t *cp)
{
    ngx_http_request_t  *r;

    r = cp->request;

    switch (cp->attempt.how) {

    case NGX_CANARY_CLOSED:
        return ngx_http_canary_how_without_header(r);

    case NGX_CANARY_TIMEOUT:
        if (r->upstream->request_sent) {
            return NGX_CANARY_TIMEOUT;
        }

        return ngx_http_canary_in_handshake(r->upstream->peer.connection)
               ? NGX_CANARY_HANDSHAKE : NGX_CANARY_NO_CONNECTION;

    case NGX_CANARY_CUT:

        /* a response that nginx found to be complete: only gRPC knows more */

        return (cp->finalized && cp->rc == NGX_OK) ? NGX_CANARY_CUT_GRPC
                                                   : NGX_CANARY_CUT;

    default:
        return cp->attempt.how;
    }
}


static ngx_canary_how_e
ngx_http_canary_how_without_header(ngx_http_request_t *r)
{
    ngx_connection_t     *c;
    ngx_http_upstream_t  *u;

    u = r->upstream;
    c = u->peer.connection;

    /* a header that is none: see ngx_http_canary_status() */

    if (u->state->header_time != (ngx_msec_t) -1) {
        return NGX_CANARY_INVALID;
    }

    if (c == NULL) {
        return NGX_CANARY_REFUSED;
    }

    if (!u->request_sent) {
        return ngx_http_canary_in_handshake(c) ? NGX_CANARY_HANDSHAKE
                                               : NGX_CANARY_REFUSED;
    }

    if (u->state->bytes_received && !c->read->eof && !c->read->error) {
        return NGX_CANARY_INVALID;
    }

    return NGX_CANARY_CLOSED;
}


/* of a connection on which no request has been sent */

static ngx_uint_t
ngx_http_canary_in_handshake(ngx_connection_t *c)
{
#if (NGX_SSL || NGX_COMPAT)
    return c && c->ssl;
#else
    return 0;
#endif
}


static void
ngx_http_canary_describe_status(ngx_canary_failure_t *failure,
    ngx_http_request_t *r)
{
    failure->grpc_status = -1;

    switch (failure->how) {

    case NGX_CANARY_ANSWERED:
        failure->status = (uint32_t) ngx_http_canary_status(r);
        failure->grpc_status = (int32_t) ngx_http_canary_grpc_status(r);
        break;

    case NGX_CANARY_CUT_GRPC:
        failure->status = (uint32_t) ngx_http_canary_status(r);
        failure->grpc_status = (int32_t) ngx_http_canary_grpc_code(
                                            &r->upstream->headers_in.trailers);
        break;

    case NGX_CANARY_CUT:
    case NGX_CANARY_CUT_TIMEOUT:
        failure->status = (uint32_t) ngx_http_canary_status(r);
        break;

    default:
        break;
    }
}


static void
ngx_http_canary_write_text(u_char *text, size_t size, ngx_str_t *value)
{
    size_t  len;

    len = canary_utf8_prefix((char *) value->data,
                             ngx_min(value->len, size - 1));

    ngx_memcpy(text, value->data, len);
    text[len] = '\0';
}


/* as it is written in a request line; no character is cut in two */

static void
ngx_http_canary_write_uri(u_char *text, size_t size, ngx_str_t *uri)
{
    size_t   i, n, room;
    u_char  *p, *last;

    p = text;
    last = text + size - 1;

    for (i = 0; i < uri->len; i += n) {
        n = canary_utf8_length((char *) uri->data + i, uri->len - i);
        n = ngx_max(n, 1);

        room = n + 2 * ngx_escape_uri(NULL, uri->data + i, n, NGX_ESCAPE_URI);

        if ((size_t) (last - p) < room) {
            break;
        }

        p = (u_char *) ngx_escape_uri(p, uri->data + i, n, NGX_ESCAPE_URI);
    }

    *p = '\0';
}


/*
 * Only if the configuration uses the variable, so that it can be found in a
 * log or at the peer: else each look at it would make another number.
 */

static void
ngx_http_canary_write_request_id(u_char *text, size_t size,
    ngx_http_request_t *r)
{
    ngx_str_t                   value;
    ngx_uint_t                  key;
    ngx_http_variable_t        *variable;
    ngx_http_variable_value_t  *vv;
    ngx_http_core_main_conf_t  *cmcf;

    static ngx_str_t  name = ngx_string("request_id");

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    key = ngx_hash_key(name.data, name.len);

    variable = ngx_hash_find(&cmcf->variables_hash, key, name.data, name.len);

    if (variable == NULL || !(variable->flags & NGX_HTTP_VAR_INDEXED)) {
        return;
    }

    vv = ngx_http_get_variable(r, &name, key);

    if (vv == NULL || vv->not_found) {
        return;
    }

    value.data = vv->data;
    value.len = vv->len;

    ngx_http_canary_write_text(text, size, &value);
}
