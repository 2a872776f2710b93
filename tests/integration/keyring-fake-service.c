/*
 * A Secret Service that does on purpose what real ones do sometimes. It holds one collection with one
 * item per path that it lists, all with the value "fake". `keyring-fake-service MODE`:
 *
 *   late       locked until the first Unlock, which takes no prompt (a keyring unlocked at login)
 *   prompt     locked, and Unlock wants a prompt
 *   twice      two items answer to one search
 *   error      each search fails with an error whose text has a control character
 *   huge       the item is longer than the broker takes
 *
 * It knows no cipher, so that sessions are "plain". "prompt" and "dismiss" go to stdout.
 */
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>

#define ROOT "/org/freedesktop/secrets"
#define COLLECTION ROOT "/collection/one"
#define ITEM COLLECTION "/1"
#define ITEM_TWO COLLECTION "/2"
#define PROMPT ROOT "/prompt/1"
#define HUGE_SIZE (64U * 1024U + 1U)

typedef struct Fake {
        const char *mode;
        gboolean locked;
} Fake;

static const char xml[] =
        "<node>"
        "<interface name='org.freedesktop.Secret.Service'>"
        "<method name='OpenSession'><arg type='s' direction='in'/><arg type='v' direction='in'/>"
        "<arg type='v' direction='out'/><arg type='o' direction='out'/></method>"
        "<method name='ReadAlias'><arg type='s' direction='in'/><arg type='o' direction='out'/></method>"
        "<method name='Unlock'><arg type='ao' direction='in'/><arg type='ao' direction='out'/>"
        "<arg type='o' direction='out'/></method>"
        "<property name='Collections' type='ao' access='read'/>"
        "</interface>"
        "<interface name='org.freedesktop.Secret.Collection'>"
        "<method name='SearchItems'><arg type='a{ss}' direction='in'/><arg type='ao' direction='out'/></method>"
        "<property name='Items' type='ao' access='read'/><property name='Label' type='s' access='read'/>"
        "<property name='Locked' type='b' access='read'/><property name='Created' type='t' access='read'/>"
        "<property name='Modified' type='t' access='read'/>"
        "</interface>"
        "<interface name='org.freedesktop.Secret.Item'>"
        "<method name='GetSecret'><arg type='o' direction='in'/><arg type='(oayays)' direction='out'/></method>"
        "<property name='Locked' type='b' access='read'/><property name='Attributes' type='a{ss}' access='read'/>"
        "<property name='Label' type='s' access='read'/><property name='Created' type='t' access='read'/>"
        "<property name='Modified' type='t' access='read'/>"
        "</interface>"
        "<interface name='org.freedesktop.Secret.Prompt'>"
        "<method name='Prompt'><arg type='s' direction='in'/></method><method name='Dismiss'/>"
        "</interface>"
        "</node>";

static GVariant *paths(const char *first, const char *second)
{
        const char *list[] = { first, second };

        return g_variant_new_objv(list, second ? 2 : first ? 1 : 0);
}

static void open_session(GVariant *parameters, GDBusMethodInvocation *call)
{
        const char *algorithm;

        g_variant_get(parameters, "(&sv)", &algorithm, NULL);
        if (strcmp(algorithm, "plain") != 0)
                g_dbus_method_invocation_return_dbus_error(call, "org.freedesktop.DBus.Error.NotSupported", "no");
        else
                g_dbus_method_invocation_return_value(
                        call, g_variant_new("(vo)", g_variant_new_string(""), ROOT "/session/1"));
}

static void unlock(Fake *fake, GDBusMethodInvocation *call)
{
        gboolean prompts = strcmp(fake->mode, "prompt") == 0;

        fake->locked = prompts;
        g_dbus_method_invocation_return_value(call, g_variant_new("(@aoo)", paths(prompts ? NULL : COLLECTION, NULL),
                                                                  prompts ? PROMPT : "/"));
}

static void search(const Fake *fake, GDBusMethodInvocation *call)
{
        if (strcmp(fake->mode, "error") == 0)
                g_dbus_method_invocation_return_dbus_error(call, "org.example.Fake.Broken", "broken\033[31m");
        else
                g_dbus_method_invocation_return_value(
                        call, g_variant_new("(@ao)",
                                            paths(ITEM, strcmp(fake->mode, "twice") == 0 ? ITEM_TWO : NULL)));
}

