
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_VERTA_WRITE_H_INCLUDED_
#define _NGX_HTTP_CANARY_VERTA_WRITE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "canary_verta.h"

#include "ngx_canary_endpoint.h"

#include "ngx_http_canary_api_write.h"
#include "ngx_http_canary_verta.h"
#include "ngx_http_canary_verta_view.h"


typedef struct {
    ngx_http_canary_write_t       write;        /* the first */
    ngx_http_canary_verta_view_t  view;
    canary_verta_update_t         update;
    ngx_canary_release_t         *release;      /* of the update */
    ngx_uint_t                    stop;         /* no update, an end to one */
    ngx_uint_t                    replacing;    /* what was in the way is
                                                   gone */
} ngx_http_canary_verta_write_t;


/* when the body of the request has been read; NGX_DECLINED: the request
   waits, and will be finalized */
ngx_int_t ngx_http_canary_verta_write(ngx_http_request_t *r,
    ngx_http_canary_verta_target_t *target);


#endif /* _NGX_HTTP_CANARY_VERTA_WRITE_H_INCLUDED_ */
