
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_REQUEST_H_INCLUDED_
#define _NGX_HTTP_CANARY_REQUEST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_canary_endpoint.h"
#include "ngx_canary_attempt_layout.h"

#include "ngx_http_canary_compat.h"


/* What becomes of a request: a choice, and attempts on releases. */


/* The choice of a release: made once per main request and endpoint. */

typedef struct ngx_http_canary_choice_s  ngx_http_canary_choice_t;

struct ngx_http_canary_choice_s {
    ngx_http_canary_choice_t           *next;
    uint64_t                            word;          /* routing word that it
                                                          was made by */
    ngx_canary_endpoint_t              *endpoint;
    ngx_canary_release_t               *release;       /* of the last attempt,
                                                          or chosen for it */
    uint8_t                             reason;        /* of the enums above */
    uint8_t                             role;
    uint8_t                             in_cache_key:1;    /* was looked at
                                                          for a cache key */
    uint8_t                             asked:1;       /* and that is all: no
                                                          request has come to
                                                          the endpoint */
    uint8_t                             moved;         /* to another release
                                                          since it was made, */
    uint32_t                            key;           /* hash of what it was
                                                          made by, if it was */
    ngx_canary_release_t               *first;         /* it was moved from */
};


/* The balancer of a request to an endpoint; see ngx_http_canary_upstream.c. */

typedef struct {
    ngx_canary_attempt_t                attempt;
    ngx_http_canary_choice_t           *choice;

    /* the balancer of the release, in nginx's order: copied in wide words */

    ngx_event_get_peer_pt               get;
    ngx_event_free_peer_pt              free;
    ngx_event_notify_peer_pt            notify;
    void                               *data;
#if (NGX_SSL || NGX_COMPAT)
    ngx_event_set_peer_session_pt       set_session;
    ngx_event_save_peer_session_pt      save_session;
#endif
    ngx_uint_t                          tries;
#if (NGX_HTTP_CANARY_HAVE_RESOLVE)
    ngx_uint_t                          config;        /* of its servers, when
                                                          it was made */
#endif

    ngx_list_part_t                    *headers;       /* where the response's
                                                          headers ended */
    ngx_uint_t                          nheaders;      /* when it began */
    void                              (*finalize_request)(
                                                     ngx_http_request_t *r,
                                                     ngx_int_t rc);
    ngx_int_t                           rc;

    ngx_http_request_t                 *request;
    uint32_t                            used;          /* attempts made */
    uint16_t                            finalized;
    uint8_t                             failed;        /* the last attempt,
                                                          and it counts */
    uint8_t                             switched;
} ngx_http_canary_peer_t;


/*
 * What belongs to a main request, with the first choice and the first
 * balancer in it: all that most requests need.
 */

typedef struct ngx_http_canary_ctx_s  ngx_http_canary_ctx_t;

struct ngx_http_canary_ctx_s {
    ngx_http_canary_ctx_t              *spare;         /* next of those that
                                                          are not in use */
    ngx_pool_cleanup_t                  cleanup;       /* to be found by */
    ngx_http_canary_choice_t           *last;          /* choice used last;
                                                          NULL: none yet */
    ngx_http_canary_choice_t            choice;        /* head of the list */
    ngx_http_canary_peer_t              peer;          /* used if it has a
                                                          request */
};


static ngx_inline ngx_uint_t
ngx_http_canary_is_canary(ngx_http_canary_peer_t *cp)
{
    return cp->attempt.role == NGX_CANARY_CANARY;
}


#endif /* _NGX_HTTP_CANARY_REQUEST_H_INCLUDED_ */
