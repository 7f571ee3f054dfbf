
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_COMPAT_H_INCLUDED_
#define _NGX_HTTP_CANARY_COMPAT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* What differs from one nginx to another. */


/* a gRPC request goes to another peer after an early response: freed memory */

#define NGX_HTTP_CANARY_GRPC_RETRY_UNSAFE                                     \
    (nginx_version < 1028002                                                  \
     || (nginx_version >= 1029000 && nginx_version < 1029005))


/* pc->hint and pc->sid, of sticky balancers */

#define NGX_HTTP_CANARY_HAVE_SID                                              \
    (nginx_version >= 1029006 && (NGX_HTTP_UPSTREAM_SID || NGX_COMPAT))


/* "keepalive" of an upstream leaves its balancer alone */

#define NGX_HTTP_CANARY_KEEPALIVE_NO_BALANCER  (nginx_version >= 1029007)


/* servers whose names are resolved at run time */

#define NGX_HTTP_CANARY_HAVE_RESOLVE                                          \
    (nginx_version >= 1027003 && NGX_HTTP_UPSTREAM_ZONE)


#if (NGX_HTTP_CANARY_HAVE_RESOLVE)

/* grows with each change of the servers; 0 if they do not change */

static ngx_inline ngx_uint_t
ngx_http_canary_peers_config(ngx_http_upstream_srv_conf_t *us)
{
    ngx_http_upstream_rr_peers_t  *peers;

    if (us->shm_zone == NULL || !(us->flags & NGX_HTTP_UPSTREAM_MODIFY)) {
        return 0;
    }

    peers = us->peer.data;

    return peers->config ? __atomic_load_n(peers->config, __ATOMIC_RELAXED)
                         : 0;
}

#endif


/* a header of the response with no other of its name */

static ngx_inline void
ngx_http_canary_single_header(ngx_table_elt_t *header)
{
#if (nginx_version >= 1023000)
    header->next = NULL;
#else
    (void) header;
#endif
}


#endif /* _NGX_HTTP_CANARY_COMPAT_H_INCLUDED_ */
