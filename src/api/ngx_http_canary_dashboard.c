
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_dashboard.h"


#include "ngx_http_canary_answer.h"


typedef struct {
    const char                   *name;
    ngx_str_t                     value;
} ngx_http_canary_fixed_header_t;


static ngx_str_t ngx_http_canary_last_segment(ngx_http_request_t *r);
static ngx_int_t ngx_http_canary_dashboard_redirect(ngx_http_request_t *r,
    ngx_str_t *segment);
static ngx_int_t ngx_http_canary_dashboard_send(ngx_http_request_t *r,
    ngx_http_canary_file_t *file, ngx_str_t *vary);
static ngx_int_t ngx_http_canary_dashboard_headers(ngx_http_request_t *r,
    ngx_http_canary_file_t *file, ngx_http_canary_coded_t *coded,
    ngx_str_t *vary);
static ngx_uint_t ngx_http_canary_accepts_gzip(ngx_http_request_t *r);


/*
 * The page runs its own script only, asks nobody but the server it came from,
 * and is in no frame.
 */

static ngx_http_canary_fixed_header_t  ngx_http_canary_dashboard_fixed[] = {
    { "Cache-Control", ngx_string("no-cache") },
    { "Content-Security-Policy",
      ngx_string("default-src 'none'; script-src 'self'; style-src 'self'; "
                 "img-src 'self' data:; connect-src 'self'; "
                 "base-uri 'none'; form-action 'none'; "
                 "frame-ancestors 'none'") },
    { "X-Content-Type-Options", ngx_string("nosniff") },
    { "Referrer-Policy", ngx_string("no-referrer") },
    { NULL, ngx_null_string }
};


static ngx_str_t  ngx_http_canary_vary_page =
                                        ngx_string("Accept, Accept-Encoding");
static ngx_str_t  ngx_http_canary_vary_file = ngx_string("Accept-Encoding");
static ngx_str_t  ngx_http_canary_nosniff = ngx_string("nosniff");


ngx_int_t
ngx_http_canary_dashboard(ngx_http_request_t *r)
{
    ngx_str_t  segment;

    segment = ngx_http_canary_last_segment(r);

    if (segment.len) {
        return ngx_http_canary_dashboard_redirect(r, &segment);
    }

    return ngx_http_canary_dashboard_send(r, &ngx_http_canary_page,
                                          &ngx_http_canary_vary_page);
}


ngx_int_t
ngx_http_canary_dashboard_style(ngx_http_request_t *r,
    ngx_http_canary_target_t *target)
{
    return ngx_http_canary_dashboard_send(r, &ngx_http_canary_style,
                                          &ngx_http_canary_vary_file);
}


ngx_int_t
ngx_http_canary_dashboard_script(ngx_http_request_t *r,
    ngx_http_canary_target_t *target)
{
    return ngx_http_canary_dashboard_send(r, &ngx_http_canary_script,
                                          &ngx_http_canary_vary_file);
}


/* what follows the last slash of the path as the client wrote it */

static ngx_str_t
ngx_http_canary_last_segment(ngx_http_request_t *r)
{
    u_char    *p, *end;
    ngx_str_t  segment;

    end = r->unparsed_uri.data + r->unparsed_uri.len;

    p = ngx_strlchr(r->unparsed_uri.data, end, '?');
    if (p) {
        end = p;
    }

    for (p = end; p > r->unparsed_uri.data && p[-1] != '/'; p--) { /* void */ }

    segment.data = p;
    segment.len = end - p;

    return segment;
}


/*
 * From "/some/where" to "./where/": relative, since a proxy in front of this
 * nginx may have other names for the path and for the host.
 */

static ngx_int_t
ngx_http_canary_dashboard_redirect(ngx_http_request_t *r, ngx_str_t *segment)
{
    ngx_str_t  location;

    location.data = ngx_pnalloc(r->pool, segment->len + 3);
    if (location.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    location.len = ngx_sprintf(location.data, "./%V/", segment)
                   - location.data;

    ngx_http_clear_location(r);

    r->headers_out.location = ngx_http_canary_add_header(r, "Location",
                                                         &location);
    if (r->headers_out.location == NULL
        || ngx_http_canary_add_header(r, "Vary", &ngx_http_canary_vary_page)
           == NULL
        || ngx_http_canary_add_header(r, "X-Content-Type-Options",
                                      &ngx_http_canary_nosniff)
           == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_HTTP_MOVED_TEMPORARILY;
}


static ngx_int_t
ngx_http_canary_dashboard_send(ngx_http_request_t *r,
    ngx_http_canary_file_t *file, ngx_str_t *vary)
{
    ngx_int_t                 rc;
    ngx_buf_t                *b;
    ngx_http_canary_coded_t  *coded;

    rc = ngx_http_canary_drop_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    coded = ngx_http_canary_accepts_gzip(r) ? &file->gzip : &file->plain;

    if (ngx_http_canary_dashboard_headers(r, file, coded, vary) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* If-None-Match is up to nginx's own filter */

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_canary_send_body(r, b, &coded->body);
}


static ngx_int_t
ngx_http_canary_dashboard_headers(ngx_http_request_t *r,
    ngx_http_canary_file_t *file, ngx_http_canary_coded_t *coded,
    ngx_str_t *vary)
{
    ngx_table_elt_t                 *encoding;
    ngx_http_canary_fixed_header_t  *header;

    static ngx_str_t  gzip = ngx_string("gzip");

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = coded->body.len;
    r->headers_out.content_type = file->type;
    r->headers_out.content_type_len = file->type.len;
    r->headers_out.content_type_lowcase = NULL;
    ngx_str_set(&r->headers_out.charset, "utf-8");

    for (header = ngx_http_canary_dashboard_fixed; header->name; header++) {
        if (ngx_http_canary_add_header(r, header->name, &header->value)
            == NULL)
        {
            return NGX_ERROR;
        }
    }

    if (coded == &file->gzip) {
        encoding = ngx_http_canary_add_header(r, "Content-Encoding", &gzip);

        if (encoding == NULL) {
            return NGX_ERROR;
        }

        r->headers_out.content_encoding = encoding;
    }

    r->headers_out.etag = ngx_http_canary_add_header(r, "ETag", &coded->etag);

    return (r->headers_out.etag
            && ngx_http_canary_add_header(r, "Vary", vary))
           ? NGX_OK : NGX_ERROR;
}


/* as gzip_static decides, so by "gzip_proxied" and "gzip_disable" too */

static ngx_uint_t
ngx_http_canary_accepts_gzip(ngx_http_request_t *r)
{
#if (NGX_HTTP_GZIP)

    ngx_uint_t  gzip;

    gzip = (ngx_http_gzip_ok(r) == NGX_OK);

    /* there is a Vary header already */

    r->gzip_vary = 0;

    return gzip;

#else

    return 0;

#endif
}
