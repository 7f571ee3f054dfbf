
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "ngx_canary_fleet_seal.h"

#include "canary_fleet.h"

#include "ngx_canary_shared.h"


/* What nodes write into Redis is signed, and verified when it is read. */


#define NGX_CANARY_FLEET_MAC    43         /* characters of base64url */
#define NGX_CANARY_FLEET_PACE   10000      /* ms between alarms of a key */
#define NGX_CANARY_FLEET_YOUNG  12000      /* ms: what the leader has not folded
                                              until then is not kept */


static ngx_int_t ngx_canary_fleet_mac(ngx_canary_fleet_node_t *node,
    const ngx_str_t *secret, ngx_canary_fleet_key_e key, const char *field,
    const ngx_str_t *signed_text, u_char mac[NGX_CANARY_FLEET_MAC]);
static ngx_int_t ngx_canary_fleet_author(const ngx_str_t *text,
    ngx_canary_fleet_author_t *author, size_t *len);
static u_char *ngx_canary_fleet_last_word(u_char *start, u_char *last);


/*
 * What is signed: key NUL field NUL text ~NODE~INCARNATION~SERIAL, of which no
 * part but the text can have a NUL or, after it, a "~".
 */

static ngx_int_t
ngx_canary_fleet_mac(ngx_canary_fleet_node_t *node, const ngx_str_t *secret,
    ngx_canary_fleet_key_e key, const char *field,
    const ngx_str_t *signed_text, u_char mac[NGX_CANARY_FLEET_MAC])
{
    u_char        *data, *p, digest[EVP_MAX_MD_SIZE];
    size_t         len;
    unsigned       size;
    ngx_int_t      rc;
    ngx_str_t      from, to;

    len = ngx_strlen(field);

    data = malloc(node->keys[key].len + len + signed_text->len + 2);
    if (data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(data, node->keys[key].data, node->keys[key].len);
    *p++ = '\0';
    p = ngx_cpymem(p, field, len);
    *p++ = '\0';
    p = ngx_cpymem(p, signed_text->data, signed_text->len);

    rc = NGX_ERROR;

    if (HMAC(EVP_sha256(), secret->data, (int) secret->len, data,
             (size_t) (p - data), digest, &size)
        != NULL)
    {
        from.data = digest;
        from.len = size;
        to.data = mac;

        ngx_encode_base64url(&to, &from);

        rc = NGX_OK;
    }

    free(data);

    return rc;
}


ngx_int_t
ngx_canary_fleet_seal(ngx_canary_fleet_node_t *node,
    ngx_canary_fleet_key_e key, const char *field, const ngx_str_t *text,
    u_char seal[NGX_CANARY_FLEET_SEAL])
{
    u_char     *p;
    ngx_int_t   rc;
    ngx_str_t   all;

    if (node->conf->nkeys == 0) {
        return 0;
    }

    p = ngx_sprintf(seal, "~%s~%08xD~%uL", node->core.conf.name,
                    node->core.kept.incarnation,
                    ngx_canary_milliseconds()
                    + (uint64_t) node->core.conf.ahead);

    all.len = text->len + (p - seal);
    all.data = malloc(all.len);

    if (all.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(ngx_cpymem(all.data, text->data, text->len), seal, p - seal);

    *p++ = '~';

    rc = ngx_canary_fleet_mac(node, &node->conf->keys[0], key, field, &all, p);

    free(all.data);

    return (rc == NGX_OK) ? p + NGX_CANARY_FLEET_MAC - seal : NGX_ERROR;
}


/* where the last word before this begins; NULL: there is none */

static u_char *
ngx_canary_fleet_last_word(u_char *start, u_char *last)
{
    while (last > start) {
        if (*--last == '~') {
            return last + 1;
        }
    }

    return NULL;
}


/* who says to have written it; len is that of the text; NGX_DECLINED: nobody */

static ngx_int_t
ngx_canary_fleet_author(const ngx_str_t *text,
    ngx_canary_fleet_author_t *author, size_t *len)
{
    u_char     *start, *mac, *serial, *incarnation, *name;
    size_t      n;
    ngx_int_t   number;
    off_t       date;

    ngx_memzero(author, sizeof(ngx_canary_fleet_author_t));

    *len = text->len;
    start = text->data;

    mac = ngx_canary_fleet_last_word(start, start + text->len);
    serial = mac ? ngx_canary_fleet_last_word(start, mac - 1) : NULL;
    incarnation = serial ? ngx_canary_fleet_last_word(start, serial - 1)
                         : NULL;
    name = incarnation ? ngx_canary_fleet_last_word(start, incarnation - 1)
                       : NULL;

    if (name == NULL || start + text->len - mac != NGX_CANARY_FLEET_MAC
        || serial - incarnation != 9 || mac - serial > 19)
    {
        return NGX_DECLINED;
    }

    n = incarnation - 1 - name;
    number = ngx_hextoi(incarnation, 8);
    date = ngx_atoof(serial, mac - 1 - serial);

    if (number == NGX_ERROR || date == (off_t) NGX_ERROR
        || !canary_fleet_name_valid((char *) name, n))
    {
        return NGX_DECLINED;
    }

    ngx_memcpy(author->name, name, n);
    author->incarnation = (uint32_t) number;
    author->serial = (uint64_t) date;

    *len = name - 1 - start;

    return NGX_OK;
}


ngx_int_t
ngx_canary_fleet_unseal(ngx_canary_fleet_node_t *node,
    ngx_canary_fleet_key_e key, const char *field, ngx_str_t *text,
    ngx_canary_fleet_author_t *author)
{
    u_char      mac[NGX_CANARY_FLEET_MAC], *is;
    size_t      len;
    ngx_uint_t  i;
    ngx_str_t   all;

    if (ngx_canary_fleet_author(text, author, &len) != NGX_OK) {

        if (node->conf->nkeys == 0) {
            return NGX_OK;
        }

        ngx_canary_fleet_alarm(node, key, field, "is not signed");
        return NGX_DECLINED;
    }

    all.data = text->data;
    all.len = text->len - NGX_CANARY_FLEET_MAC - 1;
    is = text->data + all.len + 1;
    text->len = len;

    if (node->conf->nkeys == 0) {
        ngx_canary_fleet_alarm(node, key, field,
                               "is signed, and this node has no key_file");
        ngx_memzero(author, sizeof(ngx_canary_fleet_author_t));
        return NGX_OK;
    }

    for (i = 0; i < node->conf->nkeys; i++) {
        if (ngx_canary_fleet_mac(node, &node->conf->keys[i], key, field, &all,
                                 mac)
            == NGX_OK
            && CRYPTO_memcmp(mac, is, NGX_CANARY_FLEET_MAC) == 0)
        {
            return NGX_OK;
        }
    }

    ngx_canary_fleet_alarm(node, key, field,
                           "is not signed by a key of this node");

    return NGX_DECLINED;
}


ngx_int_t
ngx_canary_fleet_unseal_young(ngx_canary_fleet_node_t *node,
    ngx_canary_fleet_key_e key, const char *field, const char *name,
    ngx_str_t *text)
{
    int64_t                    age;
    ngx_canary_fleet_author_t  author;

    if (text->len == 0) {
        return NGX_OK;
    }

    if (ngx_canary_fleet_unseal(node, key, field, text, &author) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (node->conf->nkeys == 0) {
        return NGX_OK;
    }

    if (name && ngx_strcmp(author.name, name) != 0) {
        ngx_canary_fleet_alarm(node, key, field, "is signed by another node");
        return NGX_DECLINED;
    }

    /* of a node that is gone, or was restarted, there are old ones */

    age = canary_fleet_age(&node->core, author.name, author.incarnation,
                           author.serial, ngx_canary_milliseconds());

    return (age >= 0 && age <= NGX_CANARY_FLEET_YOUNG) ? NGX_OK : NGX_DECLINED;
}


void
ngx_canary_fleet_alarm(ngx_canary_fleet_node_t *node,
    ngx_canary_fleet_key_e key, const char *field, const char *why)
{
    size_t      i;
    uint64_t    now;
    u_char      name[64];
    ngx_uint_t  more;

    now = ngx_canary_milliseconds();

    node->unverified++;
    node->alarms[key].more++;

    if (node->alarms[key].at
        && now - node->alarms[key].at < NGX_CANARY_FLEET_PACE)
    {
        return;
    }

    more = node->alarms[key].more - 1;

    node->alarms[key].at = now;
    node->alarms[key].more = 0;

    (void) ngx_cpystrn(name, (u_char *) field, sizeof(name));

    for (i = 0; name[i]; i++) {
        if (name[i] < 0x20 || name[i] > 0x7e) {
            name[i] = '?';
        }
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "canary: \"%s\" in \"%V\" of Redis %s%s, and %ui others in "
                  "the last seconds", name, &node->keys[key], why,
                  node->conf->nkeys ? ": it is ignored" : "", more);
}
