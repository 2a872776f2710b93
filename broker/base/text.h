#pragma once
/* Small text work: validation, hex, times, durations. */
#include "base/error.h"
#include "base/slice.h"

/* "2026-01-31T23:59:59Z" and a NUL. */
#define TEXT_TIME_SIZE 21U
/* "2026-01-31T23:59:59.123456Z" and a NUL. */
#define TEXT_TIME_USEC_SIZE 28U

enum {
        _TEXT_E_SUCCESS,
        TEXT_E_INVALID, /* not of the form that the function takes */
};

/* Well-formed UTF-8 (RFC 3629) without NUL. */
bool text_is_utf8(Slice text);
/* After a snprintf() that may have cut a character in two: drops bytes off the end until the text is
 * whole. Text that was not UTF-8 before is cut where it stops being it. */
void text_mend_end(char *text) NONNULL(1);
/* [a-z0-9][a-z0-9._-]*, at most 64: names of secrets, profiles and providers. */
bool text_is_name(const char *name);
/* [A-Za-z_][A-Za-z0-9_]*, at most 128: an environment variable. */
bool text_is_env_name(const char *name);
/* Of two that may be NULL: both are, or neither is and they are equal. */
bool text_is_same(const char *a, const char *b);
/* No control characters, C0, DEL or C1, so that it can be put on one line. */
bool text_is_printable(const char *text);
/* The bytes of the character at the front of `text`, which ends with a NUL; 0: it is no UTF-8, and `ret` stays. */
size_t text_character(const char *text, uint32_t *ret) NONNULL(1, 2);
/* What a terminal acts on, C0, DEL and C1; and what makes one text look like another: line ends, directions and blanks
 * that are not seen. All of it has at most four hexadecimal digits. */
bool text_is_control(uint32_t character);
/* `out` holds 2 * size + 1 bytes. */
void text_hex(Slice bytes, char *out);
int text_unhex(const char *hex, uint8_t *out, size_t size) NODISCARD NONNULL(1, 2);
/* RFC 3339 in UTC, whole seconds or microseconds. */
void text_time(uint64_t wall_usec, char out[TEXT_TIME_SIZE]);
void text_time_usec(uint64_t wall_usec, char out[TEXT_TIME_USEC_SIZE]);
/* RFC 3339 with "Z" or an offset, optional fraction. Years 1970 to 9999. */
int text_parse_time(const char *text, uint64_t *ret_usec) NODISCARD NONNULL(1, 2);
/* "90", "90s", "30m", "8h", "7d" into microseconds; 0 is refused. */
int text_parse_duration(const char *text, uint64_t *ret_usec) NODISCARD NONNULL(1, 2);
int text_parse_u64(const char *text, uint64_t *ret) NODISCARD NONNULL(1, 2);
