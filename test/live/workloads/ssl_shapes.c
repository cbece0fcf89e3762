/*
 * ssl_shapes CERTIFICATE KEY SHAPE: a TLS client and a server, one thread each, over a TCP socket on loopback. Both say
 * the same sizes to each other, in calls as the shape asks for; per connection one line of JSON tells the ports and, by
 * direction, the SHA-256 and size of what was sent and of what was received.
 */
#include "shapes.h"
#include <openssl/err.h>
#include <openssl/ssl.h>

#define EX 1u           /* SSL_write_ex, SSL_read_ex */
#define PARTIAL 2u      /* SSL_MODE_ENABLE_PARTIAL_WRITE */
#define NONBLOCKING 4u  /* WANT_READ and WANT_WRITE, retried */
#define MOVING 8u       /* a retry comes from another address */
#define PEEK 16u        /* SSL_peek, SSL_peek_ex and SSL_pending between the reads */
#define MAPPED 32u      /* written from the pages of a file that nobody has touched */
#define REUSE_OBJECT 64u /* SSL_clear, then the next connection */
#define DUPLEX 128u     /* both ways at once, by a reader and a writer thread at each end */
#define NESTED 256u     /* TLS inside TLS: an SSL_write that calls SSL_write */
#define TLS12 512u
#define UP_REF 1024u /* SSL_up_ref, and SSL_free between the calls: the object lives on */

static const size_t SIZES[] = { 1, 16384, 16385, 65537, 1 << 20, 0 };
static const size_t SMALL[] = { 1, 7, 200, 16384, 3000, 0 };
static const size_t LARGE[] = { 16 << 20, 5, 0 };

static const struct shape {
  const char *name;
  unsigned flags;
  const size_t *sizes;
  size_t read_size;
  unsigned connections;
} SHAPES[] = {
  { "plain", 0, SIZES, 16384, 1 },
  { "ex", EX, SIZES, 16384, 1 },
  { "tls12", TLS12, SIZES, 20000, 1 },
  { "partial", PARTIAL | NONBLOCKING | MOVING, SIZES, 9000, 1 },
  { "partial_ex", PARTIAL | NONBLOCKING | MOVING | EX, SIZES, 9000, 1 },
  { "retry", NONBLOCKING, SIZES, 16384, 1 },
  { "retry_ex", NONBLOCKING | EX, SIZES, 16384, 1 },
  { "one_byte", 0, SMALL, 1, 1 },
  { "one_byte_ex", EX, SMALL, 1, 1 },
  { "peek", PEEK, SIZES, 5000, 1 },
  { "peek_ex", PEEK | EX, SIZES, 5000, 1 },
  { "mapped", MAPPED, SIZES, 16384, 1 },
  { "large", 0, LARGE, 16384, 1 },
  { "clear", REUSE_OBJECT, SMALL, 16384, 12 },
  { "reuse", 0, SMALL, 16384, 12 },
  { "duplex", DUPLEX | NONBLOCKING, SIZES, 16384, 1 },
  { "nested", NESTED, SMALL, 16384, 1 },
  { "up_ref", UP_REF, SMALL, 16384, 3 },
};

struct end {
  SSL *ssl;
  SSL *inner; /* what `ssl` talks through when nested */
  int fd;
  int direction; /* of what this end sends */
  unsigned connection;
  const struct shape *shape;
  struct tally sent, received;
  pthread_mutex_t lock; /* an SSL object is for one thread at a time */
};

static int has(const struct end *end, unsigned flag) { return (end->shape->flags & flag) != 0; }

/* Waits for what a call that did not succeed needs. */
static void wait_after(struct end *end, int result)
{
  int error = SSL_get_error(end->ssl, result);
  if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
    ERR_print_errors_fp(stderr);
    fprintf(stderr, "%s: SSL error %d\n", end->shape->name, error);
    exit(1);
  }
  pthread_mutex_unlock(&end->lock);
  struct pollfd poll_fd = { .fd = end->fd, .events = error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT };
  /* The other thread of a duplex end may take the bytes this one waits for. */
  CHECK(poll(&poll_fd, 1, has(end, DUPLEX) ? 5 : SECONDS_MAX * 1000) >= 0);
  pthread_mutex_lock(&end->lock);
}

