
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_WRITER_H_INCLUDED_
#define _NGX_CANARY_WRITER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_endpoint.h"


/* the controlling process writes the file */


void ngx_canary_writer(ngx_canary_main_conf_t *cmcf, uint64_t now);

/* before the process ends */
void ngx_canary_writer_finish(ngx_canary_main_conf_t *cmcf);

/* ms until it has something to do */
ngx_msec_t ngx_canary_writer_pace(ngx_canary_main_conf_t *cmcf, uint64_t now);

/* when the process is about to end: 1 if it has the file, and who waits for
   that is told now that it is about to be given up */
ngx_uint_t ngx_canary_writer_ending(ngx_canary_main_conf_t *cmcf);


#endif /* _NGX_CANARY_WRITER_H_INCLUDED_ */
