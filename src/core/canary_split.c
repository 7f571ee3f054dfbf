
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "canary_split.h"


uint32_t
canary_split_first_phase(uint32_t n)
{
    uint32_t  bit, phase;

    phase = 0;

    for (bit = 1u << 31; n; bit >>= 1) {
        if (n & 1) {
            phase |= bit;
        }

        n >>= 1;
    }

    return phase;
}
