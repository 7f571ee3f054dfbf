
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl_http.h"


#define CTL_TOKEN_MAX  4096


static ctl_exit_t ctl_http_base(ctl_http_t *http, const char *text);
static CURLUcode ctl_url_strip(CURLU *url, ctl_http_t *http);
static CURLUcode ctl_url_slash(CURLU *url);
static char *ctl_url_part(CURLU *url, CURLUPart part);
static ctl_exit_t ctl_http_token(ctl_http_t *http, const char *name);
static int ctl_is_token(const char *token);


ctl_exit_t
ctl_http_open(ctl_http_t *http, const ctl_options_t *options)
{
    ctl_exit_t   rc;
    const char  *url, *p;

    memset(http, 0, sizeof(ctl_http_t));
    http->options = options;

    curl_global_init(CURL_GLOBAL_DEFAULT);

    http->curl = curl_easy_init();
    if (http->curl == NULL) {
        ctl_no_memory();
    }

    url = (options->url && options->url[0]) ? options->url : CTL_URL;

    rc = ctl_http_base(http, url);
    if (rc != CTL_DONE) {
        return rc;
    }

    for (p = options->generation; p && *p; p++) {
        if (*p < '0' || *p > '9') {
            break;
        }
    }

    if (p && (*p || p == options->generation)) {
        ctl_error("--if-generation has to be a whole number, as status "
                  "shows it, not \"%s\"", options->generation);
        return CTL_USAGE;
    }

    if (options->token_file && options->token_file[0]) {
        return ctl_http_token(http, options->token_file);
    }

    return CTL_DONE;
}


void
ctl_http_close(ctl_http_t *http)
{
    curl_easy_cleanup(http->curl);

    free(http->base);
    free(http->user);
    free(http->password);
    free(http->token);

    curl_global_cleanup();
}


static ctl_exit_t
ctl_http_base(ctl_http_t *http, const char *text)
{
    char       *scheme;
    CURLU      *url;
    CURLUcode   rc;

    url = curl_url();
    if (url == NULL) {
        ctl_no_memory();
    }

    rc = curl_url_set(url, CURLUPART_URL, text, CURLU_GUESS_SCHEME);

    scheme = (rc == CURLUE_OK) ? ctl_url_part(url, CURLUPART_SCHEME) : NULL;

    if (scheme && strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
    {
        rc = CURLUE_UNSUPPORTED_SCHEME;
    }

    free(scheme);

    if (rc == CURLUE_OK) {
        rc = ctl_url_strip(url, http);
    }

    if (rc == CURLUE_OK) {
        rc = ctl_url_slash(url);
    }

    if (rc == CURLUE_OK) {
        http->base = ctl_url_part(url, CURLUPART_URL);
    }

    curl_url_cleanup(url);

    if (http->base == NULL) {

        /* it may hold a password, and is not shown */

        ctl_error("the URL of the API (--url or CANARY_URL) is none of http "
                  "or https; it should be like " CTL_URL);
        return CTL_USAGE;
    }

    return CTL_DONE;
}


/* the user and the password go by themselves: the rest may be shown */

static CURLUcode
ctl_url_strip(CURLU *url, ctl_http_t *http)
{
    CURLUcode  rc;

    http->user = ctl_url_part(url, CURLUPART_USER);
    http->password = ctl_url_part(url, CURLUPART_PASSWORD);

    rc = curl_url_set(url, CURLUPART_USER, NULL, 0);

    if (rc == CURLUE_OK) {
        rc = curl_url_set(url, CURLUPART_PASSWORD, NULL, 0);
    }

    if (rc == CURLUE_OK) {
        rc = curl_url_set(url, CURLUPART_QUERY, NULL, 0);
    }

    if (rc == CURLUE_OK) {
        rc = curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0);
    }

    return rc;
}


static CURLUcode
ctl_url_slash(CURLU *url)
{
    char        *path;
    size_t       len;
    CURLUcode    rc;
    ctl_text_t   longer = { NULL, 0, 0 };

    rc = curl_url_get(url, CURLUPART_PATH, &path, 0);
    if (rc != CURLUE_OK) {
        return rc;
    }

    len = strlen(path);

    if (len == 0 || path[len - 1] != '/') {
        ctl_text_addf(&longer, "%s/", path);
        rc = curl_url_set(url, CURLUPART_PATH, longer.data, 0);
        ctl_text_free(&longer);
    }

    curl_free(path);

    return rc;
}


/* decoded, but a whole URL; to be freed; NULL: there is none */

static char *
ctl_url_part(CURLU *url, CURLUPart part)
{
    char      *text, *copy;
    unsigned   flags;

    flags = (part == CURLUPART_URL) ? 0 : CURLU_URLDECODE;

    if (curl_url_get(url, part, &text, flags) != CURLUE_OK) {
        return NULL;
    }

    copy = ctl_strdup(text);
    curl_free(text);

    return copy;
}


/*
 * Beside a user and password, which take the header Authorization, the token
 * has one of its own.
 */

static ctl_exit_t
ctl_http_token(ctl_http_t *http, const char *name)
{
    FILE        *file;
    char         token[CTL_TOKEN_MAX];
    size_t       n;
    ctl_text_t   header = { NULL, 0, 0 };

    file = fopen(name, "r");
    if (file == NULL) {
        ctl_error("cannot read the file of the token, %s: %s", name,
                  strerror(errno));
        return CTL_FAILED;
    }

    n = fread(token, 1, sizeof(token) - 1, file);
    fclose(file);

    token[n] = '\0';

    while (n && strchr(" \t\r\n", token[n - 1])) {
        token[--n] = '\0';
    }

    if (!ctl_is_token(token)) {
        ctl_error("there is no token in %s: it should hold one line, the "
                  "token that canaryctl token has made", name);
        return CTL_FAILED;
    }

    ctl_text_addf(&header, "%s%s", http->user ? "X-Canary-Token: "
                                              : "Authorization: Bearer ",
                  token);
    http->token = header.data;

    return CTL_DONE;
}


/* what a header can hold, as one word */

static int
ctl_is_token(const char *token)
{
    const char  *p;

    for (p = token; *p; p++) {
        if (*p <= ' ' || *p >= 0x7f) {
            return 0;
        }
    }

    return p > token;
}


/* curl_easy_escape() would encode slashes too */

char *
ctl_endpoint_path(const char *name, const char *rest)
{
    ctl_text_t  path = { NULL, 0, 0 };

    if (*name == '/') {
        name++;
    }

    ctl_text_adds(&path, "endpoints/");

    for ( /* void */ ; *name; name++) {

        if ((*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z')
            || (*name >= '0' && *name <= '9') || strchr("-._~/", *name))
        {
            ctl_text_add(&path, name, 1);

        } else {
            ctl_text_addf(&path, "%%%02X", (unsigned char) *name);
        }
    }

    ctl_text_adds(&path, rest);

    return path.data;
}
