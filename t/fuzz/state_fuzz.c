
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * The reader of the state file.  A checksum that is right is not found by
 * chance, so the input is read as a document, and once more as the value of
 * "state" of one.  What is accepted is the same when it is written and read
 * again.
 */


#include "canary_state_json.h"

#include "fuzz.h"


static void fuzz_document(const char *text, size_t len);
static void fuzz_again(const canary_state_t *state);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char    *text, *sealed;
    size_t   len;

    text = fuzz_text(data, size);
    fuzz_document(text, size);

    sealed = canary_state_json_seal(text, size, &len);
    fuzz_assert(sealed != NULL);
    fuzz_document(sealed, len);

    free(sealed);
    free(text);

    return 0;
}


static void
fuzz_document(const char *text, size_t len)
{
    char             error[CANARY_STATE_ERROR];
    canary_state_t  *state;

    state = canary_state_json_read(text, len, error);

    fuzz_assert((state == NULL) == (error[0] != '\0'));

    if (state) {
        fuzz_again(state);
        canary_state_destroy(state);
    }
}


static void
fuzz_again(const canary_state_t *state)
{
    char             error[CANARY_STATE_ERROR], *text, *again;
    size_t           len, size;
    canary_state_t  *copy;

    text = canary_state_json_write(state, &len);
    fuzz_assert(text != NULL);

    copy = canary_state_json_read(text, len, error);
    fuzz_assert(copy != NULL);

    again = canary_state_json_write(copy, &size);
    fuzz_assert(again && size == len && memcmp(again, text, len) == 0);

    free(again);
    canary_state_destroy(copy);
    free(text);
}
