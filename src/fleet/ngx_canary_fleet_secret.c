
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_fleet_conf.h"

#include "ngx_canary_text_file.h"


/* Files with a secret to a line: password_file=, key_file=. */


#define NGX_CANARY_SECRET_SIZE  4096
#define NGX_CANARY_KEY_SIZE     32         /* bytes at least */


static ngx_int_t ngx_canary_fleet_read_secret(ngx_conf_t *cf,
    ngx_str_t *name, ngx_canary_text_file_t *file);
static ngx_int_t ngx_canary_fleet_next_line(ngx_str_t *text, ngx_str_t *line);


ngx_int_t
ngx_canary_fleet_secret(ngx_conf_t *cf, ngx_str_t *name, ngx_str_t *secret)
{
    ngx_canary_text_file_t  file;

    if (ngx_canary_fleet_read_secret(cf, name, &file) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_canary_fleet_next_line(&file.text, secret) != NGX_OK
        || file.text.len)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of \"canary_fleet\" must have exactly one "
                           "line of text", &file.name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* the first signs, both verify: so all nodes get another one without a break */

ngx_int_t
ngx_canary_fleet_keys(ngx_conf_t *cf, ngx_str_t *name,
    ngx_canary_fleet_conf_t *conf)
{
    ngx_str_t              *key;
    ngx_canary_text_file_t  file;

    if (ngx_canary_fleet_read_secret(cf, name, &file) != NGX_OK) {
        return NGX_ERROR;
    }

    do {
        key = &conf->keys[conf->nkeys];

        if (conf->nkeys == NGX_CANARY_FLEET_KEYS_MAX
            || ngx_canary_fleet_next_line(&file.text, key) != NGX_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" of \"canary_fleet\" must have one line "
                               "of text, or two while the key is changed: "
                               "the first one signs", &file.name);
            return NGX_ERROR;
        }

        if (key->len < NGX_CANARY_KEY_SIZE) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "a key in \"%V\" of \"canary_fleet\" has %uz "
                               "bytes, it must have at least %d, such as "
                               "\"openssl rand -hex 32\" prints",
                               &file.name, key->len, NGX_CANARY_KEY_SIZE);
            return NGX_ERROR;
        }

        conf->nkeys++;

    } while (file.text.len);

    return NGX_OK;
}


static ngx_int_t
ngx_canary_fleet_read_secret(ngx_conf_t *cf, ngx_str_t *name,
    ngx_canary_text_file_t *file)
{
    file->pool = cf->pool;
    file->max = NGX_CANARY_SECRET_SIZE;

    if (ngx_canary_text_file(cf, name, file) != NGX_OK) {
        return NGX_ERROR;
    }

    if ((file->info.st_mode & 0007)
        || (file->info.st_uid != 0 && file->info.st_uid != geteuid()))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of \"canary_fleet\" is accessible to "
                           "others, it must be root's, with no rights beyond "
                           "its group, such as mode 0600", &file->name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* what follows is left in text; NGX_ERROR: there is nothing in the line */

static ngx_int_t
ngx_canary_fleet_next_line(ngx_str_t *text, ngx_str_t *line)
{
    u_char  *p, *last, *end;

    p = text->data;
    last = p + text->len;

    end = ngx_strlchr(p, last, LF);

    line->data = p;
    line->len = (end ? end : last) - p;

    text->data = end ? end + 1 : last;
    text->len = last - text->data;

    if (line->len && p[line->len - 1] == CR) {
        line->len--;
    }

    if (line->len == 0 || ngx_strlchr(p, p + line->len, CR)
        || ngx_strlchr(p, p + line->len, '\0'))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}
