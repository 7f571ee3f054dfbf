
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_verta.h"

#include "canary_verta_path.h"

#include "ngx_http_canary_access.h"
#include "ngx_http_canary_answer.h"
#include "ngx_http_canary_api_body.h"
#include "ngx_http_canary_api_origin.h"
#include "ngx_http_canary_conf_location.h"
#include "ngx_http_canary_token.h"
#include "ngx_http_canary_verta_error.h"
#include "ngx_http_canary_verta_find.h"
#include "ngx_http_canary_verta_show.h"
#include "ngx_http_canary_verta_write.h"


typedef struct {
    ngx_uint_t  methods;
    ngx_str_t   allow;     /* the same in words */
} ngx_http_canary_verta_methods_t;


static ngx_int_t ngx_http_canary_verta_admit(ngx_http_request_t *r,
    ngx_uint_t write);
static ngx_int_t ngx_http_canary_verta_check_token(ngx_http_request_t *r,
    ngx_uint_t write);
static ngx_int_t ngx_http_canary_verta_not_allowed(ngx_http_request_t *r,
    ngx_str_t allow);
static void ngx_http_canary_verta_body_handler(ngx_http_request_t *r);


#define NGX_HTTP_CANARY_VERTA_GET                                             \
    { NGX_HTTP_GET|NGX_HTTP_HEAD, ngx_string("GET, HEAD") }


/* in the order of canary_verta_resource_t */

static const ngx_http_canary_verta_methods_t
    ngx_http_canary_verta_methods[CANARY_VERTA_RESOURCES] =
{
    NGX_HTTP_CANARY_VERTA_GET,                       /* endpoints */
    NGX_HTTP_CANARY_VERTA_GET,
    NGX_HTTP_CANARY_VERTA_GET,                       /* stages */
    NGX_HTTP_CANARY_VERTA_GET,
    { NGX_HTTP_PUT|NGX_HTTP_DELETE, ngx_string("PUT, DELETE") },
    NGX_HTTP_CANARY_VERTA_GET,                       /* status */
    NGX_HTTP_CANARY_VERTA_GET,                       /* rules */
    NGX_HTTP_CANARY_VERTA_GET,                       /* accesstokens */
    NGX_HTTP_CANARY_VERTA_GET,                       /* kafka */
    { NGX_HTTP_POST, ngx_string("POST") },           /* builds */
    NGX_HTTP_CANARY_VERTA_GET,
    NGX_HTTP_CANARY_VERTA_GET,                       /* model_versions */
    NGX_HTTP_CANARY_VERTA_GET,                       /* registered_models */
    NGX_HTTP_CANARY_VERTA_GET                        /* verifyConnection */
};


/* the content handler of a location with "canary_verta_api" */

ngx_int_t
ngx_http_canary_verta_handler(ngx_http_request_t *r)
{
    ngx_int_t                               rc;
    ngx_uint_t                              write;
    ngx_http_canary_verta_target_t          target;
    const ngx_http_canary_verta_methods_t  *methods;

    write = !(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD));

    rc = ngx_http_canary_verta_admit(r, write);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (ngx_http_canary_verta_find(r, &target) != NGX_OK) {
        return ngx_http_canary_verta_error(r, NGX_HTTP_NOT_FOUND,
                                           "there is nothing at \"%V\"; "
                                           "workspace, endpoints and builds "
                                           "are those of nginx.conf",
                                           &r->uri);
    }

    methods = &ngx_http_canary_verta_methods[target.resource];

    if (!(r->method & methods->methods)) {
        return ngx_http_canary_verta_not_allowed(r, methods->allow);
    }

    if (write) {
        return ngx_http_canary_api_read(r, ngx_http_canary_verta_body_handler,
                                        ngx_http_canary_verta_too_large);
    }

    return ngx_http_canary_verta_show(r, &target);
}


/* who may do what, before anything is looked at; NGX_DECLINED: this one may */

static ngx_int_t
ngx_http_canary_verta_admit(ngx_http_request_t *r, ngx_uint_t write)
{
    ngx_int_t                    rc;
    ngx_http_canary_loc_conf_t  *clcf;

    rc = ngx_http_canary_verta_check_token(r, write);

    if (rc != NGX_DECLINED || !write) {
        return rc;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_canary_api_module);

    if (!clcf->write) {
        return ngx_http_canary_verta_error(r, NGX_HTTP_FORBIDDEN,
                                           "nothing can be updated here; "
                                           "\"canary_verta_api write=on\" in "
                                           "nginx.conf would allow it");
    }

    if (ngx_http_canary_cross_site(r)) {
        return ngx_http_canary_verta_error(r, NGX_HTTP_FORBIDDEN,
                                           "the Origin or Sec-Fetch-Site "
                                           "header says that a page of "
                                           "another site sent this");
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_canary_verta_check_token(ngx_http_request_t *r, ngx_uint_t write)
{
    ngx_int_t                    rc;
    ngx_http_canary_token_t     *token;
    ngx_http_canary_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_canary_api_module);

    if (clcf->tokens == NULL) {
        return NGX_DECLINED;
    }

    rc = ngx_http_canary_find_token(r, &token);

    if (rc != NGX_OK) {
        return ngx_http_canary_verta_error(r, NGX_HTTP_UNAUTHORIZED,
                                           "%s; a token of "
                                           "\"canary_api_tokens\" is needed, "
                                           "as developer key or as access "
                                           "token",
                                           (rc == NGX_DECLINED)
                                           ? "there is no token"
                                           : "the token is not known");
    }

    if (write && !token->operator) {
        return ngx_http_canary_verta_error(r, NGX_HTTP_FORBIDDEN,
                                           "token \"%V\" is a reader's; an "
                                           "update takes the role "
                                           "\"operator\"", &token->name);
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_canary_verta_not_allowed(ngx_http_request_t *r, ngx_str_t allow)
{
    if (ngx_http_canary_add_header(r, "Allow", &allow) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_canary_verta_error(r, NGX_HTTP_NOT_ALLOWED,
                                       "%V does not apply to \"%V\", what "
                                       "does: %V; endpoints and releases are "
                                       "those of nginx.conf",
                                       &r->method_name, &r->uri, &allow);
}


static void
ngx_http_canary_verta_body_handler(ngx_http_request_t *r)
{
    ngx_int_t                       rc;
    ngx_http_canary_verta_target_t  target;

    /* found before, so found again: nothing of it can have changed */

    if (ngx_http_canary_verta_find(r, &target) != NGX_OK) {
        rc = NGX_HTTP_NOT_FOUND;

    } else {
        rc = ngx_http_canary_verta_write(r, &target);

        if (rc == NGX_DECLINED) {
            return;
        }
    }

    ngx_http_finalize_request(r, rc);
}
