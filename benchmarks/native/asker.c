/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * asker.c: as much load as one light client can make of a server that speaks memcached's text protocol on loopback.
 * `asker PORT KEYS CORE` makes CONNECTIONS (CORE: the processor to stay on, -1: any), and obeys one line after the other:
 *
 *   ask LINES EACH      from now on each request is so many lines "get", of so many keys each   -> bytes of an answer
 *   run MILLISECONDS    every connection has one request on its way, always                      -> gets, seconds
 *
 * The keys are "key-%08u", all stored, with values of one length: so all answers to a kind of request are equally
 * long, and it is enough to count bytes.  An answer that is shorter, as one with a miss, is waited for in vain, and
 * ends the program; each must end with "END".
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 32u
#define REQUESTS 64u /* that each kind has, of keys of chance */
#define REQUEST_MOST (64u << 10)
#define WAIT_MS 30000
static const char end[] = "END\r\n";

static struct connection {
    int socket;
    size_t seen; /* bytes of the answer */
    char last[sizeof end - 1];
} connections[CONNECTIONS];
static unsigned key_count, gets_each, next_request;
static char requests[REQUESTS][REQUEST_MOST], answer[1u << 18];
static size_t request_bytes, answer_bytes;
static int poller;

static void expect(const char *what, bool good) {
    if (!good) {
        (void)fprintf(stderr, "no %s (%s)\n", what, strerror(errno));
        exit(1);
    }
}

static void stay(int core) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    if (core >= 0) {
        CPU_SET((unsigned)core, &cores);
        expect("such processor", sched_setaffinity(0, sizeof cores, &cores) == 0);
    }
}

static double now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void connect_all(uint16_t port) {
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int on = 1;
    poller = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        const int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        expect("connection", s >= 0 && connect(s, (const struct sockaddr *)&to, sizeof to) == 0);
        expect("TCP_NODELAY", setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
        expect("epoll_ctl", epoll_ctl(poller, EPOLL_CTL_ADD, s, &event) == 0);
        connections[i].socket = s;
    }
}

static void make_requests(unsigned lines, unsigned each) {
    for (unsigned r = 0; r < REQUESTS; r++) {
        char *at = requests[r];
        for (unsigned line = 0; line < lines; line++) {
            at += sprintf(at, "get");
            for (unsigned k = 0; k < each; k++) {
                at += sprintf(at, " key-%08u", (unsigned)random() % key_count);
            }
            at += sprintf(at, "\r\n");
            expect("room for such a request", at < requests[r] + REQUEST_MOST - 16 * each - 16);
        }
        request_bytes = (size_t)(at - requests[r]);
    }
    gets_each = lines * each;
}

static void ask(struct connection *c) {
    const char *request = requests[next_request++ % REQUESTS];
    c->seen = 0;
    expect("room for a request in the socket", send(c->socket, request, request_bytes, 0) == (ssize_t)request_bytes);
}

static unsigned count_of(const char *text, const char *word) {
    unsigned found = 0;
    while ((text = strstr(text, word)) != NULL) {
        text++;
        found++;
    }
    return found;
}

/* The first answer tells how long all are: it is read until it has as many ends as there were lines. */
static size_t measure(unsigned lines) {
    static char text[1u << 22];
    size_t length = 0;
    ask(&connections[0]);
    do {
        const ssize_t got = recv(connections[0].socket, text + length, sizeof text - 1 - length, 0);
        expect("answer", got > 0);
        length += (size_t)got;
        text[length] = 0;
    } while (count_of(text, end) < lines);
    expect("value for each key", count_of(text, "VALUE ") == gets_each);
    return length;
}

/* Whether the answer is whole. */
static bool receive(struct connection *c) {
    const ssize_t got = recv(c->socket, answer, sizeof answer, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) {
        return false;
    }
    expect("server any more", got > 0);
    const size_t length = (size_t)got, tail = length < sizeof c->last ? length : sizeof c->last;
    memmove(c->last, c->last + tail, sizeof c->last - tail);
    memcpy(c->last + sizeof c->last - tail, answer + length - tail, tail);
    c->seen += length;
    expect("answer as long as the first", c->seen <= answer_bytes);
    expect("END of an answer", c->seen < answer_bytes || memcmp(c->last, end, sizeof c->last) == 0);
    return c->seen == answer_bytes;
}

static void run(double seconds) {
    const double began = now(), until = began + seconds;
    double took = 0;
    unsigned long answers = 0;
    unsigned on_their_way = CONNECTIONS;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        ask(&connections[i]);
    }
    while (on_their_way > 0) {
        struct epoll_event events[CONNECTIONS];
        const int ready = epoll_wait(poller, events, CONNECTIONS, WAIT_MS);
        expect("answers of full length within half a minute", ready > 0);
        const double t = now();
        for (int e = 0; e < ready; e++) {
            struct connection *c = &connections[events[e].data.u32];
            if (!receive(c)) {
                continue;
            }
            answers++;
            took = t - began;
            if (t < until) {
                ask(c);
            } else {
                on_their_way--;
            }
        }
    }
    (void)printf("%lu %.9f\n", answers * gets_each, took);
}

int main(int count, char **words) {
    char line[128];
    expect("arguments PORT KEYS CORE", count == 4);
    key_count = (unsigned)atoi(words[2]);
    expect("keys", key_count > 0);
    stay(atoi(words[3]));
    connect_all((uint16_t)atoi(words[1]));
    while (fgets(line, sizeof line, stdin)) {
        unsigned lines, each;
        double milliseconds;
        if (sscanf(line, "ask %u %u", &lines, &each) == 2) {
            make_requests(lines, each);
            answer_bytes = measure(lines);
            (void)printf("%zu\n", answer_bytes);
        } else {
            expect("such command", sscanf(line, "run %lf", &milliseconds) == 1);
            run(milliseconds / 1e3);
        }
        (void)fflush(stdout);
    }
    return 0;
}