static void write_all(struct end *end, const unsigned char *bytes, size_t size)
{
  size_t done = 0;
  unsigned tries = 0;
  while (done < size) {
    const unsigned char *from = bytes + done;
    unsigned char *moved = NULL;
    if (has(end, MOVING) && tries++ % 2 == 1) {
      moved = malloc(size - done);
      memcpy(moved, from, size - done);
      from = moved;
    }
    size_t accepted = 0;
    int result;
    pthread_mutex_lock(&end->lock);
    if (has(end, EX)) {
      result = SSL_write_ex(end->ssl, from, size - done, &accepted);
    } else {
      result = SSL_write(end->ssl, from, (int)(size - done));
      accepted = result > 0 ? (size_t)result : 0;
    }
    if (result > 0) {
      tally_add(&end->sent, bytes + done, accepted);
      done += accepted;
    } else {
      wait_after(end, result);
    }
    pthread_mutex_unlock(&end->lock);
    free(moved);
  }
}

/* Fresh pages of a file, so that the first one to touch them is the library. */
static unsigned char *map_bytes(const unsigned char *bytes, size_t size)
{
  char path[] = "/tmp/klartext-shape-XXXXXX";
  int fd = mkstemp(path);
  CHECK(fd >= 0 && unlink(path) == 0);
  CHECK(write(fd, bytes, size) == (ssize_t)size);
  unsigned char *mapped = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
  CHECK(mapped != MAP_FAILED);
  madvise(mapped, size, MADV_DONTNEED);
  close(fd);
  return mapped;
}

static void *send_all(void *argument)
{
  struct end *end = argument;
  struct source source;
  /* No two connections of a run say the same. */
  source_start(&source, (unsigned)(end->shape - SHAPES) * 256 + end->connection, end->direction);
  for (const size_t *size = end->shape->sizes; *size; size++) {
    unsigned char *bytes = malloc(*size);
    source_fill(&source, bytes, *size);
    if (has(end, MAPPED)) {
      unsigned char *mapped = map_bytes(bytes, *size);
      write_all(end, mapped, *size);
      munmap(mapped, *size);
    } else {
      write_all(end, bytes, *size);
    }
    if (has(end, UP_REF)) {
      CHECK(SSL_up_ref(end->ssl) == 1);
      CHECK(SSL_up_ref(end->ssl) == 1);
      SSL_free(end->ssl);
      SSL_free(end->ssl);
    }
    free(bytes);
  }
  return NULL;
}

static void peek(struct end *end, void *buffer, size_t size)
{
  size_t seen = 0;
  SSL_peek(end->ssl, buffer, (int)size);
  SSL_peek_ex(end->ssl, buffer, size / 2, &seen);
  SSL_pending(end->ssl);
  SSL_peek(end->ssl, buffer, 1);
}

static void *receive_all(void *argument)
{
  struct end *end = argument;
  uint64_t left = 0;
  for (const size_t *size = end->shape->sizes; *size; size++)
    left += *size;
  unsigned char *buffer = malloc(end->shape->read_size);
  for (unsigned call = 0; left > 0; call++) {
    size_t size = 0;
    int result;
    pthread_mutex_lock(&end->lock);
    if (has(end, PEEK) && call % 3 == 0)
      peek(end, buffer, end->shape->read_size);
    if (has(end, EX)) {
      result = SSL_read_ex(end->ssl, buffer, end->shape->read_size, &size);
    } else {
      result = SSL_read(end->ssl, buffer, (int)end->shape->read_size);
      size = result > 0 ? (size_t)result : 0;
    }
    if (result > 0) {
      CHECK(size <= left);
      tally_add(&end->received, buffer, size);
      left -= size;
      /* The library's bytes must not be read later than the call's return. */
      memset(buffer, 0xee, size);
    } else {
      wait_after(end, result);
    }
    pthread_mutex_unlock(&end->lock);
  }
  free(buffer);
  return NULL;
}

