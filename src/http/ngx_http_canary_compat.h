
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
