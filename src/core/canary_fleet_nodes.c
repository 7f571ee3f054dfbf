
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_fleet_nodes.h"


/* What nodes say of themselves, read. */


/* What is left of a text. */

typedef struct {
    const char  *data;
    size_t       len;
} canary_fleet_rest_t;


static int canary_fleet_take_word(canary_fleet_rest_t *rest,
    const char **word, size_t *len);
static int canary_fleet_take_number(canary_fleet_rest_t *rest,
    uint64_t *number);
static int canary_fleet_take_hex(canary_fleet_rest_t *rest,
    uint32_t *number);
static int canary_fleet_take_name(canary_fleet_rest_t *rest,
    char name[CANARY_NAME_SIZE]);
static void canary_fleet_take_list(canary_fleet_rest_t *rest,
    const char **list, size_t *len);
static void canary_fleet_take_signed(canary_fleet_rest_t *rest,
    canary_fleet_node_t *node);
static int canary_fleet_read_address(const char *word, size_t len,
    char address[CANARY_NAME_SIZE]);
static int canary_fleet_lacks(const canary_fleet_node_t *node,
    const char *line);


int
canary_fleet_name_valid(const char *name, size_t len)
{
    char    c;
    size_t  i;

    for (i = 0; i < len; i++) {
        c = name[i];

        if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
            && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-')
        {
            return 0;
        }
    }

    return len > 0 && len < CANARY_NAME_SIZE;
}


/* words of a line are divided by one space each */

static int
canary_fleet_take_word(canary_fleet_rest_t *rest, const char **word,
    size_t *len)
{
    size_t  i;

    for (i = 0; i < rest->len; i++) {
        if (rest->data[i] == ' ' || rest->data[i] == '\n') {
            break;
        }
    }

    *word = rest->data;
    *len = i;

    if (i < rest->len && rest->data[i] == ' ') {
        i++;
    }

    rest->data += i;
    rest->len -= i;

    return *len > 0;
}


static int
canary_fleet_take_number(canary_fleet_rest_t *rest, uint64_t *number)
{
    size_t       i, len;
    const char  *word;

    /* so many digits are below 2^63 */

    if (!canary_fleet_take_word(rest, &word, &len) || len > 18) {
        return 0;
    }

    *number = 0;

    for (i = 0; i < len; i++) {
        if (word[i] < '0' || word[i] > '9') {
            return 0;
        }

        *number = *number * 10 + (uint64_t) (word[i] - '0');
    }

    return 1;
}


static int
canary_fleet_take_hex(canary_fleet_rest_t *rest, uint32_t *number)
{
    size_t       i, len;
    const char  *word, *digit;

    static const char  digits[] = "0123456789abcdef";

    if (!canary_fleet_take_word(rest, &word, &len) || len > 8) {
        return 0;
    }

    *number = 0;

    for (i = 0; i < len; i++) {
        digit = memchr(digits, word[i], sizeof(digits) - 1);

        if (digit == NULL) {
            return 0;
        }

        *number = *number << 4 | (uint32_t) (digit - digits);
    }

    return 1;
}


static int
canary_fleet_take_name(canary_fleet_rest_t *rest, char name[CANARY_NAME_SIZE])
{
    size_t       len;
    const char  *word;

    if (!canary_fleet_take_word(rest, &word, &len)
        || !canary_fleet_name_valid(word, len))
    {
        return 0;
    }

    memcpy(name, word, len);
    name[len] = '\0';

    return 1;
}


static void
canary_fleet_take_list(canary_fleet_rest_t *rest, const char **list,
    size_t *len)
{
    (void) canary_fleet_take_word(rest, list, len);

    if (*len == 1 && **list == '-') {
        *len = 0;
    }
}


/* what there is only with a key */

static void
canary_fleet_take_signed(canary_fleet_rest_t *rest, canary_fleet_node_t *node)
{
    uint64_t  version, term, members;

    if (!canary_fleet_take_number(rest, &version)
        || !canary_fleet_take_number(rest, &term) || term > UINT32_MAX
        || !canary_fleet_take_number(rest, &members)
        || members > CANARY_FLEET_NODES)
    {
        return;
    }

    canary_fleet_take_list(rest, &node->holds, &node->holds_len);
    canary_fleet_take_list(rest, &node->asks, &node->asks_len);
    canary_fleet_take_list(rest, &node->forgot, &node->forgot_len);

    node->version = version;
    node->term = (uint32_t) term;
    node->members = (uint32_t) members;
    node->has_signed = 1;
}


/* "-" is one that nobody has seen */

static int
canary_fleet_read_address(const char *word, size_t len,
    char address[CANARY_NAME_SIZE])
{
    address[0] = '\0';

    return (len == 1 && word[0] == '-')
           || canary_fleet_unescape(word, len, address, CANARY_NAME_SIZE) > 0;
}


