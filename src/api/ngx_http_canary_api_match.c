
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_canary_api_match.h"


static ngx_uint_t ngx_http_canary_listed(ngx_str_t *list, ngx_str_t *tag);
static u_char *ngx_http_canary_tag_end(u_char *p, u_char *last);


ngx_uint_t
ngx_http_canary_match(void *data, uint64_t generation)
{
    ngx_http_canary_match_t *match = data;

    u_char     buf[NGX_INT64_LEN + 2];
    ngx_str_t  tag;

    match->present = generation;

    if (match->if_match) {
        tag.data = buf;
        tag.len = ngx_sprintf(buf, "\"%uL\"", generation) - buf;

        if (!ngx_http_canary_listed(match->if_match, &tag)) {
            match->refused = 1;
            return 0;
        }
    }

    return !match->pinned || generation == match->expected;
}


/*
 * "*", or a list of entity tags (RFC 9110, 8.8.3 and 13.1.1).  A weak tag is
 * as good as a strong one: gzip makes one of the other.  What is no tag ends
 * the list.
 */

static ngx_uint_t
ngx_http_canary_listed(ngx_str_t *list, ngx_str_t *tag)
{
    u_char  *p, *end, *last;

    p = list->data;
    last = p + list->len;

    if (list->len == 1 && *p == '*') {
        return 1;
    }

    while (p < last) {

        if (*p == ' ' || *p == '\t' || *p == ',') {
            p++;
            continue;
        }

        if (last - p > 2 && p[0] == 'W' && p[1] == '/') {
            p += 2;
        }

        end = ngx_http_canary_tag_end(p, last);
        if (end == NULL) {
            return 0;
        }

        if ((size_t) (end - p) == tag->len
            && ngx_memcmp(p, tag->data, tag->len) == 0)
        {
            return 1;
        }

        p = end;
    }

    return 0;
}


/* what follows the tag at p, NULL if there is none */

static u_char *
ngx_http_canary_tag_end(u_char *p, u_char *last)
{
    if (*p != '"') {
        return NULL;
    }

    p = ngx_strlchr(p + 1, last, '"');

    return p ? p + 1 : NULL;
}
