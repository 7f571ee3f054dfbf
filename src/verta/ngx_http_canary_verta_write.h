
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

#include "ngx_http_canary_verta_view.h"
#include "ngx_http_canary_write.h"


typedef struct {
    ngx_http_canary_write_t       write;        /* the first */
    ngx_http_canary_verta_view_t  view;
    canary_verta_update_t         update;
    canary_verta_step_t           step;         /* the next one to it */
    ngx_canary_release_t         *release;      /* of the update */
    ngx_uint_t                    stop;         /* no update, an end to one */
    ngx_uint_t                    replacing;    /* what was in the way is
                                                   gone */
} ngx_http_canary_verta_write_t;


/* as ngx_http_canary_dialect_t has them */

ngx_int_t ngx_http_canary_verta_write(ngx_http_canary_write_t *w,
    ngx_http_canary_target_t *target);
ngx_int_t ngx_http_canary_verta_prepare(ngx_http_canary_write_t *w);
ngx_int_t ngx_http_canary_verta_outcome(ngx_http_canary_write_t *w,
    ngx_canary_section_e rc);
ngx_int_t ngx_http_canary_verta_answer(ngx_http_canary_write_t *w,
    ngx_uint_t durable);


#endif /* _NGX_HTTP_CANARY_VERTA_WRITE_H_INCLUDED_ */
