#include "scan_found.h"
#include <stdarg.h>
#include <string.h>

char *scan_shown(const Needles *needles, const char *text)
{
        _cleanup_(scanner_freep) Scanner *scanner = NULL;
        size_t size = strlen(text);
        ScanResult result = { 0 };
        char *shown = scanner_new(&scanner, needles) ? NULL : strdup(text);

        if (!shown)
                return NULL;
        scanner_run_bytes(scanner, (Slice){ (const uint8_t *)text, size }, &result);
        if (result.unchecked || result.no_memory)
                memset(shown, '*', size);
        for (size_t i = 0; i < result.n; i++)
                memset(shown + result.hits[i].offset, '*', result.hits[i].size);
        scan_result_clear(&result);
        return shown;
}

static bool room_for(ScanFound *found, size_t more)
{
        size_t room = found->room ? found->room : 16;
        ScanFile *files;

        while (room < found->n + more)
                room *= 2;
        if (room == found->room)
                return true;
        files = realloc(found->files, room * sizeof(*files));
        if (!files) {
                found->no_memory = true;
                return false;
        }
        found->files = files;
        found->room = room;
        return true;
}

static void tell_unchecked(ScanFound *found, const char *path, const char *object, const ScanResult *result)
{
        if (result->unchecked)
                scan_found_trouble(found, path, "%s%s%llu places look like something of ours and were not checked, being "
                                   "too many", object ? object : "", object ? ": " : "",
                                   (unsigned long long)result->unchecked);
}

void scan_found_add(ScanFound *found, const char *path, const char *object, const char *type, ScanResult *result)
{
        ScanFile *file;

        tell_unchecked(found, path, object, result);
        if (result->n == 0 || !room_for(found, 1)) {
                scan_result_clear(result);
                return;
        }
        file = &found->files[found->n];
        *file = (ScanFile){ .path = strdup(path), .result = *result };
        *result = (ScanResult){ 0 };
        if (!file->path) {
                scan_result_clear(&file->result);
                found->no_memory = true;
                return;
        }
        if (object)
                (void)snprintf(file->object, sizeof(file->object), "%s", object);
        if (type)
                (void)snprintf(file->type, sizeof(file->type), "%s", type);
        found->n++;
}

void scan_found_trouble(ScanFound *found, const char *path, const char *format, ...)
{
        char text[256];
        ScanTrouble trouble, *troubles;
        va_list args;

        va_start(args, format);
        (void)vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        trouble = (ScanTrouble){ .path = scan_shown(found->needles, path), .reason = scan_shown(found->needles, text) };
        cli_note("%s: %s", trouble.path ? trouble.path : "?", trouble.reason ? trouble.reason : "?");
        found->all_troubles++;
        troubles = found->n_troubles < SCAN_TROUBLES_MAX && trouble.path && trouble.reason
                           ? realloc(found->troubles, (found->n_troubles + 1) * sizeof(*troubles))
                           : NULL;
        if (!troubles) {
                free(trouble.path);
                free(trouble.reason);
                return;
        }
        found->troubles = troubles;
        troubles[found->n_troubles++] = trouble;
}

static void move_troubles(ScanFound *found, ScanFound *from)
{
        for (size_t i = 0; i < from->n_troubles; i++) {
                ScanTrouble *troubles = realloc(found->troubles, (found->n_troubles + 1) * sizeof(*troubles));

                if (troubles)
                        found->troubles = troubles;
                if (troubles && found->n_troubles < SCAN_TROUBLES_MAX) {
                        troubles[found->n_troubles++] = from->troubles[i];
                        continue;
                }
                free(from->troubles[i].path);
                free(from->troubles[i].reason);
        }
        free(from->troubles);
}

void scan_found_merge(ScanFound *found, ScanFound *from)
{
        if (from->n > 0 && room_for(found, from->n)) {
                memcpy(found->files + found->n, from->files, from->n * sizeof(*from->files));
                found->n += from->n;
                from->n = 0;
        }
        move_troubles(found, from);
        from->troubles = NULL;
        from->n_troubles = 0;
        found->all_troubles += from->all_troubles;
        found->looked_at += from->looked_at;
        found->bytes += from->bytes;
        found->too_large += from->too_large;
        found->no_memory = found->no_memory || from->no_memory;
        scan_found_clear(from);
}

static int compare_files(const void *a, const void *b)
{
        const ScanFile *left = a, *right = b;
        int order = strcmp(left->path, right->path);

        return order ? order : strcmp(left->object, right->object);
}

void scan_found_sort(ScanFound *found)
{
        if (found->n > 0)
                qsort(found->files, found->n, sizeof(*found->files), compare_files);
}

void scan_found_clear(ScanFound *found)
{
        for (size_t i = 0; i < found->n; i++) {
                free(found->files[i].path);
                scan_result_clear(&found->files[i].result);
        }
        for (size_t i = 0; i < found->n_troubles; i++) {
                free(found->troubles[i].path);
                free(found->troubles[i].reason);
        }
        free(found->files);
        free(found->troubles);
        *found = (ScanFound){ 0 };
}
