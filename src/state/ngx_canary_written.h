
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_WRITTEN_H_INCLUDED_
#define _NGX_CANARY_WRITTEN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_state_file.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_pending.h"


/* what comes of a write of the state file */


/* pending changes up to a sequence number, -1: all of them; in a zone that was
   replaced nothing takes effect any more */
void ngx_canary_settle_pending(ngx_canary_main_conf_t *cmcf,
    ngx_canary_fate_e fate, uint64_t sequence, uint64_t now);

/* those that nobody asks after any more */
void ngx_canary_expire_pending(ngx_canary_main_conf_t *cmcf, uint64_t now);

void ngx_canary_write_worked(ngx_canary_main_conf_t *cmcf);
void ngx_canary_write_failed(ngx_canary_main_conf_t *cmcf,
    canary_state_file_error_t *error, uint64_t now);

/* changes up to a sequence number are not in the file; what came after that
   has a try of its own */
void ngx_canary_write_refused(ngx_canary_main_conf_t *cmcf,
    uint64_t sequence, uint64_t now);

/* whether what failed may be tried again */
ngx_uint_t ngx_canary_write_may_retry(uint64_t now);


#endif /* _NGX_CANARY_WRITTEN_H_INCLUDED_ */
