/*
 * What the servers have used, from /proc: CPU time and resident memory of processes and all their descendants.
 *
 * CPU is the sum of task/N/schedstat; threads that have ended are not counted. On the loopback interface the receiving half of
 * TCP runs on the sender's core, so it is an upper bound of what a network card would cost.
 */
#include "load.h"
#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The process trees below `roots`, from one walk over the parents in /proc. */
static int process_trees(const int *roots, int count, int *out, int max)
{
    static int pid[65536], parent[65536];
    int n = 0, found = 0;
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    while (proc && (entry = readdir(proc)) && n < 65536) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        char path[300], line[512];
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        FILE *f = fopen(path, "r");
        if (!f)
            continue;
        char *end = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
        if (end && sscanf(end + 1, " %*c %d", &parent[n]) == 1)
            pid[n++] = atoi(entry->d_name);
        fclose(f);
    }
    if (proc)
        closedir(proc);
    for (int i = 0; i < count; i++)
        out[found++] = roots[i];
    for (int i = 0; i < found; i++)
        for (int j = 0; j < n && found < max; j++)
            if (parent[j] == out[i])
                out[found++] = pid[j];
    return found;
}

static uint64_t process_cpu_ns(int pid)
{
    uint64_t total = 0;
    char path[300];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    struct dirent *entry;
    while (tasks && (entry = readdir(tasks))) {
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, entry->d_name);
        FILE *f = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        unsigned long long ns;
        if (f && fscanf(f, "%llu", &ns) == 1)
            total += ns;
        if (f)
            fclose(f);
    }
    if (tasks)
        closedir(tasks);
    return total;
}

static long process_rss_kb(int pid)
{
    char path[300];
    long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    FILE *f = fopen(path, "r");
    if (f && fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

usage_t server_usage(void)
{
    usage_t u = {0, 0, 0};
    int tree[1024], n = opt.pid_count ? process_trees(opt.pids, opt.pid_count, tree, 1024) : 0;
    for (int i = 0; i < n; i++) {
        u.cpu_ns += process_cpu_ns(tree[i]);
        u.rss_kb += process_rss_kb(tree[i]);
    }
    for (int i = 0; i < opt.beside_count; i++)
        u.beside_ns += process_cpu_ns(opt.beside[i]);
    return u;
}
