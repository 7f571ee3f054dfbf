
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "canary_fleet_record.h"


/* Which record of an endpoint stands, and how it is written. */


#define CANARY_FLEET_WORDS  7      /* of a first line */


typedef struct {
    const char  *data;
    size_t       len;
} canary_fleet_word_t;


static int canary_fleet_plain(unsigned char c, size_t at);
static int canary_fleet_hex(unsigned char c);
static size_t canary_fleet_words(const char *text, size_t len,
    canary_fleet_word_t words[CANARY_FLEET_WORDS]);
static int canary_fleet_number(const canary_fleet_word_t *word,
    uint64_t max, uint64_t *number);
static int canary_fleet_uid_read(const canary_fleet_word_t *word,
    uint32_t *uid);
static int canary_fleet_choice(const canary_fleet_word_t *word,
    const char *(*name)(uint32_t), uint32_t n, uint32_t *choice);
static int canary_fleet_ending(const canary_fleet_record_t *record);
static uint32_t canary_fleet_exposure(const canary_fleet_record_t *record);


static int
canary_fleet_plain(unsigned char c, size_t at)
{
    return c > 0x20 && c < 0x7f && c != '%' && c != '@'
           && (c != '-' || at > 0);
}


size_t
canary_fleet_escape(const char *name, size_t len, char *word)
{
    char    *p;
    size_t   i;

    static const char  hex[] = "0123456789ABCDEF";

    p = word;

    for (i = 0; i < len; i++) {
        if (canary_fleet_plain((unsigned char) name[i], i)) {
            *p++ = name[i];
            continue;
        }

        *p++ = '%';
        *p++ = hex[(unsigned char) name[i] >> 4];
        *p++ = hex[(unsigned char) name[i] & 0xf];
    }

    *p = '\0';

    return (size_t) (p - word);
}


static int
canary_fleet_hex(unsigned char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    return (c >= 'A' && c <= 'F') ? c - 'A' + 10 : -1;
}


size_t
canary_fleet_unescape(const char *word, size_t len, char *name, size_t size)
{
    int            high, low;
    size_t         i, n;
    unsigned char  c;

    n = 0;

    for (i = 0; i < len; i++) {
        c = (unsigned char) word[i];

        if (c == '%') {
            high = (len - i > 2) ? canary_fleet_hex(word[i + 1]) : -1;
            low = (len - i > 2) ? canary_fleet_hex(word[i + 2]) : -1;

            if (high < 0 || low < 0 || (high == 0 && low == 0)) {
                return 0;
            }

            c = (unsigned char) (high << 4 | low);
            i += 2;

        } else if (!canary_fleet_plain(c, i)) {
            return 0;
        }

        if (n + 1 >= size) {
            return 0;
        }

        name[n++] = (char) c;
    }

    if (n > 0) {
        name[n] = '\0';
    }

    return n;
}


size_t
canary_fleet_record_print(const canary_fleet_record_t *record,
    char line[CANARY_FLEET_LINE_SIZE])
{
    char  canary[CANARY_FLEET_WORD(CANARY_NAME_SIZE)];

    if (canary_fleet_escape(record->canary, strlen(record->canary), canary)
        == 0)
    {
        strcpy(canary, "-");
    }

    return (size_t) snprintf(line, CANARY_FLEET_LINE_SIZE,
                             "%" PRIu64 " %08" PRIx32 " %" PRIu32 " %s %"
                             PRIu32 " %s %s\n", record->generation,
                             record->uid, record->number,
                             canary_phase_name(record->phase), record->weight,
                             canary, canary_result_name(record->result));
}


size_t
canary_fleet_record_base(const canary_fleet_record_t *record, char base[32])
{
    if (record->generation == 0) {
        base[0] = '\0';
        return 0;
    }

    return (size_t) snprintf(base, 32, "%" PRIu64 " %08" PRIx32,
                             record->generation, record->uid);
}


/* a line of so many words with one space between; its length with "\n" */

static size_t
canary_fleet_words(const char *text, size_t len,
    canary_fleet_word_t words[CANARY_FLEET_WORDS])
{
    size_t    i, start;
    unsigned  n;

    n = 0;
    start = 0;

    for (i = 0; i < len; i++) {
        if (text[i] != ' ' && text[i] != '\n') {
            continue;
        }

        if (i == start || n == CANARY_FLEET_WORDS) {
            return 0;
        }

        words[n].data = &text[start];
        words[n++].len = i - start;
        start = i + 1;

        if (text[i] == '\n') {
            return (n == CANARY_FLEET_WORDS) ? start : 0;
        }
    }

    return 0;
}


/* decimal as it is printed: no sign, no leading zeros */

static int
canary_fleet_number(const canary_fleet_word_t *word, uint64_t max,
    uint64_t *number)
{
    size_t    i;
    uint64_t  n, digit;

    if (word->len > 1 && word->data[0] == '0') {
        return 0;
    }

    n = 0;

    for (i = 0; i < word->len; i++) {
        if (word->data[i] < '0' || word->data[i] > '9') {
            return 0;
        }

        digit = (uint64_t) (word->data[i] - '0');

        if (n > (max - digit) / 10) {
            return 0;
        }

        n = n * 10 + digit;
    }

    *number = n;

    return 1;
}


