
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_header.h"

#include "ngx_canary_attempt.h"
#include "ngx_canary_attempt_layout.h"

#include "ngx_http_canary_facts.h"
#include "ngx_http_canary_request.h"
#include "ngx_http_canary_upstream.h"


/* The response header of an attempt, counted as it passes. */


static ngx_int_t ngx_http_canary_header_filter(ngx_http_request_t *r);
static ngx_inline void ngx_http_canary_count_header(ngx_http_request_t *r,
    ngx_http_upstream_t *u);
static void ngx_http_canary_count_grpc_header(ngx_http_request_t *r,
    ngx_canary_attempt_t *attempt, uint64_t elapsed);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


void
ngx_http_canary_add_header_filter(void)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_canary_header_filter;
}


static ngx_int_t
ngx_http_canary_header_filter(ngx_http_request_t *r)
{
    if (r->upstream && r->upstream->peer.get == ngx_http_canary_get_peer) {
        ngx_http_canary_count_header(r, r->upstream);
    }

    return ngx_http_next_header_filter(r);
}


/* a header goes to the client: its attempt is counted now, not at its end */

static ngx_inline void
ngx_http_canary_count_header(ngx_http_request_t *r, ngx_http_upstream_t *u)
{
    uint64_t                 elapsed;
    ngx_http_canary_peer_t  *cp;

    cp = u->peer.data;

    if (cp->attempt.state != NGX_CANARY_OPEN || u->state == NULL
        || u->state->header_time == (ngx_msec_t) -1)
    {
        return;
    }

    elapsed = ngx_canary_attempt_elapsed(&cp->attempt);

    if (ngx_http_canary_is_grpc(r)) {
        ngx_http_canary_count_grpc_header(r, &cp->attempt, elapsed);
        return;
    }

    /* tunnel_pass has tunnels that begin with 200 */

    if (ngx_canary_rarely(u->upgrade)) {
        cp->attempt.special |= NGX_CANARY_UPGRADED;
    }

    ngx_canary_attempt_header(&cp->attempt, ngx_http_canary_status(r),
                              -1, 0, elapsed);
}


static ngx_canary_noinline void
ngx_http_canary_count_grpc_header(ngx_http_request_t *r,
    ngx_canary_attempt_t *attempt, uint64_t elapsed)
{
    ngx_canary_attempt_any_header(attempt, ngx_http_canary_status(r),
                                  ngx_http_canary_grpc_status(r), 1,
                                  elapsed);
}
