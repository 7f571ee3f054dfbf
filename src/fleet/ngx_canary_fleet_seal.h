
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_FLEET_SEAL_H_INCLUDED_
#define _NGX_CANARY_FLEET_SEAL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_fleet_node.h"


/*
 * With key_file= whatever this node writes into Redis ends with
 *
 *     ~NODE~INCARNATION~SERIAL~MAC
 *     ~web1~9f3c01aa~1764527400123~3q2-7w...
 *
 * which is a word, without a space or an end of line.  MAC is the HMAC-SHA256
 * in base64url of the key of Redis (with the fleet's name), the field in it,
 * these words, and the text before them; see canary_fleet_signed.h for the
 * serial.
 */


#define NGX_CANARY_FLEET_SEAL  (CANARY_NAME_SIZE + 8 + NGX_INT64_LEN + 43 + 4)


typedef enum {
    NGX_CANARY_FLEET_REC = 0,    /* as in ngx_canary_fleet_node_t.keys */
    NGX_CANARY_FLEET_CHG,
    NGX_CANARY_FLEET_LOG,
    NGX_CANARY_FLEET_LIVE,
    NGX_CANARY_FLEET_EV,
    NGX_CANARY_FLEET_TRIAL,
    NGX_CANARY_FLEET_VIEW
} ngx_canary_fleet_key_e;


typedef struct {
    char      name[CANARY_NAME_SIZE];      /* empty: nothing is signed */
    uint32_t  incarnation;
    uint64_t  serial;
} ngx_canary_fleet_author_t;


/*
 * The seal of a text of this node; its length, 0 without a key.  NGX_ERROR: no
 * memory.
 */

ngx_int_t ngx_canary_fleet_seal(ngx_canary_fleet_node_t *node,
    ngx_canary_fleet_key_e key, const char *field, const ngx_str_t *text,
    u_char seal[NGX_CANARY_FLEET_SEAL]);

/*
 * Takes the seal off.  NGX_OK: the author has written it there, or there is no
 * key.  NGX_DECLINED: nobody knows who did; it is said, and not to be used.
 */

ngx_int_t ngx_canary_fleet_unseal(ngx_canary_fleet_node_t *node,
    ngx_canary_fleet_key_e key, const char *field, ngx_str_t *text,
    ngx_canary_fleet_author_t *author);

/*
 * The same of what is only good while it is young, and of one author, unless
 * "name" is NULL; what is old is not used either.
 */

ngx_int_t ngx_canary_fleet_unseal_young(ngx_canary_fleet_node_t *node,
    ngx_canary_fleet_key_e key, const char *field, const char *name,
    ngx_str_t *text);

/* something in Redis is not used: said, but not too often */
void ngx_canary_fleet_alarm(ngx_canary_fleet_node_t *node,
    ngx_canary_fleet_key_e key, const char *field, const char *why);


#endif /* _NGX_CANARY_FLEET_SEAL_H_INCLUDED_ */
