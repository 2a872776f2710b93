#pragma once
/*
 * The tables, as the steps that lead from one version of the state to the next. A step that was
 * released is never changed. PRAGMA user_version counts the steps that a database has behind it.
 */
#include "base/macros.h"

extern const char *const db_migrations[];
extern const size_t db_n_migrations;
