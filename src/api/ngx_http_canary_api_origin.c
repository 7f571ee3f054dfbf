
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_api_origin.h"


static ngx_uint_t ngx_http_canary_foreign_fetch(ngx_str_t *value);
static ngx_uint_t ngx_http_canary_foreign_origin(ngx_http_request_t *r,
    ngx_str_t *value);
static ngx_int_t ngx_http_canary_authority(ngx_str_t *origin,
    ngx_str_t *authority, ngx_str_t *port);
static void ngx_http_canary_cut_port(ngx_str_t *authority, ngx_str_t *port);
static ngx_uint_t ngx_http_canary_is(ngx_str_t *value, const char *text);


/*
 * Browsers let any page send a POST anywhere, with the credentials that the
 * user has there, and tell by these headers whose page it was.  Programs
 * send neither.
 */

ngx_uint_t
ngx_http_canary_cross_site(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    part = &r->headers_in.headers.part;
    header = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {

            if (part->next == NULL) {
                return 0;
            }

            part = part->next;
            header = part->elts;
            i = 0;
        }

        if (ngx_http_canary_is(&header[i].key, "Sec-Fetch-Site")
            && ngx_http_canary_foreign_fetch(&header[i].value))
        {
            return 1;
        }

        if (ngx_http_canary_is(&header[i].key, "Origin")
            && ngx_http_canary_foreign_origin(r, &header[i].value))
        {
            return 1;
        }
    }
}


/* "none" is what the user typed or opened from a bookmark */

static ngx_uint_t
ngx_http_canary_foreign_fetch(ngx_str_t *value)
{
    return !ngx_http_canary_is(value, "same-origin")
           && !ngx_http_canary_is(value, "none");
}


/*
 * The scheme is not compared: whoever terminates TLS in front of this nginx
 * makes it another.  It tells the port that goes without saying.
 */

static ngx_uint_t
ngx_http_canary_foreign_origin(ngx_http_request_t *r, ngx_str_t *value)
{
    ngx_str_t  origin, host, port;

    if (ngx_http_canary_authority(value, &origin, &port) != NGX_OK) {
        return 1;
    }

    if (r->headers_in.host) {
        host = r->headers_in.host->value;

    } else if (r->host_start && r->host_end) {

        /* HTTP/3 makes no Host header of its authority */

        host.data = r->host_start;
        host.len = r->host_end - r->host_start;

    } else {
        return 1;
    }

    ngx_http_canary_cut_port(&origin, &port);
    ngx_http_canary_cut_port(&host, &port);

    return origin.len != host.len
           || ngx_strncasecmp(origin.data, host.data, host.len) != 0;
}


/* "null", the origin of a sandbox, has no authority */

static ngx_int_t
ngx_http_canary_authority(ngx_str_t *origin, ngx_str_t *authority,
    ngx_str_t *port)
{
    size_t  skip;

    if (origin->len > 7
        && ngx_strncasecmp(origin->data, (u_char *) "http://", 7) == 0)
    {
        skip = 7;
        ngx_str_set(port, ":80");

    } else if (origin->len > 8
               && ngx_strncasecmp(origin->data, (u_char *) "https://", 8)
                  == 0)
    {
        skip = 8;
        ngx_str_set(port, ":443");

    } else {
        return NGX_DECLINED;
    }

    authority->data = origin->data + skip;
    authority->len = origin->len - skip;

    return NGX_OK;
}


static void
ngx_http_canary_cut_port(ngx_str_t *authority, ngx_str_t *port)
{
    if (authority->len > port->len
        && ngx_strncmp(authority->data + authority->len - port->len,
                       port->data, port->len)
           == 0)
    {
        authority->len -= port->len;
    }
}


static ngx_uint_t
ngx_http_canary_is(ngx_str_t *value, const char *text)
{
    return value->len == ngx_strlen(text)
           && ngx_strncasecmp(value->data, (u_char *) text, value->len) == 0;
}
