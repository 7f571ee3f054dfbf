
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_fleet_conf.h"


/* Files with one secret in one line: password_file=, key_file=. */


#define NGX_CANARY_SECRET_SIZE  4096


static ngx_int_t ngx_canary_fleet_read_secret(ngx_conf_t *cf,
    ngx_file_t *file, ngx_str_t *secret);
static ngx_int_t ngx_canary_fleet_check_secret(ngx_conf_t *cf,
    ngx_file_t *file, ngx_file_info_t *info);
static ngx_int_t ngx_canary_fleet_one_line(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *secret);


ngx_int_t
ngx_canary_fleet_secret(ngx_conf_t *cf, ngx_str_t *name, ngx_str_t *secret)
{
    ngx_int_t   rc;
    ngx_file_t  file;

    ngx_memzero(&file, sizeof(ngx_file_t));

    file.name = *name;
    file.log = cf->log;

    if (ngx_conf_full_name(cf->cycle, &file.name, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    /* a FIFO would be waited for */

    file.fd = ngx_open_file(file.name.data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                            NGX_FILE_OPEN, 0);

    if (file.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", &file.name);
        return NGX_ERROR;
    }

    rc = ngx_canary_fleet_read_secret(cf, &file, secret);

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", &file.name);
    }

    return rc;
}


static ngx_int_t
ngx_canary_fleet_read_secret(ngx_conf_t *cf, ngx_file_t *file,
    ngx_str_t *secret)
{
    ssize_t          n;
    ngx_file_info_t  info;

    if (ngx_fd_info(file->fd, &info) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", &file->name);
        return NGX_ERROR;
    }

    if (ngx_canary_fleet_check_secret(cf, file, &info) != NGX_OK) {
        return NGX_ERROR;
    }

    secret->len = (size_t) ngx_file_size(&info);

    secret->data = ngx_pnalloc(cf->pool, secret->len + 1);
    if (secret->data == NULL) {
        return NGX_ERROR;
    }

    n = ngx_read_file(file, secret->data, secret->len, 0);

    if (n != (ssize_t) secret->len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           ngx_read_file_n " \"%V\" read only %z of %uz "
                           "bytes", &file->name, n, secret->len);
        return NGX_ERROR;
    }

    return ngx_canary_fleet_one_line(cf, &file->name, secret);
}


static ngx_int_t
ngx_canary_fleet_check_secret(ngx_conf_t *cf, ngx_file_t *file,
    ngx_file_info_t *info)
{
    if (!ngx_is_file(info) || ngx_file_size(info) > NGX_CANARY_SECRET_SIZE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of \"canary_fleet\" must be a regular file "
                           "of one line, of at most %d bytes",
                           &file->name, NGX_CANARY_SECRET_SIZE);
        return NGX_ERROR;
    }

    if ((info->st_mode & 0007)
        || (info->st_uid != 0 && info->st_uid != geteuid()))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of \"canary_fleet\" is accessible to "
                           "others, it must be root's, with no rights beyond "
                           "its group, such as mode 0600", &file->name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_canary_fleet_one_line(ngx_conf_t *cf, ngx_str_t *name, ngx_str_t *secret)
{
    u_char      *p;
    ngx_uint_t   i;

    p = secret->data;

    if (secret->len && p[secret->len - 1] == LF) {
        secret->len--;
    }

    if (secret->len && p[secret->len - 1] == CR) {
        secret->len--;
    }

    for (i = 0; i < secret->len; i++) {
        if (p[i] == LF || p[i] == CR || p[i] == '\0') {
            break;
        }
    }

    if (secret->len == 0 || i < secret->len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of \"canary_fleet\" must have exactly one "
                           "line of text", name);
        return NGX_ERROR;
    }

    return NGX_OK;
}
