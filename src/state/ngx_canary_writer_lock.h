
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_WRITER_LOCK_H_INCLUDED_
#define _NGX_CANARY_WRITER_LOCK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_endpoint.h"


/* the lock of the state file, as the process has it that writes */


/* the directory that it is in; another one, as after a reload of a single
   process, is without the lock */
void ngx_canary_writer_set_dir(ngx_canary_main_conf_t *cmcf);
const char *ngx_canary_writer_dir(void);

/* whether it is had, or could be got now */
ngx_uint_t ngx_canary_writer_lock(ngx_canary_main_conf_t *cmcf, uint64_t now);
void ngx_canary_writer_unlock(void);

/* -1: it is not had */
int ngx_canary_writer_fd(void);

/* whoever removed it has let another nginx have one; what waits to be written
   goes on waiting until it is known which of them writes */
void ngx_canary_writer_lock_lost(ngx_canary_main_conf_t *cmcf);

/* without the zone's lock: whether another nginx has the state file, and keeps
   it */
ngx_uint_t ngx_canary_foreign(ngx_canary_main_conf_t *cmcf);


#endif /* _NGX_CANARY_WRITER_LOCK_H_INCLUDED_ */
