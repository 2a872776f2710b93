#pragma once
/*
 * Unix sockets at paths that a sandbox would see: services of this system, which a network namespace
 * does not keep it from.
 */
#include "sandbox_places.h"

/* Adds those that are bound now, and that we may connect to, to what is masked. What another network
 * namespace has bound is not known, nor what will be bound later. */
void sandbox_listeners_mask(Places *places);
