
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_API_REQUEST_H_INCLUDED_
#define _NGX_HTTP_CANARY_API_REQUEST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_api_write.h"


/* takes the members of a body; NGX_ERROR: it is no object */
ngx_int_t ngx_http_canary_read_write(ngx_http_canary_write_t *w,
    const cJSON *body);

/* makes them a command on what there is now; may add errors */
void ngx_http_canary_prepare_write(ngx_http_canary_write_t *w);


#endif /* _NGX_HTTP_CANARY_API_REQUEST_H_INCLUDED_ */
