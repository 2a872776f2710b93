#pragma once
/* What libFuzzer calls, and the replay of the corpus. */
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
