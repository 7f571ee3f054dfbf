
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_MODULE_H_INCLUDED_
#define _NGX_HTTP_CANARY_MODULE_H_INCLUDED_


/*
 * All parts of the module but its APIs; each of these headers can be read,
 * and included, by itself.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "canary_buckets.h"
#include "canary_evidence_count.h"
#include "canary_evidence_places.h"
#include "canary_evidence_settle.h"
#include "canary_evidence_spent.h"
#include "canary_histogram.h"
#include "canary_judge.h"
#include "canary_judge_times.h"
#include "canary_key.h"
#include "canary_outage.h"
#include "canary_outcome.h"
#include "canary_rollout.h"
#include "canary_rule.h"
#include "canary_split.h"
#include "canary_state_file.h"
#include "canary_state_json.h"
#include "canary_strategy.h"
#include "canary_verdict.h"

#include "ngx_http_canary_compat.h"

#include "ngx_http_canary_shared.h"
#include "ngx_http_canary_record.h"
#include "ngx_http_canary_endpoint.h"
#include "ngx_http_canary_request.h"
#include "ngx_http_canary_routing.h"
#include "ngx_http_canary_zone.h"
#include "ngx_http_canary_generation.h"
#include "ngx_http_canary_spare.h"
#include "ngx_http_canary_spare_meters.h"
#include "ngx_http_canary_effect.h"
#include "ngx_http_canary_pending.h"
#include "ngx_http_canary_section.h"
#include "ngx_http_canary_configured.h"
#include "ngx_http_canary_meter.h"
#include "ngx_http_canary_failures.h"
#include "ngx_http_canary_judge.h"
#include "ngx_http_canary_control.h"
#include "ngx_http_canary_state.h"
#include "ngx_http_canary_snapshot.h"


/* ngx_http_canary_variables.c */

ngx_int_t ngx_http_canary_add_variables(ngx_conf_t *cf);


/* ngx_http_canary_api.c */

ngx_int_t ngx_http_canary_api_handler(ngx_http_request_t *r);


/* ngx_http_canary_verta.c */

ngx_int_t ngx_http_canary_verta_handler(ngx_http_request_t *r);


/* ngx_http_canary_metrics.c */

ngx_int_t ngx_http_canary_metrics_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_CANARY_MODULE_H_INCLUDED_ */
