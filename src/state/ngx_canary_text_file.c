
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_text_file.h"


/* A file of the configuration that is read as a whole. */


static ngx_int_t ngx_canary_text_file_read(ngx_conf_t *cf, ngx_file_t *fd,
    ngx_canary_text_file_t *file);


ngx_int_t
ngx_canary_text_file(ngx_conf_t *cf, const ngx_str_t *name,
    ngx_canary_text_file_t *file)
{
    ngx_int_t   rc;
    ngx_file_t  fd;

    file->name = *name;

    if (ngx_conf_full_name(cf->cycle, &file->name, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&fd, sizeof(ngx_file_t));

    fd.name = file->name;
    fd.log = cf->log;

    /* a FIFO would be waited for */

    fd.fd = ngx_open_file(fd.name.data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                          NGX_FILE_OPEN, 0);

    if (fd.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", &fd.name);
        return NGX_ERROR;
    }

    rc = ngx_canary_text_file_read(cf, &fd, file);

    if (ngx_close_file(fd.fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", &fd.name);
    }

    return rc;
}


static ngx_int_t
ngx_canary_text_file_read(ngx_conf_t *cf, ngx_file_t *fd,
    ngx_canary_text_file_t *file)
{
    ssize_t     n;
    ngx_str_t  *text;

    if (ngx_fd_info(fd->fd, &file->info) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", &fd->name);
        return NGX_ERROR;
    }

    if (!ngx_is_file(&file->info)
        || ngx_file_size(&file->info) > (off_t) file->max)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" has to be a regular file of at most %uz "
                           "bytes", &fd->name, file->max);
        return NGX_ERROR;
    }

    text = &file->text;
    text->len = (size_t) ngx_file_size(&file->info);

    text->data = ngx_pnalloc(file->pool, text->len + 1);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    n = ngx_read_file(fd, text->data, text->len, 0);

    if (n != (ssize_t) text->len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           ngx_read_file_n " \"%V\" read only %z of %uz "
                           "bytes", &fd->name, n, text->len);
        return NGX_ERROR;
    }

    return NGX_OK;
}
