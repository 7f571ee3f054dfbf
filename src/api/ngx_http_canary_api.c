
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_api.h"

#include "ngx_http_canary_access.h"
#include "ngx_http_canary_answer.h"
#include "ngx_http_canary_api_body.h"
#include "ngx_http_canary_api_origin.h"
#include "ngx_http_canary_api_path.h"
#include "ngx_http_canary_api_write.h"
#include "ngx_http_canary_conf_location.h"
#include "ngx_http_canary_problem.h"


static ngx_int_t ngx_http_canary_api_may_write(ngx_http_request_t *r);
static ngx_int_t ngx_http_canary_api_not_allowed(ngx_http_request_t *r,
    ngx_http_canary_api_target_t *target);
static void ngx_http_canary_api_body_handler(ngx_http_request_t *r);


/* the content handler of a location with "canary_api" */

ngx_int_t
ngx_http_canary_api_handler(ngx_http_request_t *r)
{
    ngx_int_t                     rc, found;
    ngx_uint_t                    write;
    ngx_http_canary_api_target_t  target;

    write = !(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD));
    found = ngx_http_canary_api_find(r, &target);

    if (write || found != NGX_OK || !target.resource->open) {
        rc = ngx_http_canary_check_token(r, write);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    if (write) {
        rc = ngx_http_canary_api_may_write(r);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    if (found != NGX_OK) {
        return ngx_http_canary_problem(r, NGX_HTTP_NOT_FOUND,
                                       "there is no endpoint and nothing "
                                       "else at \"%V\"", &r->uri);
    }

    if (!(r->method & target.resource->methods)) {
        return ngx_http_canary_api_not_allowed(r, &target);
    }

    if (write) {
        return ngx_http_canary_api_read(r, ngx_http_canary_api_body_handler,
                                        ngx_http_canary_problem_too_large);
    }

    return target.resource->read(r, target.endpoint);
}


/* NGX_DECLINED: nothing speaks against it */

static ngx_int_t
ngx_http_canary_api_may_write(ngx_http_request_t *r)
{
    ngx_http_canary_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_canary_api_module);

    if (!clcf->write) {
        return ngx_http_canary_problem(r, NGX_HTTP_FORBIDDEN,
                                       "this location can only be read, by "
                                       "GET and HEAD; \"canary_api "
                                       "write=on\" in nginx.conf would "
                                       "allow more");
    }

    if (ngx_http_canary_cross_site(r)) {
        return ngx_http_canary_problem(r, NGX_HTTP_FORBIDDEN,
                                       "the Origin or Sec-Fetch-Site header "
                                       "says that a page of another site "
                                       "sent this; only pages of this "
                                       "server may write");
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_canary_api_not_allowed(ngx_http_request_t *r,
    ngx_http_canary_api_target_t *target)
{
    ngx_str_t  allow;

    allow = target->resource->allow;

    if (ngx_http_canary_add_header(r, "Allow", &allow) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_canary_problem(r, NGX_HTTP_NOT_ALLOWED,
                                   "%V does not apply to \"%V\", what does: "
                                   "%V", &r->method_name, &r->uri, &allow);
}


static void
ngx_http_canary_api_body_handler(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_http_canary_api_target_t  target;

    /* found before, so found again: nothing of it can have changed */

    if (ngx_http_canary_api_find(r, &target) != NGX_OK) {
        rc = NGX_HTTP_NOT_FOUND;

    } else {
        rc = ngx_http_canary_api_write(r, &target);

        if (rc == NGX_DECLINED) {
            return;
        }
    }

    ngx_http_finalize_request(r, rc);
}
