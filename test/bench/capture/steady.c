/*
 * steady PORT RATE SECONDS CONNECTIONS: GET requests over kept TLS connections at a fixed rate, open loop. A request is
 * due when its time has come, whether or not earlier ones were answered, and its latency counts from then: a slow server
 * does not hide its own queue. The first fifth of the time warms up and is not counted.
 * Prints JSON: requests due and answered in the counted time, and latencies in µs (p50, p99, p999, max) of the answered.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 256
#define REQUESTS_MAX 2000000

#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                                  \
      exit(1);                                                                                                         \
    }                                                                                                                  \
  } while (0)

static const char REQUEST[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

struct connection {
  SSL *ssl;
  int fd;
  int64_t due_ns; /* of the request under way; 0 = idle */
  size_t have;
  size_t want;
  char answer[4096];
};

static struct connection connections[CONNECTIONS_MAX];
static int idle[CONNECTIONS_MAX];
static int idle_count;
static float *latencies;
static uint32_t answered;

static int64_t now_ns(void)
{
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000ll + time.tv_nsec;
}

static void open_connection(struct connection *c, SSL_CTX *context, int port)
{
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  int one = 1;
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(connect(c->fd, (struct sockaddr *)&address, sizeof(address)) == 0);
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  c->ssl = SSL_new(context);
  SSL_set_fd(c->ssl, c->fd);
  CHECK(SSL_connect(c->ssl) == 1);
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
}

/* Whole answer's size once its head is here, from content-length; 0 before. */
static size_t answer_size(struct connection *c)
{
  c->answer[c->have] = 0;
  char *end = strstr(c->answer, "\r\n\r\n");
  char *length = strcasestr(c->answer, "content-length:");
  if (!end || !length)
    return 0;
  return (size_t)(end + 4 - c->answer) + strtoul(length + 15, NULL, 10);
}

static void take(struct connection *c, int64_t counted_from)
{
  for (;;) {
    int size = SSL_read(c->ssl, c->answer + c->have, (int)(sizeof(c->answer) - 1 - c->have));
    if (size <= 0) {
      CHECK(SSL_get_error(c->ssl, size) == SSL_ERROR_WANT_READ);
      return;
    }
    c->have += (size_t)size;
    if (c->want == 0)
      c->want = answer_size(c);
    if (c->want == 0 || c->have < c->want)
      continue;
    if (c->due_ns >= counted_from && answered < REQUESTS_MAX)
      latencies[answered++] = (float)((double)(now_ns() - c->due_ns) / 1000);
    c->due_ns = 0;
    c->have = c->want = 0;
    idle[idle_count++] = (int)(c - connections);
    return;
  }
}

static int compare(const void *a, const void *b)
{
  const float x = *(const float *)a, y = *(const float *)b;
  return x < y ? -1 : x > y;
}

int main(int count, char **words)
{
  CHECK(count == 5);
  int port = atoi(words[1]), connection_count = atoi(words[4]);
  double rate = atof(words[2]), seconds = atof(words[3]);
  CHECK(connection_count > 0 && connection_count <= CONNECTIONS_MAX && rate > 0);
  alarm((unsigned)seconds + 10);
  prctl(PR_SET_TIMERSLACK, 1000);
  latencies = malloc(REQUESTS_MAX * sizeof(*latencies));
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  int poll_fd = epoll_create1(0);
  for (int i = 0; i < connection_count; i++) {
    open_connection(&connections[i], context, port);
    struct epoll_event event = { .events = EPOLLIN, .data.u32 = (uint32_t)i };
    CHECK(epoll_ctl(poll_fd, EPOLL_CTL_ADD, connections[i].fd, &event) == 0);
    idle[idle_count++] = i;
  }

  const double interval_ns = 1e9 / rate;
  const int64_t begun = now_ns();
  const int64_t counted_from = begun + (int64_t)(seconds * 0.2e9);
  const int64_t end = begun + (int64_t)(seconds * 1e9);
  uint64_t next = 0, due = 0;
  for (int64_t now = begun; now < end; now = now_ns()) {
    int64_t next_ns = begun + (int64_t)((double)next * interval_ns);
    while (idle_count > 0 && next_ns <= now) {
      struct connection *c = &connections[idle[--idle_count]];
      c->due_ns = next_ns;
      due += next_ns >= counted_from;
      CHECK(SSL_write(c->ssl, REQUEST, sizeof(REQUEST) - 1) == sizeof(REQUEST) - 1);
      next_ns = begun + (int64_t)((double)++next * interval_ns);
    }
    struct timespec wait = { 0, 0 };
    int64_t left = idle_count > 0 ? next_ns - now_ns() : 10000000;
    if (left > 0)
      wait.tv_nsec = left < 10000000 ? left : 10000000;
    struct epoll_event events[64];
    int ready = epoll_pwait2(poll_fd, events, 64, &wait, NULL);
    for (int i = 0; i < ready; i++)
      take(&connections[events[i].data.u32], counted_from);
  }
  /* What was due and could not even be sent counts as due. */
  for (; begun + (int64_t)((double)next * interval_ns) < end; next++)
    due += 1;
  CHECK(answered > 0);
  qsort(latencies, answered, sizeof(*latencies), compare);
  printf("{\"due\":%llu,\"answered\":%u,\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f}\n", (unsigned long long)due, answered,
         latencies[answered / 2], latencies[(uint64_t)answered * 99 / 100], latencies[(uint64_t)answered * 999 / 1000],
         latencies[answered - 1]);
  return 0;
}
