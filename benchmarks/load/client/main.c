/* Connects, runs the mode, says goodbye. `pusherload -h` lists the options. */
#include "load.h"
#include <sys/resource.h>

static void raise_file_limit(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    raise_file_limit();
    loop_init();
    usage_t before = server_usage();
    uint64_t begin = now_ns();
    if (!connect_all())
        fail("not every connection was subscribed");
    double seconds = (now_ns() - begin) / 1e9;
    if (mode_is("connect") || mode_is("idle"))
        run_connect(before, seconds);
    else if (mode_is("presence"))
        run_presence();
    else if (mode_is("list"))
        run_list();
    else if (mode_is("leave"))
        run_leave();
    else if (mode_is("join"))
        run_join();
    else if (mode_is("death"))
        run_death();
    else if (mode_is("fanout") || mode_is("http") || mode_is("client"))
        run_traffic();
    else
        fail("unknown mode");
    if (!opt.vanish)
        leave();
    return 0;
}
