/* The load: keep-alive HTTP/1.1 connections that send requests prebuilt in a file, each the next one as soon as it has
 * an answer. One thread, epoll; counts statuses, lengths and latencies, and prints one JSON object.
 *
 *     client PORT CONNECTIONS SECONDS FILE
 *
 * FILE holds requests one after the other, each behind its length as four bytes, least significant first. All connections
 * take from one row of requests, over and over, so that two in flight at once are neighbours in it and never the same.
 * After SECONDS nothing more is sent; what is in flight is awaited, counted as an answer, and not in the rate. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BUFFER 65536
#define PATIENCE 10000000000ull /* nanoseconds for what is in flight at the end */
#define EXCERPT 400             /* bytes kept of the first answer that is not 200 */
#define FINE 6                  /* a latency is kept to 1/64 */

enum state { HEAD, BODY, CHUNK_SIZE, CHUNK, TRAILER, UNTIL_CLOSE };

struct connection {
    int fd;
    enum state state;
    int status, closes, head_seen; /* head_seen: bytes of this answer have come */
    uint64_t left;                 /* of the body or the chunk */
    uint64_t line;                 /* bytes of the trailer's line; digits of the chunk's size */
    uint64_t body;                 /* bytes so far */
    uint64_t sent_at;
    const char *out; /* of the request at hand */
    size_t out_left, held;
    char in[BUFFER];
};

struct request {
    const char *bytes;
    size_t length;
};

static struct sockaddr_in server;
static struct request *requests;
static size_t request_count, next_request;
static int poller, active;
static uint64_t begun, deadline;
static uint64_t answers, answers_in_time, dropped, reconnects, statuses[600], other_statuses;
static uint64_t body_bytes, body_least = UINT64_MAX, body_most, latency_most, latencies[64 << FINE];
static char excerpt[EXCERPT + 1];
static size_t excerpt_length;

static void fail(const char *what) {
    fprintf(stderr, "client: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

static size_t bucket(uint64_t value) {
    if (value < 1u << FINE)
        return value;
    int shift = 63 - FINE - __builtin_clzll(value);
    return ((size_t)(shift + 1) << FINE) + ((value >> shift) & ((1u << FINE) - 1));
}

static uint64_t bucket_middle(size_t index) {
    if (index < 1u << FINE)
        return index;
    int shift = (int)(index >> FINE) - 1;
    uint64_t low = ((1ull << FINE) + (index & ((1u << FINE) - 1))) << shift;
    return low + (1ull << shift) / 2;
}

/* The latency that `share` of the answers do not exceed, in microseconds. */
static double percentile(double share) {
    uint64_t wanted = (uint64_t)(share * (double)answers), seen = 0;
    for (size_t i = 0; i < sizeof latencies / sizeof *latencies; i++)
        if ((seen += latencies[i]) > wanted)
            return (double)bucket_middle(i) / 1e3;
    return (double)latency_most / 1e3;
}

static void read_requests(const char *path) {
    int fd = open(path, O_RDONLY);
    struct stat about;
    if (fd < 0 || fstat(fd, &about) < 0)
        fail(path);
    size_t size = (size_t)about.st_size, at = 0;
    unsigned char *bytes = malloc(size + 1);
    requests = malloc((size / 4 + 1) * sizeof *requests);
    for (ssize_t got; at < size; at += (size_t)got)
        if (!bytes || !requests || (got = read(fd, bytes + at, size - at)) <= 0)
            fail(path);
    close(fd);
    for (at = 0; at + 4 <= size; request_count++) {
        size_t length = bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16 | (size_t)bytes[at + 3] << 24;
        if (length > size - at - 4)
            break;
        requests[request_count] = (struct request){(char *)bytes + at + 4, length};
        at += 4 + length;
    }
    if (at != size || !request_count) {
        errno = EINVAL;
        fail(path);
    }
}

/* 0, or -1 where nobody listens. */
static int dial(struct connection *c) {
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0)
        fail("socket");
    if (connect(c->fd, (struct sockaddr *)&server, sizeof server) < 0) {
        close(c->fd);
        return -1;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event) < 0)
        fail("epoll_ctl");
    c->held = 0;
    return 0;
}

static void retire(struct connection *c) {
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    active--;
}

static void await(struct connection *c, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
}

/* -1 where the connection is broken. */
static int flush(struct connection *c, int waited) {
    while (c->out_left) {
        ssize_t wrote = send(c->fd, c->out, c->out_left, MSG_NOSIGNAL);
        if (wrote < 0 && errno == EAGAIN) {
            await(c, EPOLLIN | EPOLLOUT);
            return 0;
        }
        if (wrote < 0)
            return -1;
        c->out += wrote;
        c->out_left -= (size_t)wrote;
    }
    if (waited)
        await(c, EPOLLIN);
    return 0;
}

