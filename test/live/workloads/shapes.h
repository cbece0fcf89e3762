/* What the workload programs share: bytes that differ by connection and direction, their hashes, sockets, the report. */
#ifndef SHAPES_H
#define SHAPES_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* No program runs longer: a workload that hangs must not hold up a test run. */
#define SECONDS_MAX 60

#define TO_SERVER 0
#define TO_CLIENT 1

#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno));                             \
      exit(1);                                                                                                         \
    }                                                                                                                  \
  } while (0)

/* One way of a connection: what was sent or received so far. */
struct tally {
  EVP_MD_CTX *hash;
  uint64_t bytes;
};

static inline void tally_start(struct tally *tally)
{
  tally->hash = EVP_MD_CTX_new();
  tally->bytes = 0;
  CHECK(EVP_DigestInit_ex(tally->hash, EVP_sha256(), NULL) == 1);
}

static inline void tally_add(struct tally *tally, const void *bytes, size_t size)
{
  EVP_DigestUpdate(tally->hash, bytes, size);
  tally->bytes += size;
}

static inline void tally_print(struct tally *tally, const char *name)
{
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_DigestFinal_ex(tally->hash, digest, &size);
  printf("\"%s\":[\"", name);
  for (unsigned i = 0; i < size; i++)
    printf("%02x", digest[i]);
  printf("\",%llu]", (unsigned long long)tally->bytes);
  EVP_MD_CTX_free(tally->hash);
}

/* SplitMix64: no two connections or directions have the same bytes, and no byte is where a shifted copy would have it. */
struct source {
  uint64_t state;
};

static inline void source_start(struct source *source, unsigned connection, int direction)
{
  source->state = ((uint64_t)connection << 8 | (uint64_t)direction) * 0x9e3779b97f4a7c15ull;
}

static inline uint64_t source_next(struct source *source)
{
  uint64_t z = source->state += 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

static inline void source_fill(struct source *source, void *into, size_t size)
{
  unsigned char *at = into;
  while (size > 0) {
    uint64_t value = source_next(source);
    size_t part = size < sizeof(value) ? size : sizeof(value);
    memcpy(at, &value, part);
    at += part;
    size -= part;
  }
}

static inline int listen_on(int family, unsigned short *port)
{
  struct sockaddr_storage address = { 0 };
  socklen_t size = sizeof(address);
  int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int one = 1;
  CHECK(fd >= 0);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  address.ss_family = family;
  if (family == AF_INET)
    ((struct sockaddr_in *)&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  else
    ((struct sockaddr_in6 *)&address)->sin6_addr = in6addr_loopback;
  CHECK(bind(fd, (struct sockaddr *)&address, family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)) == 0);
  CHECK(listen(fd, 256) == 0);
  CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
  *port = ntohs(family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port : ((struct sockaddr_in6 *)&address)->sin6_port);
  return fd;
}

static inline int connect_to(int family, unsigned short port)
{
  struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_loopback };
  int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(fd >= 0);
  if (family == AF_INET)
    CHECK(connect(fd, (struct sockaddr *)&v4, sizeof(v4)) == 0);
  else
    CHECK(connect(fd, (struct sockaddr *)&v6, sizeof(v6)) == 0);
  return fd;
}

static inline unsigned short local_port(int fd)
{
  struct sockaddr_storage address = { 0 };
  socklen_t size = sizeof(address);
  CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
  return ntohs(address.ss_family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
                                            : ((struct sockaddr_in6 *)&address)->sin6_port);
}

static inline void set_nonblocking(int fd) { CHECK(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0); }

static inline void set_send_buffer(int fd, int size)
{
  CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0);
}

static inline void wait_for(int fd, short events)
{
  struct pollfd poll_fd = { .fd = fd, .events = events };
  CHECK(poll(&poll_fd, 1, SECONDS_MAX * 1000) == 1);
}

#endif