int
canary_fleet_node_parse(const char *name, size_t name_len, const char *text,
    size_t len, canary_fleet_node_t *node)
{
    size_t                address_len;
    uint64_t              lived, error;
    const char           *address, *line;
    canary_fleet_rest_t   rest = { text, len };

    memset(node, 0, sizeof(canary_fleet_node_t));

    if (!canary_fleet_name_valid(name, name_len)
        || !canary_fleet_take_hex(&rest, &node->incarnation)
        || !canary_fleet_take_number(&rest, &node->last)
        || !canary_fleet_take_number(&rest, &node->version)
        || !canary_fleet_take_number(&rest, &lived)
        || !canary_fleet_take_word(&rest, &address, &address_len)
        || !canary_fleet_read_address(address, address_len, node->address)
        || !canary_fleet_take_number(&rest, &error)
        || error > UINT32_MAX)
    {
        return 0;
    }

    canary_fleet_take_signed(&rest, node);

    memcpy(node->name, name, name_len);
    node->error = (uint32_t) error;

    line = memchr(rest.data, '\n', rest.len);

    if (line) {
        node->lacks = line + 1;
        node->lacks_len = rest.len - (size_t) (line + 1 - rest.data);
    }

    return 1;
}


int
canary_fleet_members_parse(const char *text, size_t len,
    canary_fleet_member_t members[CANARY_FLEET_NODES])
{
    int                  n;
    canary_fleet_rest_t  rest = { text, len };

    for (n = 0; rest.len > 0; n++) {
        if (n == CANARY_FLEET_NODES) {
            return -1;
        }

        memset(&members[n], 0, sizeof(canary_fleet_member_t));

        if (!canary_fleet_take_name(&rest, members[n].name)
            || !canary_fleet_take_number(&rest, &members[n].number))
        {
            return -1;
        }
    }

    return n;
}


canary_fleet_age_t
canary_fleet_node_age(const canary_fleet_node_t *node, uint64_t now,
    uint64_t timeout)
{
    /* what seems to be of the future was written before that clock went back */

    if (node->last > now) {
        return CANARY_FLEET_SILENT;
    }

    if (now - node->last <= timeout) {
        return CANARY_FLEET_LIVE;
    }

    return (now - node->last < CANARY_FLEET_GONE) ? CANARY_FLEET_SILENT
                                                  : CANARY_FLEET_NODE_GONE;
}


size_t
canary_fleet_lack_print(canary_fleet_lack_t lack, const char *endpoint,
    const char *what, char line[CANARY_FLEET_LACK_SIZE])
{
    char  *p;

    static const char *const  names[] = {
        " endpoint", " release ", " match ", " server ", "- version"
    };

    p = line;

    if (lack != CANARY_FLEET_LACKS_VERSION) {
        p += canary_fleet_escape(endpoint, strlen(endpoint), p);
    }

    strcpy(p, names[lack]);
    p += strlen(names[lack]);

    if (lack != CANARY_FLEET_LACKS_VERSION
        && lack != CANARY_FLEET_LACKS_ENDPOINT)
    {
        p += canary_fleet_escape(what, strlen(what), p);
    }

    *p++ = '\n';
    *p = '\0';

    return (size_t) (p - line);
}


const char *
canary_fleet_next_lack(const canary_fleet_node_t *node, const char **at,
    size_t *len)
{
    size_t       left;
    const char  *line, *end;

    line = *at;

    if (line == NULL) {
        return NULL;
    }

    left = node->lacks_len - (size_t) (line - node->lacks);
    end = memchr(line, '\n', left);

    if (end == NULL) {
        return NULL;
    }

    *len = (size_t) (end - line);
    *at = end + 1;

    return line;
}


static int
canary_fleet_lacks(const canary_fleet_node_t *node, const char *line)
{
    size_t       len, word, line_len;
    const char  *at, *is;

    static const char  endpoint[] = " endpoint";

    at = node->lacks;
    word = strcspn(line, " ");
    line_len = strcspn(line, "\n");

    for ( ;; ) {
        is = canary_fleet_next_lack(node, &at, &len);

        if (is == NULL) {
            return 0;
        }

        if ((len == line_len && memcmp(is, line, len) == 0)
            || (len == word + sizeof(endpoint) - 1
                && memcmp(is, line, word) == 0
                && memcmp(is + word, endpoint, sizeof(endpoint) - 1) == 0))
        {
            return 1;
        }
    }
}


int
canary_fleet_nobody_has(const canary_fleet_node_t *nodes, unsigned n,
    uint64_t now, uint64_t timeout, const char *line)
{
    unsigned  i, live;

    live = 0;

    for (i = 0; i < n; i++) {
        if (canary_fleet_node_age(&nodes[i], now, timeout)
            != CANARY_FLEET_LIVE)
        {
            continue;
        }

        if (!canary_fleet_lacks(&nodes[i], line)) {
            return 0;
        }

        live++;
    }

    return live > 0;
}
