
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_COMPAT_H_INCLUDED_
#define _NGX_HTTP_CANARY_COMPAT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* What differs from one nginx to another. */


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