static void talk(struct end *end, int first)
{
  if (has(end, NONBLOCKING)) {
    set_nonblocking(end->fd);
    set_send_buffer(end->fd, 8192);
  }
  if (has(end, PARTIAL))
    SSL_set_mode(end->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE);
  if (has(end, MOVING))
    SSL_set_mode(end->ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (has(end, DUPLEX)) {
    pthread_t writer;
    CHECK(pthread_create(&writer, NULL, send_all, end) == 0);
    receive_all(end);
    pthread_join(writer, NULL);
    return;
  }
  if (first)
    send_all(end);
  receive_all(end);
  if (!first)
    send_all(end);
}

static SSL_CTX *server_context, *client_context;

/* Nested: a second handshake through the first one's connection. */
static void go_inside(struct end *end, SSL_CTX *context, int server)
{
  end->inner = end->ssl;
  BIO *bio = BIO_new(BIO_f_ssl());
  BIO_set_ssl(bio, end->inner, BIO_NOCLOSE);
  end->ssl = SSL_new(context);
  SSL_set_bio(end->ssl, bio, bio);
  CHECK((server ? SSL_accept(end->ssl) : SSL_connect(end->ssl)) == 1);
}

static void open_end(struct end *end, SSL_CTX *context, int server)
{
  tally_start(&end->sent);
  tally_start(&end->received);
  pthread_mutex_init(&end->lock, NULL);
  if (!end->ssl)
    end->ssl = SSL_new(context);
  CHECK(SSL_set_fd(end->ssl, end->fd) == 1);
  CHECK((server ? SSL_accept(end->ssl) : SSL_connect(end->ssl)) == 1);
  if (has(end, NESTED))
    go_inside(end, context, server);
}

/* The object stays where it shall be used again. */
static void close_end(struct end *end)
{
  int flags = fcntl(end->fd, F_GETFL);
  fcntl(end->fd, F_SETFL, flags & ~O_NONBLOCK);
  SSL_shutdown(end->ssl);
  if (has(end, REUSE_OBJECT)) {
    CHECK(SSL_clear(end->ssl) == 1);
  } else {
    SSL_free(end->ssl);
    SSL_free(end->inner);
    end->ssl = end->inner = NULL;
  }
  close(end->fd);
}

struct server {
  struct end end;
  int listener;
  unsigned connections;
  struct tally (*tallies)[2];
};

static void *serve(void *argument)
{
  struct server *server = argument;
  for (unsigned i = 0; i < server->connections; i++) {
    struct end *end = &server->end;
    end->connection = i;
    end->fd = accept(server->listener, NULL, NULL);
    CHECK(end->fd >= 0);
    open_end(end, server_context, 1);
    talk(end, 0);
    server->tallies[i][0] = end->sent;
    server->tallies[i][1] = end->received;
    close_end(end);
  }
  SSL_free(server->end.ssl);
  return NULL;
}

static void run(const struct shape *shape)
{
  struct tally(*tallies)[2] = calloc(shape->connections, sizeof(*tallies));
  unsigned short port = 0;
  struct server server = { .end = { .direction = TO_CLIENT, .shape = shape },
                           .listener = listen_on(AF_INET, &port),
                           .connections = shape->connections,
                           .tallies = tallies };
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, serve, &server) == 0);
  struct end end = { .direction = TO_SERVER, .shape = shape };
  struct tally(*mine)[2] = calloc(shape->connections, sizeof(*mine));
  unsigned short *ports = calloc(shape->connections, sizeof(*ports));
  void **objects = calloc(shape->connections, sizeof(*objects));
  for (unsigned i = 0; i < shape->connections; i++) {
    end.connection = i;
    end.fd = connect_to(AF_INET, port);
    ports[i] = local_port(end.fd);
    open_end(&end, client_context, 0);
    objects[i] = end.ssl;
    talk(&end, 1);
    mine[i][0] = end.sent;
    mine[i][1] = end.received;
    close_end(&end);
  }
  SSL_free(end.ssl);
  pthread_join(thread, NULL);
  close(server.listener);
  for (unsigned i = 0; i < shape->connections; i++) {
    printf("{\"shape\":\"%s\",\"client_port\":%u,\"server_port\":%u,\"object\":\"%p\",", shape->name, ports[i], port, objects[i]);
    tally_print(&mine[i][0], "sent_to_server");
    printf(",");
    tally_print(&tallies[i][1], "received_to_server");
    printf(",");
    tally_print(&tallies[i][0], "sent_to_client");
    printf(",");
    tally_print(&mine[i][1], "received_to_client");
    printf("}\n");
  }
}

int main(int count, char **words)
{
  CHECK(count >= 4);
  alarm(SECONDS_MAX);
  signal(SIGPIPE, SIG_IGN);
  server_context = SSL_CTX_new(TLS_server_method());
  client_context = SSL_CTX_new(TLS_client_method());
  CHECK(SSL_CTX_use_certificate_file(server_context, words[1], SSL_FILETYPE_PEM) == 1);
  CHECK(SSL_CTX_use_PrivateKey_file(server_context, words[2], SSL_FILETYPE_PEM) == 1);
  for (int i = 3; i < count; i++) {
    int found = 0;
    for (size_t s = 0; s < sizeof(SHAPES) / sizeof(*SHAPES); s++) {
      if (strcmp(words[i], SHAPES[s].name) != 0 && strcmp(words[i], "all") != 0)
        continue;
      found = 1;
      SSL_CTX_set_max_proto_version(client_context, SHAPES[s].flags & TLS12 ? TLS1_2_VERSION : 0);
      run(&SHAPES[s]);
      fflush(stdout);
    }
    CHECK(found);
  }
  return 0;
}
