#pragma once
/* CRC-32/ISO-HDLC, as zlib has it: the checksum inside the tokens of several issuers, and of ours. */
#include "base/slice.h"

uint32_t crc32_iso(Slice bytes);
