#include "harden/harden.h"