static int
canary_fleet_uid_read(const canary_fleet_word_t *word, uint32_t *uid)
{
    int     digit;
    char    c;
    size_t  i;

    if (word->len != 8) {
        return 0;
    }

    *uid = 0;

    for (i = 0; i < word->len; i++) {
        c = word->data[i];
        digit = (c >= 'a' && c <= 'f') ? c - 'a' + 10
                : (c >= '0' && c <= '9') ? c - '0' : -1;

        if (digit < 0) {
            return 0;
        }

        *uid = *uid << 4 | (uint32_t) digit;
    }

    return 1;
}


static int
canary_fleet_choice(const canary_fleet_word_t *word,
    const char *(*name)(uint32_t), uint32_t n, uint32_t *choice)
{
    uint32_t  i;

    for (i = 0; i < n; i++) {
        if (word->len == strlen(name(i))
            && memcmp(word->data, name(i), word->len) == 0)
        {
            *choice = i;
            return 1;
        }
    }

    return 0;
}


size_t
canary_fleet_record_parse(const char *text, size_t len,
    canary_fleet_record_t *record)
{
    size_t                     line;
    uint64_t                   number, weight;
    canary_fleet_word_t        words[CANARY_FLEET_WORDS], *canary;
    canary_fleet_record_t      r;

    line = canary_fleet_words(text, len, words);
    canary = &words[5];

    memset(&r, 0, sizeof(canary_fleet_record_t));

    if (line == 0
        || !canary_fleet_number(&words[0], UINT64_MAX / 2, &r.generation)
        || r.generation == 0
        || !canary_fleet_uid_read(&words[1], &r.uid)
        || !canary_fleet_number(&words[2], UINT32_MAX, &number)
        || !canary_fleet_choice(&words[3], canary_phase_name,
                                CANARY_BAKING + 1, &r.phase)
        || !canary_fleet_number(&words[4], CANARY_ONE, &weight)
        || !canary_fleet_choice(&words[6], canary_result_name,
                                CANARY_ROLLED_BACK + 1, &r.result))
    {
        return 0;
    }

    if ((canary->len != 1 || canary->data[0] != '-')
        && canary_fleet_unescape(canary->data, canary->len, r.canary,
                                 CANARY_NAME_SIZE)
           == 0)
    {
        return 0;
    }

    /* what a rollout cannot be is no record either */

    if ((r.phase == CANARY_IDLE) ? weight > 0
                                 : (r.result != CANARY_NO_RESULT
                                    || number == 0 || r.canary[0] == '\0'))
    {
        return 0;
    }

    r.number = (uint32_t) number;
    r.weight = (uint32_t) weight;
    *record = r;

    return line;
}


int
canary_fleet_record_same(const canary_fleet_record_t *one,
    const canary_fleet_record_t *two)
{
    return one->generation == two->generation
           && (one->generation == 0 || one->uid == two->uid);
}


/* of one rollout: 2 promoted, 1 rolled back, 0 all else */

static int
canary_fleet_ending(const canary_fleet_record_t *record)
{
    return (record->result == CANARY_PROMOTED) ? 2
           : (record->result == CANARY_ROLLED_BACK);
}


int
canary_fleet_record_order(const canary_fleet_record_t *one,
    const canary_fleet_record_t *two)
{
    if (one->generation == 0 || two->generation == 0) {
        return (one->generation > 0) - (two->generation > 0);
    }

    if (one->number != two->number) {
        return (one->number > two->number) ? 1 : -1;
    }

    if (canary_fleet_ending(one) != canary_fleet_ending(two)) {
        return canary_fleet_ending(one) - canary_fleet_ending(two);
    }

    if (one->generation != two->generation) {
        return (one->generation > two->generation) ? 1 : -1;
    }

    if (one->weight != two->weight) {
        return (one->weight < two->weight) ? 1 : -1;
    }

    return (one->uid > two->uid) - (one->uid < two->uid);
}


/* how much of the traffic a release has that was a canary: for good is most */

static uint32_t
canary_fleet_exposure(const canary_fleet_record_t *record)
{
    return (record->result == CANARY_PROMOTED) ? CANARY_ONE + 1
                                               : record->weight;
}


int
canary_fleet_record_raises(const canary_fleet_record_t *from,
    const canary_fleet_record_t *to)
{
    uint32_t  before;

    /* what another rollout has says nothing of this one */

    before = (from->generation > 0 && from->number == to->number)
             ? canary_fleet_exposure(from) : 0;

    return canary_fleet_exposure(to) > before;
}


void
canary_fleet_record_tell(const canary_fleet_record_t *ours,
    const canary_fleet_record_t *theirs, uint32_t uid,
    canary_fleet_record_t *told)
{
    *told = *ours;

    if (theirs->generation == 0) {
        return;
    }

    if (theirs->generation >= ours->generation) {
        told->generation = theirs->generation + 1;
        told->uid = uid;
    }

    /*
     * Another rollout's weight is no allowance: there, this one has none yet.
     */

    if (ours->weight > ((theirs->number == ours->number) ? theirs->weight : 0))
    {
        told->weight = (theirs->number == ours->number) ? theirs->weight : 0;
        told->phase = CANARY_PAUSED;
        told->uid = uid;
    }
}
