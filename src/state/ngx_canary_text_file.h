
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_TEXT_FILE_H_INCLUDED_
#define _NGX_CANARY_TEXT_FILE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Small files that a directive names, and the master reads: tokens, secrets. */

typedef struct {
    ngx_pool_t       *pool;        /* that the text is to lie in */
    size_t            max;         /* bytes at most */

    /* what came: the file's full name, its text, and who may read it */

    ngx_str_t         name;
    ngx_str_t         text;
    ngx_file_info_t   info;
} ngx_canary_text_file_t;


/* NGX_ERROR: said what is wrong, and what would be right */
ngx_int_t ngx_canary_text_file(ngx_conf_t *cf, const ngx_str_t *name,
    ngx_canary_text_file_t *file);


#endif /* _NGX_CANARY_TEXT_FILE_H_INCLUDED_ */
