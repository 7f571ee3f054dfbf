
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_api_accept.h"


/* how well a media type is liked, by the most specific range that fits */

typedef struct {
    ngx_str_t                     type;        /* "text/html" */
    ngx_str_t                     any;         /* "text" and the slash */
    ngx_uint_t                    specific;    /* 0: no range fits, 1: all,
                                                  2: its kind, 3: itself */
    ngx_uint_t                    quality;     /* 0 to 1000 */
} ngx_http_canary_liking_t;


static void ngx_http_canary_read_accept(ngx_str_t *value,
    ngx_http_canary_liking_t *html, ngx_http_canary_liking_t *json);
static void ngx_http_canary_read_range(ngx_str_t *range,
    ngx_http_canary_liking_t *liking);
static ngx_uint_t ngx_http_canary_specific(ngx_str_t *name,
    ngx_http_canary_liking_t *liking);
static ngx_uint_t ngx_http_canary_quality(u_char *p, u_char *last);
static void ngx_http_canary_trim(ngx_str_t *text);


/*
 * Browsers name text/html, programs take anything or name JSON: whoever likes
 * both alike is a program (RFC 9110, 12.5.1).
 */

ngx_uint_t
ngx_http_canary_accepts_html(ngx_http_request_t *r)
{
    ngx_uint_t                i;
    ngx_list_part_t          *part;
    ngx_table_elt_t          *header;
    ngx_http_canary_liking_t  html = {
        ngx_string("text/html"), ngx_string("text/"), 0, 0
    };
    ngx_http_canary_liking_t  json = {
        ngx_string("application/json"), ngx_string("application/"), 0, 0
    };

    part = &r->headers_in.headers.part;
    header = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {

            if (part->next == NULL) {
                break;
            }

            part = part->next;
            header = part->elts;
            i = 0;
        }

        if (header[i].key.len == 6
            && ngx_strncasecmp(header[i].key.data, (u_char *) "Accept", 6)
               == 0)
        {
            ngx_http_canary_read_accept(&header[i].value, &html, &json);
        }
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
