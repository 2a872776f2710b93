/* Runs a target over each file of the corpus, where there is no libFuzzer; and over each file cut
 * short. */
#include "target.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (1024U * 1024U)
/* Longer files are not cut at each byte. */
#define CUT_MAX 8192U

static void run(const uint8_t *data, size_t size)
{
        uint8_t *exact = malloc(size > 0 ? size : 1); /* so that a sanitizer sees a byte too many */

        if (!exact)
                abort();
        if (size > 0)
                memcpy(exact, data, size);
        (void)LLVMFuzzerTestOneInput(exact, size);
        free(exact);
}

static int run_file(const char *directory, const char *name)
{
        static uint8_t data[FILE_MAX];
        char path[4096];
        size_t size;
        FILE *file;

        snprintf(path, sizeof(path), "%s/%s", directory, name);
        file = fopen(path, "re");
        if (!file)
                return -1;
        size = fread(data, 1, sizeof(data), file);
        fclose(file);
        run(data, size);
        for (size_t cut = 0; size <= CUT_MAX && cut < size; cut++)
                run(data, cut);
        return 0;
}

int main(int argc, char **argv)
{
        struct dirent *entry;
        unsigned files = 0;
        DIR *directory;

        if (argc != 2)
                return 2;
        directory = opendir(argv[1]);
        if (!directory)
                return 1;
        while ((entry = readdir(directory)))
                if (entry->d_name[0] != '.') {
                        if (run_file(argv[1], entry->d_name) < 0)
                                return 1;
                        files++;
                }
        closedir(directory);
        printf("%u files\n", files);
        return files == 0;
}
