
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_VERTA_H_INCLUDED_
#define _NGX_HTTP_CANARY_VERTA_H_INCLUDED_


#include "ngx_http_canary_api.h"
#include "canary_verta.h"
#include "canary_verta_json.h"
#include "canary_verta_path.h"


/*
 * The API of Verta: endpoints are those of nginx.conf, by a path of "/" and
 * the name.  An endpoint has one stage, of the same id.  Build and model
 * version are both the number of a release, in every endpoint that has one.
 */


typedef struct {
    canary_verta_resource_t       resource;
    canary_verta_path_t           path;
    ngx_http_canary_endpoint_t   *endpoint;  /* of the path, or of the first
                                                that has the build; or NULL */
} ngx_http_canary_verta_target_t;


/* ngx_http_canary_verta_find.c */

/* NGX_DECLINED: there is nothing at the path of the request */
ngx_int_t ngx_http_canary_verta_find(ngx_http_request_t *r,
    ngx_http_canary_verta_target_t *target);

/* NULL: there is no such release */
ngx_http_canary_release_t *ngx_http_canary_verta_release(
    ngx_http_canary_endpoint_t *endpoint, uint64_t build);
ngx_http_canary_endpoint_t *ngx_http_canary_verta_endpoint_of(
    ngx_http_request_t *r, uint64_t build);


/* ngx_http_canary_verta_show.c */

/* GET and HEAD */
ngx_int_t ngx_http_canary_verta_show(ngx_http_request_t *r,
    ngx_http_canary_verta_target_t *target);

ngx_int_t ngx_http_canary_verta_show_stage(ngx_http_request_t *r,
    ngx_http_canary_endpoint_t *endpoint);
ngx_int_t ngx_http_canary_verta_show_build(ngx_http_request_t *r,
    ngx_http_canary_endpoint_t *endpoint, uint64_t build);


/* ngx_http_canary_verta_view.c */

/* An endpoint, and how it came to what it is. */

typedef struct {
    ngx_http_canary_record_t      record;
    ngx_uint_t                    settled;   /* how the last rollout ended is
                                                not told any more */
    uint64_t                      ended;     /* or halted: ms since 1970, */
    uint64_t                      ago;       /* and until now */
    uint64_t                      updated;   /* ms since 1970 */
    ngx_uint_t                    direct;    /* the last update was */
    u_char                        reason[CANARY_REASON_SIZE];
                                             /* of the end or the halt */
} ngx_http_canary_verta_view_t;


void ngx_http_canary_verta_look(ngx_http_canary_endpoint_t *endpoint,
    ngx_http_canary_verta_view_t *view);


/* ngx_http_canary_verta_write.c */

typedef struct {
    ngx_http_canary_write_t       write;        /* the first */
    ngx_http_canary_verta_view_t  view;
    canary_verta_update_t         update;
    ngx_http_canary_release_t    *release;      /* of the update */
    ngx_uint_t                    stop;         /* no update, an end to one */
    ngx_uint_t                    replacing;    /* what was in the way is
                                                   gone */
} ngx_http_canary_verta_write_t;


/* when the body of the request has been read; NGX_DECLINED: the request
   waits, and will be finalized */
ngx_int_t ngx_http_canary_verta_write(ngx_http_request_t *r,
    ngx_http_canary_verta_target_t *target);


/* ngx_http_canary_verta_error.c: {"code", "message"} */

ngx_int_t ngx_http_canary_verta_error(ngx_http_request_t *r,
    ngx_uint_t status, const char *fmt, ...);

/* 400, with what is wrong in the body */
ngx_int_t ngx_http_canary_verta_error_body(ngx_http_request_t *r,
    canary_json_errors_t *errors);

/* 413 */
ngx_int_t ngx_http_canary_verta_too_large(ngx_http_request_t *r);


#endif /* _NGX_HTTP_CANARY_VERTA_H_INCLUDED_ */