static void redial(struct connection *c);

static void send_next(struct connection *c, uint64_t time) {
    if (time >= deadline) {
        retire(c);
        return;
    }
    const struct request *request = &requests[next_request];
    if (++next_request == request_count)
        next_request = 0;
    c->out = request->bytes;
    c->out_left = request->length;
    c->state = HEAD;
    c->head_seen = 0;
    c->body = 0;
    c->sent_at = time;
    if (flush(c, 0) < 0) {
        dropped++;
        redial(c);
    }
}

/* A new socket after the server closed the old one, while there is time. */
static void redial(struct connection *c) {
    close(c->fd);
    c->fd = -1;
    if (now() >= deadline || dropped > 10000 || dial(c) < 0) {
        dropped += now() < deadline && dropped <= 10000;
        retire(c);
        return;
    }
    reconnects++;
    send_next(c, now());
}

static void answered(struct connection *c) {
    uint64_t time = now(), latency = time - c->sent_at;
    answers++;
    answers_in_time += time <= deadline;
    latencies[bucket(latency)]++;
    if (latency > latency_most)
        latency_most = latency;
    if (c->status >= 100 && c->status < 600)
        statuses[c->status]++;
    else
        other_statuses++;
    body_bytes += c->body;
    if (c->body < body_least)
        body_least = c->body;
    if (c->body > body_most)
        body_most = c->body;
    if (c->closes)
        redial(c);
    else
        send_next(c, time);
}

/* A line of the head, without its end. */
static void header(struct connection *c, const char *line, size_t length, int *chunked, int64_t *announced) {
    if (length > 15 && !strncasecmp(line, "content-length:", 15))
        *announced = strtoll(line + 15, NULL, 10);
    else if (length > 18 && !strncasecmp(line, "transfer-encoding:", 18))
        *chunked = memmem(line, length, "chunked", 7) != NULL;
    else if (length > 11 && !strncasecmp(line, "connection:", 11))
        for (size_t i = 11; i + 5 <= length; i++) {
            c->closes |= !strncasecmp(line + i, "close", 5);
            if (i + 10 <= length && !strncasecmp(line + i, "keep-alive", 10))
                c->closes = 0;
        }
}

/* What a whole head says of the body; `end` is behind the empty line. */
static void read_head(struct connection *c, const char *head, const char *end) {
    int chunked = 0;
    int64_t announced = -1;
    c->status = end - head > 12 && !memcmp(head, "HTTP/1.", 7) ? atoi(head + 9) : 0;
    c->closes = !c->status || head[7] == '0';
    for (const char *line = head, *stop; line < end; line = stop + 1) {
        stop = memchr(line, '\n', (size_t)(end - line));
        header(c, line, (size_t)(stop - line), &chunked, &announced);
    }
    c->left = announced < 0 ? 0 : (uint64_t)announced;
    c->line = 0;
    if (c->status / 100 == 1)
        c->state = HEAD;
    else if (c->status == 204 || c->status == 304)
        c->state = BODY;
    else if (chunked)
        c->state = CHUNK_SIZE;
    else
        c->state = announced >= 0 ? BODY : UNTIL_CLOSE;
    if (c->state == UNTIL_CLOSE)
        c->closes = 1;
}

static void keep_excerpt(const struct connection *c, const char *bytes, size_t length) {
    if (c->status == 200 || excerpt_length == EXCERPT)
        return;
    if (length > EXCERPT - excerpt_length)
        length = EXCERPT - excerpt_length;
    memcpy(excerpt + excerpt_length, bytes, length);
    excerpt_length += length;
}

/* Reads the length before a chunk, one character. */
static void chunk_size(struct connection *c, char character) {
    if (character == '\n') {
        c->state = c->left ? CHUNK : TRAILER;
        c->left += c->left ? 2 : 0; /* the line end behind the chunk */
        c->line = 0;
        return;
    }
    if (c->line == 0 && strchr("0123456789abcdefABCDEF", character) && character)
        c->left = c->left << 4 | (uint64_t)(character <= '9' ? character - '0' : (character | 32) - 'a' + 10);
    else
        c->line = 1; /* an extension: its characters are no digits */
}