static void get_secret(const Fake *fake, GVariant *parameters, GDBusMethodInvocation *call)
{
        static char huge[HUGE_SIZE];
        gboolean is_huge = strcmp(fake->mode, "huge") == 0;
        GVariant *value = g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, is_huge ? huge : "fake",
                                                    is_huge ? sizeof(huge) : 4, 1);
        const char *session;

        g_variant_get(parameters, "(&o)", &session);
        g_dbus_method_invocation_return_value(
                call, g_variant_new("((o@ay@ays))", session,
                                    g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, "", 0, 1), value, "text/plain"));
}

static void on_call(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED const char *sender,
                    G_GNUC_UNUSED const char *path, G_GNUC_UNUSED const char *interface, const char *method,
                    GVariant *parameters, GDBusMethodInvocation *call, gpointer userdata)
{
        Fake *fake = userdata;

        if (strcmp(method, "OpenSession") == 0)
                open_session(parameters, call);
        else if (strcmp(method, "ReadAlias") == 0)
                g_dbus_method_invocation_return_value(call, g_variant_new("(o)", COLLECTION));
        else if (strcmp(method, "Unlock") == 0)
                unlock(fake, call);
        else if (strcmp(method, "SearchItems") == 0)
                search(fake, call);
        else if (strcmp(method, "GetSecret") == 0)
                get_secret(fake, parameters, call);
        else {
                printf("%s\n", strcmp(method, "Dismiss") == 0 ? "dismiss" : "prompt");
                g_dbus_method_invocation_return_value(call, NULL);
        }
}

static GVariant *on_get(G_GNUC_UNUSED GDBusConnection *bus, G_GNUC_UNUSED const char *sender,
                        G_GNUC_UNUSED const char *path, G_GNUC_UNUSED const char *interface, const char *property,
                        G_GNUC_UNUSED GError **error, gpointer userdata)
{
        const Fake *fake = userdata;

        if (strcmp(property, "Locked") == 0)
                return g_variant_new_boolean(fake->locked);
        if (strcmp(property, "Collections") == 0)
                return paths(COLLECTION, NULL);
        if (strcmp(property, "Items") == 0)
                return paths(ITEM, NULL);
        if (strcmp(property, "Label") == 0)
                return g_variant_new_string("fake");
        if (strcmp(property, "Attributes") == 0)
                return g_variant_new("a{ss}", NULL);
        return g_variant_new_uint64(0);
}

static void serve(GDBusConnection *bus, GDBusNodeInfo *node, const char *path, const char *interface, Fake *fake)
{
        static const GDBusInterfaceVTable vtable = { .method_call = on_call, .get_property = on_get };
        GDBusInterfaceInfo *info = g_dbus_node_info_lookup_interface(node, interface);

        (void)g_dbus_connection_register_object(bus, path, info, &vtable, fake, NULL, NULL);
}

int main(int argc, char **argv)
{
        Fake fake = { .mode = argc > 1 ? argv[1] : "" };
        g_autoptr(GDBusNodeInfo) node = g_dbus_node_info_new_for_xml(xml, NULL);
        g_autoptr(GDBusConnection) bus = g_bus_get_sync(G_BUS_TYPE_SESSION, NULL, NULL);
        g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);

        if (!bus || !node)
                return 1;
        setvbuf(stdout, NULL, _IOLBF, 0);
        fake.locked = strcmp(fake.mode, "late") == 0 || strcmp(fake.mode, "prompt") == 0;
        serve(bus, node, ROOT, "org.freedesktop.Secret.Service", &fake);
        serve(bus, node, COLLECTION, "org.freedesktop.Secret.Collection", &fake);
        serve(bus, node, ITEM, "org.freedesktop.Secret.Item", &fake);
        serve(bus, node, ITEM_TWO, "org.freedesktop.Secret.Item", &fake);
        serve(bus, node, PROMPT, "org.freedesktop.Secret.Prompt", &fake);
        (void)g_bus_own_name_on_connection(bus, "org.freedesktop.secrets", G_BUS_NAME_OWNER_FLAGS_NONE, NULL, NULL,
                                           NULL, NULL);
        g_main_loop_run(loop);
        return 0;
}
