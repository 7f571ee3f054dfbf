
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "ctl.h"


#define CTL_TOKEN_BYTES  32               /* of chance */


static int ctl_token_check(const char *name, const char *role);
static int ctl_token_hash(const char *token, char *hex);
static void ctl_token_hex(const unsigned char *bytes, size_t n, char *hex);


/* The token is text; what is hashed is that text. */

ctl_exit_t
ctl_token(const ctl_options_t *options)
{
    char           token[2 * CTL_TOKEN_BYTES + 1];
    char           hash[2 * EVP_MAX_MD_SIZE + 1];
    const char    *name, *role;
    unsigned char  bytes[CTL_TOKEN_BYTES];

    name = options->args[1];
    role = options->args[2];

    if (!ctl_token_check(name, role)) {
        return CTL_USAGE;
    }

    if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
        ctl_error("OpenSSL has no random bytes");
        return CTL_FAILED;
    }

    ctl_token_hex(bytes, sizeof(bytes), token);

    if (!ctl_token_hash(token, hash)) {
        ctl_error("OpenSSL has no SHA-256");
        return CTL_FAILED;
    }

    if (ctl_given(options, CTL_OPT_JSON)) {
        printf("{\"name\":\"%s\",\"role\":\"%s\",\"token\":\"%s\","
               "\"line\":\"%s %s %s\"}\n",
               name, role, token, name, role, hash);
        return CTL_DONE;
    }

    printf("token  %s\nline   %s %s %s\n", token, name, role, hash);

    if (isatty(STDOUT_FILENO)) {
        ctl_note("%s", "");
        ctl_note("The token is shown this once: keep it in a file that only "
                 "its user may read, for");
        ctl_note("--token-file. The line goes into the file of "
                 "canary_api_tokens; then reload nginx.");
    }

    return CTL_DONE;
}


/* The name is a word of the file, of JSON and of the log. */

static int
ctl_token_check(const char *name, const char *role)
{
    size_t  len;

    len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                       "0123456789-._@");

    if (len == 0 || name[len]) {
        ctl_error("the name of a token is made of letters, digits and -._@, "
                  "not \"%s\"", name);
        return 0;
    }

    if (strcmp(role, "reader") != 0 && strcmp(role, "operator") != 0) {
        ctl_error("the role of a token is reader or operator, not \"%s\"",
                  role);
        return 0;
    }

    return 1;
}


static int
ctl_token_hash(const char *token, char *hex)
{
    unsigned       n;
    unsigned char  digest[EVP_MAX_MD_SIZE];

    if (EVP_Digest(token, strlen(token), digest, &n, EVP_sha256(), NULL) != 1)
    {
        return 0;
    }

    ctl_token_hex(digest, n, hex);

    return 1;
}


static void
ctl_token_hex(const unsigned char *bytes, size_t n, char *hex)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        sprintf(hex + 2 * i, "%02x", bytes[i]);
    }
}
