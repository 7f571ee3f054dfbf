
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_gate.h"

#include "ngx_http_canary_access.h"
#include "ngx_http_canary_answer.h"
#include "ngx_http_canary_body.h"
#include "ngx_http_canary_dialect.h"
#include "ngx_http_canary_headers.h"
#include "ngx_http_canary_refuse.h"
#include "ngx_http_canary_tokens.h"
#include "ngx_http_canary_write.h"


/* The way of all requests to an API: who may do what, and is it there? */


static ngx_int_t ngx_http_canary_check_token(ngx_http_request_t *r,
    ngx_uint_t write);
static ngx_int_t ngx_http_canary_unauthorized(ngx_http_request_t *r,
    ngx_int_t found);
static ngx_int_t ngx_http_canary_check_write(ngx_http_request_t *r);
static ngx_int_t ngx_http_canary_not_allowed(ngx_http_request_t *r,
    ngx_http_canary_target_t *target);


ngx_int_t
ngx_http_canary_gate(ngx_http_request_t *r)
{
    ngx_int_t                         rc, found;
    ngx_uint_t                        write;
    ngx_http_canary_target_t          target;
    const ngx_http_canary_dialect_t  *dialect;

    dialect = ngx_http_canary_location(r)->dialect;

    write = dialect->write && !(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD));
    found = dialect->find(r, &target);

    if (write || found != NGX_OK || !target.resource->open) {
        rc = ngx_http_canary_check_token(r, write);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    if (write) {
        rc = ngx_http_canary_check_write(r);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    if (found != NGX_OK) {
        return ngx_http_canary_refuse(r, NGX_HTTP_NOT_FOUND, dialect->nothing,
                                      &r->uri);
    }

    if (!(r->method & target.resource->methods)) {
        return ngx_http_canary_not_allowed(r, &target);
    }

    if (write && target.resource->read == NULL) {
        return ngx_http_canary_body_read(r, ngx_http_canary_write_handler);
    }

    return target.resource->read(r, &target);
}


/* NGX_DECLINED, here and below: nothing speaks against it */

static ngx_int_t
ngx_http_canary_check_token(ngx_http_request_t *r, ngx_uint_t write)
{
    ngx_int_t                 rc;
    ngx_http_canary_token_t  *token;

    if (ngx_http_canary_location(r)->tokens == NULL) {
        return NGX_DECLINED;
    }

    rc = ngx_http_canary_find_token(r, &token);

    if (rc != NGX_OK) {
        return ngx_http_canary_unauthorized(r, rc);
    }

    if (write && !token->operator) {
        return ngx_http_canary_refuse(r, NGX_HTTP_FORBIDDEN,
                                      "token \"%V\" is a reader's: it may GET "
                                      "and HEAD; all else takes the role "
                                      "\"operator\"", &token->name);
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_canary_unauthorized(ngx_http_request_t *r, ngx_int_t found)
{
    const ngx_http_canary_dialect_t  *dialect;

    static ngx_str_t  none = ngx_string("Bearer realm=\"canary\"");
    static ngx_str_t  wrong = ngx_string("Bearer realm=\"canary\", "
                                         "error=\"invalid_token\"");

    dialect = ngx_http_canary_location(r)->dialect;

    if (dialect->bearer
        && ngx_http_canary_add_header(r, "WWW-Authenticate",
                                      (found == NGX_DECLINED) ? &none : &wrong)
           == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_canary_refuse(r, NGX_HTTP_UNAUTHORIZED,
                                  "%s; a token of \"canary_api_tokens\" is "
                                  "needed, %s",
                                  (found == NGX_DECLINED)
                                  ? "there is no token"
                                  : "the token is not known",
                                  dialect->credentials);
}


static ngx_int_t
ngx_http_canary_check_write(ngx_http_request_t *r)
{
    ngx_http_canary_loc_conf_t  *lcf;

    lcf = ngx_http_canary_location(r);

    if (!lcf->write) {
        return ngx_http_canary_refuse(r, NGX_HTTP_FORBIDDEN,
                                      "this location can only be read, by GET "
                                      "and HEAD; \"%s write=on\" in "
                                      "nginx.conf would allow more",
                                      lcf->dialect->directive);
    }

    if (ngx_http_canary_cross_site(r)) {
        return ngx_http_canary_refuse(r, NGX_HTTP_FORBIDDEN,
                                      "the Origin or Sec-Fetch-Site header "
                                      "says that a page of another site sent "
                                      "this; only pages of this server may "
                                      "write");
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_canary_not_allowed(ngx_http_request_t *r,
    ngx_http_canary_target_t *target)
{
    ngx_str_t                         allow;
    const ngx_http_canary_dialect_t  *dialect;

    allow = target->resource->allow;

    if (ngx_http_canary_add_header(r, "Allow", &allow) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    dialect = ngx_http_canary_location(r)->dialect;

    return ngx_http_canary_refuse(r, NGX_HTTP_NOT_ALLOWED,
                                  dialect->not_allowed, &r->method_name,
                                  &r->uri, &allow);
}


ngx_int_t
ngx_http_canary_below(ngx_http_request_t *r, ngx_str_t *path)
{
    ngx_str_t                 *prefix;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    prefix = &clcf->name;

    if (r->uri.len < prefix->len
        || ngx_filename_cmp(r->uri.data, prefix->data, prefix->len) != 0)
    {
        return NGX_DECLINED;
    }

    path->data = r->uri.data + prefix->len;
    path->len = r->uri.len - prefix->len;

    if (path->len == 0 || (prefix->len && path->data[-1] == '/')) {
        return NGX_OK;
    }

    if (path->data[0] != '/') {
        return NGX_DECLINED;
    }

    path->data++;
    path->len--;

    return NGX_OK;
}
