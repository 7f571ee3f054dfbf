
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef FUZZ_H
#define FUZZ_H


#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>


/* A target of libFuzzer; what must never be is a call of abort(). */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static inline void
fuzz_assert(int condition)
{
    if (!condition) {
        abort();
    }
}


/* A copy that ends with a zero, as those who read text want it. */

static inline char *
fuzz_text(const uint8_t *data, size_t size)
{
    char  *text;

    text = malloc(size + 1);
    fuzz_assert(text != NULL);

    if (size) {
        memcpy(text, data, size);
    }

    text[size] = '\0';

    return text;
}


#endif /* FUZZ_H */
