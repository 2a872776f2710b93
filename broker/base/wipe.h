#pragma once
/*
 * An allocator that wipes what it frees, for the libraries of roles that speak with upstreams: libcurl
 * and jansson copy credentials on their way. Allocations are prefixed with their size, so pointers of this allocator
 * and of malloc() must not be mixed.
 */
#include "base/macros.h"

void *wipe_malloc(size_t size);
void *wipe_calloc(size_t n, size_t size);
void *wipe_realloc(void *data, size_t size);
char *wipe_strdup(const char *text);
void wipe_free(void *data);
