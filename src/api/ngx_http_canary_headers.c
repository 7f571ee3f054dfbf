
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_headers.h"


/* how well a media type is liked, by the most specific range that fits */

typedef struct {
    ngx_str_t                     type;        /* "text/html" */
    ngx_str_t                     any;         /* "text" and the slash */
    ngx_uint_t                    specific;    /* 0: no range fits, 1: all,
                                                  2: its kind, 3: itself */
    ngx_uint_t                    quality;     /* 0 to 1000 */
} ngx_http_canary_liking_t;


static ngx_uint_t ngx_http_canary_foreign_fetch(ngx_str_t *value);
static ngx_uint_t ngx_http_canary_foreign_origin(ngx_http_request_t *r,
    ngx_str_t *value);
static ngx_int_t ngx_http_canary_authority(ngx_str_t *origin,
    ngx_str_t *authority, ngx_str_t *port);
static void ngx_http_canary_cut_port(ngx_str_t *authority, ngx_str_t *port);
static ngx_uint_t ngx_http_canary_is(ngx_str_t *value, const char *text);
static void ngx_http_canary_read_accept(ngx_str_t *value,
    ngx_http_canary_liking_t *html, ngx_http_canary_liking_t *json);
static void ngx_http_canary_read_range(ngx_str_t *range,
    ngx_http_canary_liking_t *liking);
static ngx_uint_t ngx_http_canary_specific(ngx_str_t *name,
    ngx_http_canary_liking_t *liking);
static ngx_uint_t ngx_http_canary_quality(u_char *p, u_char *last);
static void ngx_http_canary_trim(ngx_str_t *text);


ngx_table_elt_t *
ngx_http_canary_next_header(ngx_http_request_t *r, const char *name,
    ngx_table_elt_t *after)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        header = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (after) {
                after = (after == &header[i]) ? NULL : after;

            } else if (ngx_http_canary_is(&header[i].key, name)) {
                return &header[i];
            }
        }
    }

    return NULL;
}


/*
 * Browsers let any page send a POST anywhere, with the credentials that the
 * user has there, and tell by these headers whose page it was.  Programs
 * send neither.
 */

ngx_uint_t
ngx_http_canary_cross_site(ngx_http_request_t *r)
{
    ngx_table_elt_t  *header;

    header = NULL;

    while ((header = ngx_http_canary_next_header(r, "Sec-Fetch-Site", header)))
    {
        if (ngx_http_canary_foreign_fetch(&header->value)) {
            return 1;
        }
    }

    while ((header = ngx_http_canary_next_header(r, "Origin", header))) {
        if (ngx_http_canary_foreign_origin(r, &header->value)) {
            return 1;
        }
    }

    return 0;
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


/*
 * Browsers name text/html, programs take anything or name JSON: whoever likes
 * both alike is a program (RFC 9110, 12.5.1).
 */

ngx_uint_t
ngx_http_canary_accepts_html(ngx_http_request_t *r)
{
    ngx_table_elt_t           *header;
    ngx_http_canary_liking_t   html = {
        ngx_string("text/html"), ngx_string("text/"), 0, 0
    };
    ngx_http_canary_liking_t   json = {
        ngx_string("application/json"), ngx_string("application/"), 0, 0
    };

    header = NULL;

    while ((header = ngx_http_canary_next_header(r, "Accept", header))) {
        ngx_http_canary_read_accept(&header->value, &html, &json);
    }

    return html.quality > json.quality;
}


static void
ngx_http_canary_read_accept(ngx_str_t *value, ngx_http_canary_liking_t *html,
    ngx_http_canary_liking_t *json)
{
    u_char     *p, *end, *last;
    ngx_str_t   range;

    last = value->data + value->len;

    for (p = value->data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, ',');
        if (end == NULL) {
            end = last;
        }

        range.data = p;
        range.len = end - p;

        ngx_http_canary_read_range(&range, html);
        ngx_http_canary_read_range(&range, json);
    }
}


static void
ngx_http_canary_read_range(ngx_str_t *range, ngx_http_canary_liking_t *liking)
{
    u_char      *last, *parameters;
    ngx_str_t    name;
    ngx_uint_t   specific;

    last = range->data + range->len;

    parameters = ngx_strlchr(range->data, last, ';');
    if (parameters == NULL) {
        parameters = last;
    }

    name.data = range->data;
    name.len = parameters - range->data;

    ngx_http_canary_trim(&name);

    specific = ngx_http_canary_specific(&name, liking);

    if (specific == 0 || specific < liking->specific) {
        return;
    }

    liking->specific = specific;
    liking->quality = ngx_http_canary_quality(parameters, last);
}


static ngx_uint_t
ngx_http_canary_specific(ngx_str_t *name, ngx_http_canary_liking_t *liking)
{
    if (name->len == liking->type.len
        && ngx_strncasecmp(name->data, liking->type.data, name->len) == 0)
    {
        return 3;
    }

    if (name->len == liking->any.len + 1
        && name->data[name->len - 1] == '*'
        && ngx_strncasecmp(name->data, liking->any.data, liking->any.len)
           == 0)
    {
        return 2;
    }

    return (name->len == 3 && ngx_strncmp(name->data, "*/*", 3) == 0);
}


/* of ";q=0.8" among parameters; what cannot be read is 0 */

static ngx_uint_t
ngx_http_canary_quality(u_char *p, u_char *last)
{
    u_char     *end;
    ngx_int_t   quality;
    ngx_str_t   parameter;

    while (p < last) {

        p++;

        end = ngx_strlchr(p, last, ';');
        if (end == NULL) {
            end = last;
        }

        parameter.data = p;
        parameter.len = end - p;

        ngx_http_canary_trim(&parameter);

        if (parameter.len > 2
            && ngx_strncasecmp(parameter.data, (u_char *) "q=", 2) == 0)
        {
            quality = ngx_atofp(parameter.data + 2, parameter.len - 2, 3);

            return (quality == NGX_ERROR) ? 0 : ngx_min(quality, 1000);
        }

        p = end;
    }

    return 1000;
}


static void
ngx_http_canary_trim(ngx_str_t *text)
{
    while (text->len && (text->data[0] == ' ' || text->data[0] == '\t')) {
        text->data++;
        text->len--;
    }

    while (text->len && (text->data[text->len - 1] == ' '
                         || text->data[text->len - 1] == '\t'))
    {
        text->len--;
    }
}
