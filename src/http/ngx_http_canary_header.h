
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_HEADER_H_INCLUDED_
#define _NGX_HTTP_CANARY_HEADER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* postconfiguration */
void ngx_http_canary_add_header_filter(void);


#endif /* _NGX_HTTP_CANARY_HEADER_H_INCLUDED_ */
