/* The command line. */
#include "load.h"
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

options_t opt = {
    .host = "127.0.0.1", .app = "app-id", .key = "app-key", .secret = "app-secret", .mode = "fanout", .type = "public", .label = "",
    .ports = {6001}, .port_count = 1, .conns = 100, .channels = 1, .apps = 1, .concurrency = 64, .window = 1, .burst = 1, .filler = 200,
    .duration = 1.5, .warmup = 0.4, .timeout = 60, .settle = 1, .watchers = 1, .lease = 10,
};

static const char usage[] =
    "pusherload [options]\n"
    "  -m MODE   fanout    trigger over HTTP, count deliveries (closed loop -w/-b, or open loop -r/-b)\n"
    "            http      -H connections trigger as fast as they can, one subscriber\n"
    "            connect   rate of connect + subscribe\n"
    "            idle      server memory per subscribed connection, and its CPU while nothing happens\n"
    "            client    client events between pairs on private channels (-n counts both ends, -w in flight per pair)\n"
    "            presence  -n members join one presence channel at once; until each has seen all the others\n"
    "            list      -n connections hold -k channels; GET /channels -r times per second\n"
    "            leave     a connection subscribed to -k channels vanishes and comes back, -r times per second\n"
    "            join      one of -n members leaves a presence channel and joins it again, and again\n"
    "            death     of -n members of -k presence channels all but -W in each are on the second port; its process -V\n"
    "                      is killed, and those on the first are to hear of each that left, after the lease -L\n"
    "  -a HOST -P PORT[,PORT] -A APP_ID -K KEY -s SECRET      (127.0.0.1 6001 app-id app-key app-secret)\n"
    "  -g G      applications ID-0 ... with KEY-0 ... and one secret, that channels are spread over\n"
    "  -B PORT   where the backend's requests and the probe go (default: the first port of -P)\n"
    "  -p PID[,PID]  server processes; CPU and memory are summed over them and their descendants\n"
    "  -o PID[,PID]  others, whose CPU is shown beside that\n"
    "  -n N      WebSocket connections      -k K  channels they are spread over      -c C  handshakes in flight\n"
    "  -t TYPE   public | private | presence: channels of fanout, connect and idle\n"
    "  -w W      closed loop: bursts in flight      -b B  events posted together      -r R  open loop: events per second\n"
    "  -q Q      probe: a channel with one subscriber gets Q events per second meanwhile (fanout, list, leave)\n"
    "  -H H      HTTP connections (default: W*B closed loop, 64 open loop, 8 in mode http)\n"
    "  -D BYTES  filler per event      -S N  of the subscribers stop reading      -l LABEL  echoed\n"
    "  -d SEC    measured      -u SEC  warm-up      -e SEC  settle before memory is read      -T SEC  connect time limit\n"
    "  -x        vanish at the end (TCP reset) instead of closing every WebSocket properly\n";

int mode_is(const char *name) { return !strcmp(opt.mode, name); }

/* "1,2,3" into `out`; how many they are. */
static int numbers(char *list, int *out)
{
    int n = 0;
    for (char *at = strtok(list, ","); at && n < MOST; at = strtok(NULL, ","))
        out[n++] = atoi(at);
    return n;
}

static void parse(int argc, char **argv)
{
    int o;
    while ((o = getopt(argc, argv, "m:a:P:B:A:K:s:g:p:o:V:W:L:n:k:c:t:w:b:r:q:H:D:S:l:d:u:e:T:xh")) != -1)
        switch (o) {
        case 'm': opt.mode = optarg; break;
        case 'a': opt.host = optarg; break;
        case 'P': opt.port_count = numbers(optarg, opt.ports); break;
        case 'B': opt.backend = atoi(optarg); break;
        case 'A': opt.app = optarg; break;
        case 'K': opt.key = optarg; break;
        case 's': opt.secret = optarg; break;
        case 'g': opt.apps = atoi(optarg); break;
        case 'p': opt.pid_count = numbers(optarg, opt.pids); break;
        case 'o': opt.beside_count = numbers(optarg, opt.beside); break;
        case 'V': opt.victim = atoi(optarg); break;
        case 'W': opt.watchers = atoi(optarg); break;
        case 'L': opt.lease = atof(optarg); break;
        case 'n': opt.conns = atoi(optarg); break;
        case 'k': opt.channels = atoi(optarg); break;
        case 'c': opt.concurrency = atoi(optarg); break;
        case 't': opt.type = optarg; break;
        case 'w': opt.window = atoi(optarg); break;
        case 'b': opt.burst = atoi(optarg); break;
        case 'r': opt.rate = atof(optarg); break;
        case 'q': opt.probe_rate = atof(optarg); break;
        case 'H': opt.http = atoi(optarg); break;
        case 'D': opt.filler = atoi(optarg); break;
        case 'S': opt.slow = atoi(optarg); break;
        case 'l': opt.label = optarg; break;
        case 'd': opt.duration = atof(optarg); break;
        case 'u': opt.warmup = atof(optarg); break;
        case 'e': opt.settle = atof(optarg); break;
        case 'T': opt.timeout = atof(optarg); break;
        case 'x': opt.vanish = 1; break;
        default:
            fputs(usage, o == 'h' ? stdout : stderr);
            exit(o != 'h');
        }
}

void read_options(int argc, char **argv)
{
    parse(argc, argv);
    if (mode_is("http"))
        opt.conns = opt.channels = 1;
    if (mode_is("presence")) {
        opt.type = "presence";
        opt.channels = 1;
        hold_subscriptions = 1;
    }
    if (!opt.backend)
        opt.backend = opt.ports[0];
    if (mode_is("join") || mode_is("death"))
        opt.type = "presence";
    if (mode_is("join"))
        opt.channels = 1;
    if (mode_is("client")) {
        opt.conns -= opt.conns % 2;
        opt.channels = 1;
        opt.type = "private";
    }
    if (mode_is("leave"))
        opt.conns = 1;
    int wrong = opt.port_count < 1 || (mode_is("death") && (opt.port_count != 2 || opt.victim <= 1)) || (mode_is("join") && opt.conns < 3);
    wrong = wrong || opt.conns < 1 || opt.channels < 1 || opt.apps < 1 || opt.slow > opt.conns || opt.window < 1 || opt.burst < 1 ||
                opt.filler > 200000 || opt.channels >= PROBE_CHANNEL;
    if (!wrong && channels_each() == 1)
        wrong = opt.conns % opt.channels || (opt.conns - opt.slow) % opt.channels || opt.channels % opt.apps;
    else if (!wrong)
        wrong = opt.channels % opt.conns || opt.apps > 1;
    if (wrong) {
        fputs("numbers out of range, or -n, -k and -g are not multiples of each other (pusherload -h)\n", stderr);
        exit(1);
    }
    filler = malloc(opt.filler + 1);
    memset(filler, 'x', opt.filler);
    filler[opt.filler] = 0;
}