/* Takes what it can from the bytes; returns how many, and says in `whole` whether the answer is. */
static size_t take_body(struct connection *c, const char *bytes, size_t length, int *whole) {
    if (c->state == CHUNK_SIZE) {
        chunk_size(c, *bytes);
        return 1;
    }
    if (c->state == TRAILER) {
        *whole = *bytes == '\n' && c->line == 0;
        c->line = *bytes == '\n' ? 0 : c->line + (*bytes != '\r');
        return 1;
    }
    size_t took = c->state != UNTIL_CLOSE && c->left < length ? c->left : length;
    keep_excerpt(c, bytes, took);
    c->body += took;
    if (c->state == UNTIL_CLOSE)
        return took;
    c->left -= took;
    if (c->state == CHUNK && !c->left) {
        c->body -= 2;
        c->state = CHUNK_SIZE;
    } else
        *whole = c->state == BODY && !c->left;
    return took;
}

/* Goes through the bytes held. Whole answers are followed by nothing: the next request has not been sent. */
static void digest(struct connection *c) {
    size_t at = 0;
    int whole = 0;
    while (at < c->held && !whole) {
        if (c->state == HEAD) {
            const char *end = memmem(c->in + at, c->held - at, "\r\n\r\n", 4);
            if (!end)
                break;
            read_head(c, c->in + at, end + 4);
            at = (size_t)(end + 4 - c->in);
            whole = c->state == BODY && !c->left;
        } else
            at += take_body(c, c->in + at, c->held - at, &whole);
    }
    memmove(c->in, c->in + at, c->held - at);
    c->held -= at;
    if (whole)
        answered(c);
}

static void receive(struct connection *c) {
    ssize_t got = c->held < BUFFER ? recv(c->fd, c->in + c->held, BUFFER - c->held, 0) : 0;
    if (got > 0) {
        c->held += (size_t)got;
        digest(c);
    } else if (got == 0 && c->state == UNTIL_CLOSE)
        answered(c);
    else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        dropped++;
        redial(c);
    }
}

static void run(struct connection *connections, int count) {
    struct epoll_event events[256];
    begun = now();
    deadline += begun;
    for (int i = 0; i < count; i++)
        send_next(&connections[i], now());
    while (active > 0 && now() < deadline + PATIENCE) {
        int ready = epoll_wait(poller, events, 256, 100);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT && flush(c, 1) < 0) {
                dropped++;
                redial(c);
            } else if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                receive(c);
        }
    }
    dropped += (uint64_t)active; /* nobody answered these in all that time */
}

static void print(void) {
    double seconds = (double)(deadline - begun) / 1e9;
    printf("{\"seconds\": %.6f, \"answers\": %llu, \"in_time\": %llu, \"dropped\": %llu, \"reconnects\": %llu, ", seconds,
           (unsigned long long)answers, (unsigned long long)answers_in_time, (unsigned long long)dropped,
           (unsigned long long)reconnects);
    printf("\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"most\": %.1f, ", percentile(0.5), percentile(0.9),
           percentile(0.99), (double)latency_most / 1e3);
    printf("\"body_bytes\": %llu, \"body_least\": %llu, \"body_most\": %llu, \"statuses\": {",
           (unsigned long long)body_bytes, (unsigned long long)(answers ? body_least : 0),
           (unsigned long long)body_most);
    const char *comma = "";
    for (int status = 0; status < 600; status++)
        if (statuses[status]) {
            printf("%s\"%d\": %llu", comma, status, (unsigned long long)statuses[status]);
            comma = ", ";
        }
    if (other_statuses)
        printf("%s\"0\": %llu", comma, (unsigned long long)other_statuses);
    printf("}, \"excerpt\": \"");
    for (size_t i = 0; i < excerpt_length; i++) {
        unsigned char byte = (unsigned char)excerpt[i];
        if (byte < 32 || byte > 126 || byte == '"' || byte == '\\')
            printf("\\u%04x", byte);
        else
            putchar(byte);
    }
    printf("\"}\n");
}

int main(int argc, char **argv) {
    if (argc != 5 || atoi(argv[1]) < 1 || atoi(argv[2]) < 1 || atof(argv[3]) <= 0) {
        fprintf(stderr, "usage: client PORT CONNECTIONS SECONDS FILE\n");
        return 2;
    }
    int count = atoi(argv[2]);
    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t)atoi(argv[1]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    deadline = (uint64_t)(atof(argv[3]) * 1e9);
    read_requests(argv[4]);
    poller = epoll_create1(0);
    struct connection *connections = calloc((size_t)count, sizeof *connections);
    if (poller < 0 || !connections)
        fail("epoll");
    for (; active < count; active++)
        if (dial(&connections[active]) < 0)
            fail("connect");
    run(connections, count);
    print();
    return 0;
}
