/* One configuration file, as a user or a package wrote it. What passes must fit the vault's
 * messages. */
#include "supervisor/config.h"
#include "target.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Problems problems = PROBLEMS_NULL;
        Config *config = NULL;
        int r = config_parse(&config, "f", slice(data, size), &problems);

        if ((r != 0 && r != CONFIG_E_INVALID) || (r == 0) == problems_any(&problems))
                abort();
        for (size_t i = 0; config && i < config->n_profiles; i++) {
                Buf buf = BUF_NULL(1024 * 1024);

                if (schema_encode(interface_to_vault.methods[TO_VAULT_CONFIGURE_PROFILE].request,
                                  &config->profiles[i], &buf) < 0)
                        abort();
                buf_deinit(&buf);
        }
        for (size_t i = 0; config && i < config->n_secrets; i++) {
                Buf buf = BUF_NULL(1024 * 1024);

                if (schema_encode(&schema_config_secret, &config->secrets[i], &buf) < 0)
                        abort();
                buf_deinit(&buf);
        }
        config_free(config);
        problems_deinit(&problems);
        return 0;
}
