#include "store.h"
#include "output.h"

int store_print(const mcpcred_row *row, void *userdata)
{
        const Cli *cli = userdata;
        Json json;

        if (cli->json) {
                json_begin(&json);
                json_row_members(&json, row);
                (void)json_end(&json, stdout);
        } else {
                (void)printf("The store (%s) is %s.\n", mcpcred_row_text(row, "store"),
                             mcpcred_row_text(row, "store_state"));
        }
        return 0;
}
