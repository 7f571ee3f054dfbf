
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#define _XOPEN_SOURCE  700               /* fileno() */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "canary_text.h"
#include "ctl_http.h"


#define CTL_TOKEN_MAX  4095


static ctl_exit_t ctl_http_base(ctl_http_t *http, const char *text);
static CURLUcode ctl_url_strip(CURLU *url, ctl_http_t *http);
static CURLUcode ctl_url_slash(CURLU *url);
static char *ctl_url_part(CURLU *url, CURLUPart part);
static int ctl_url_is_here(CURLU *url);
static ctl_exit_t ctl_http_token(ctl_http_t *http, const char *name);
static int ctl_token_read(const char *name, char *token, size_t *n);
static void ctl_token_warn(const char *name, FILE *file);
static int ctl_is_token(const char *token, size_t len);


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
        http->here = ctl_url_is_here(url);
    }

    curl_url_cleanup(url);

    if (http->base == NULL) {

        /* it may hold a password, and is not shown */

        ctl_error("the URL of the API (--url or CANARY_URL) cannot be used: "
                  "%s; it should be like " CTL_URL, curl_url_strerror(rc));
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


static int
ctl_url_is_here(CURLU *url)
{
    int    here;
    char  *host;

    host = ctl_url_part(url, CURLUPART_HOST);

    here = host && (strcmp(host, "localhost") == 0
                    || strncmp(host, "127.", 4) == 0
                    || strcmp(host, "[::1]") == 0);
    free(host);

    return here;
}


/*
 * Beside a user and password, which take the header Authorization, the token
 * has one of its own.
 */

static ctl_exit_t
ctl_http_token(ctl_http_t *http, const char *name)
{
    char         token[CTL_TOKEN_MAX + 1];
    size_t       n;
    ctl_text_t   header = { NULL, 0, 0 };

    n = sizeof(token);

    if (!ctl_token_read(name, token, &n)) {
        return CTL_FAILED;
    }

    if (n > CTL_TOKEN_MAX) {
        ctl_error("%s is larger than %d bytes: it should hold one line, the "
                  "token that canaryctl token has made", name, CTL_TOKEN_MAX);
        return CTL_FAILED;
    }

    while (n && (token[n - 1] == ' ' || token[n - 1] == '\t'
                 || token[n - 1] == '\r' || token[n - 1] == '\n'))
    {
        n--;
    }

    if (!ctl_is_token(token, n)) {
        ctl_error("there is no token in %s: it should hold one line, the "
                  "token that canaryctl token has made", name);
        return CTL_FAILED;
    }

    ctl_text_adds(&header, http->user ? "X-Canary-Token: "
                                      : "Authorization: Bearer ");
    ctl_text_add(&header, token, n);
    http->token = header.data;

    return CTL_DONE;
}


/* n: the most that is read, and what was */

static int
ctl_token_read(const char *name, char *token, size_t *n)
{
    int    bad;
    FILE  *file;

    errno = 0;
    bad = 1;
    file = fopen(name, "r");

    if (file) {
        ctl_token_warn(name, file);

        *n = fread(token, 1, *n, file);
        bad = ferror(file);
    }

    if (bad) {
        ctl_error("cannot read the file of the token, %s: %s", name,
                  strerror(errno));
    }

    if (file) {
        fclose(file);
    }

    return !bad;
}


/* What a shell hands over as a pipe is nobody else's to read. */

static void
ctl_token_warn(const char *name, FILE *file)
{
    struct stat  st;

    if (fstat(fileno(file), &st) == 0 && S_ISREG(st.st_mode)
        && (st.st_mode & 077))
    {
        ctl_error("warning: %s, which holds a token, is open to others (mode "
                  "%04o): chmod 600 makes it its owner's", name,
                  (unsigned) (st.st_mode & 07777));
    }
}


/* what a header can hold, as one word */

static int
ctl_is_token(const char *token, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (token[i] <= ' ' || token[i] >= 0x7f) {
            return 0;
        }
    }

    return len > 0;
}


const char *
ctl_bad_endpoint(const char *name)
{
    name += (*name == '/');

    return canary_text_bad_name(name, strlen(name));
}


/* curl_easy_escape() would encode slashes too */

char *
ctl_endpoint_path(const char *name, const char *rest)
{
    ctl_text_t  path = { NULL, 0, 0 };

    name += (*name == '/');

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
