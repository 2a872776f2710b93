#pragma once
/* What the tests of the stores share. Failures end the test. */
#include "keyring/store.h"
#include <check.h>

#define FIXTURE_ARENA_SIZE (4U * 1024U * 1024U)

/* An arena that each test has for itself. */
Arena *fixture_arena(void);
/* A folder of its own, which the caller removes by fixture_remove(). */
char *fixture_directory(void);
void fixture_remove(char *directory);
char *fixture_path(const char *directory, const char *name);
Secret *fixture_secret(Arena *arena, const char *text);

/* Stores the text, and expects the result. */
void fixture_store(Store *store, Arena *arena, const char *name, const char *text, int expected);
/* Loads and compares; `text` NULL expects that there is none. */
void fixture_expect(Store *store, const char *name, const char *text);

int fixture_run(const char *name, void (*add_cases)(Suite *suite));
