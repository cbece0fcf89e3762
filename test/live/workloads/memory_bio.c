/*
 * memory_bio CERTIFICATE KEY SHAPE CONNECTIONS: an event loop as Node, asyncio and boost::asio have it. One thread holds
 * both ends of many connections; no SSL object knows its socket. In every round all of them say equally much before the
 * first byte is sent, and what they said is sent in another order: whoever tells connections apart by sizes or by turns
 * takes one for another. Reports as ssl_shapes does.
 *
 * Shapes: memory (BIO_s_mem), pair (BIO_new_bio_pair), vectors (memory, sent in vectors of which the first is 5 bytes).
 */
#include "shapes.h"
#include <openssl/err.h>
#include <openssl/ssl.h>

#define ROUNDS 12
#define GENERATIONS 3
#define MESSAGE_BYTES 200
#define BULK_BYTES 100000
#define CONNECTIONS_MAX 256
#define PAIR_BYTES (256 << 10)

struct end {
  SSL *ssl;
  BIO *in, *out; /* the network's side; one and the same with a pair */
  int fd;
  int direction;
  struct source source;
  struct tally sent, received;
};

static int vectors;
static uint64_t order_state = 1;

/* Everything the end has to say, to its socket. */
static void flush(struct end *end, unsigned variant)
{
  static unsigned char bytes[PAIR_BYTES];
  int size;
  while ((size = BIO_read(end->out, bytes, sizeof(bytes))) > 0) {
    for (int done = 0; done < size;) {
      ssize_t sent;
      struct iovec parts[2] = { { bytes + done, (size_t)(size - done) }, { NULL, 0 } };
      if (vectors && size - done > 5) {
        parts[0].iov_len = 5;
        parts[1] = (struct iovec){ bytes + done + 5, (size_t)(size - done - 5) };
      }
      struct msghdr message = { .msg_iov = parts, .msg_iovlen = vectors ? 2 : 1 };
      if (vectors || variant % 4 == 3)
        sent = variant % 2 ? sendmsg(end->fd, &message, 0) : writev(end->fd, parts, vectors ? 2 : 1);
      else if (variant % 4 == 2)
        sent = writev(end->fd, parts, 1);
      else if (variant % 4 == 1)
        sent = write(end->fd, bytes + done, (size_t)(size - done));
      else
        sent = send(end->fd, bytes + done, (size_t)(size - done), 0);
      CHECK(sent > 0);
      done += (int)sent;
    }
  }
}

/* Everything that has come, to the library; what it makes of it is taken by `receive`. */
static int fetch(struct end *end)
{
  unsigned char bytes[16384];
  ssize_t size = recv(end->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
  if (size <= 0)
    return 0;
  CHECK(BIO_write(end->in, bytes, (int)size) == size);
  return 1;
}

static void say(struct end *end, size_t size)
{
  unsigned char *bytes = malloc(size);
  source_fill(&end->source, bytes, size);
  CHECK(SSL_write(end->ssl, bytes, (int)size) == (int)size);
  tally_add(&end->sent, bytes, size);
  free(bytes);
}

static void receive(struct end *end, uint64_t total)
{
  unsigned char bytes[20000];
  while (end->received.bytes < total) {
    int size = SSL_read(end->ssl, bytes, sizeof(bytes));
    if (size > 0) {
      tally_add(&end->received, bytes, (size_t)size);
    } else {
      CHECK(SSL_get_error(end->ssl, size) == SSL_ERROR_WANT_READ);
      if (!fetch(end))
        wait_for(end->fd, POLLIN);
    }
  }
}

static void shuffle(unsigned *order, unsigned count)
{
  struct source source = { order_state += 77 };
  for (unsigned i = 0; i < count; i++)
    order[i] = i;
  for (unsigned i = count - 1; i > 0; i--) {
    unsigned other = (unsigned)(source_next(&source) % (i + 1));
    unsigned kept = order[i];
    order[i] = order[other];
    order[other] = kept;
  }
}

static void open_end(struct end *end, SSL_CTX *context, int server, int pair, unsigned connection)
{
  end->ssl = SSL_new(context);
  end->direction = server ? TO_CLIENT : TO_SERVER;
  if (pair) {
    BIO *inner;
    CHECK(BIO_new_bio_pair(&inner, PAIR_BYTES, &end->in, PAIR_BYTES) == 1);
    end->out = end->in;
    SSL_set_bio(end->ssl, inner, inner);
  } else {
    end->in = BIO_new(BIO_s_mem());
    end->out = BIO_new(BIO_s_mem());
    SSL_set_bio(end->ssl, end->in, end->out);
  }
  if (server)
    SSL_set_accept_state(end->ssl);
  else
    SSL_set_connect_state(end->ssl);
  source_start(&end->source, connection, end->direction);
  tally_start(&end->sent);
  tally_start(&end->received);
}

static void generation(const char *shape, unsigned number, unsigned count, SSL_CTX *client_context, SSL_CTX *server_context)
{
  static struct end ends[2][CONNECTIONS_MAX];
  struct end *clients = ends[0], *servers = ends[1];
  unsigned order[CONNECTIONS_MAX];
  unsigned short port;
  int pair = strcmp(shape, "pair") == 0;
  int listener = listen_on(AF_INET, &port);
  for (unsigned i = 0; i < count; i++) {
    clients[i].fd = connect_to(AF_INET, port);
    servers[i].fd = accept(listener, NULL, NULL);
    CHECK(servers[i].fd >= 0);
    open_end(&clients[i], client_context, 0, pair, number * 1000 + i);
    open_end(&servers[i], server_context, 1, pair, number * 1000 + i);
  }
  for (unsigned done = 0; done < 2 * count;) {
    done = 0;
    for (int side = 0; side < 2; side++) {
      for (unsigned i = 0; i < count; i++) {
        while (fetch(&ends[side][i]))
          ;
        done += SSL_do_handshake(ends[side][i].ssl) == 1;
      }
      shuffle(order, count);
      for (unsigned i = 0; i < count; i++)
        flush(&ends[side][order[i]], order[i]);
    }
  }
  uint64_t total = 0;
  for (unsigned round = 0; round <= ROUNDS; round++) {
    unsigned messages = round % 3 == 2 ? 2 : 1;
    size_t size = round == ROUNDS ? BULK_BYTES : MESSAGE_BYTES;
    total += messages * size;
    for (int side = 0; side < 2; side++) {
      for (unsigned message = 0; message < messages; message++) {
        for (unsigned i = 0; i < count; i++)
          say(&ends[side][i], size);
      }
      shuffle(order, count);
      for (unsigned i = 0; i < count; i++)
        flush(&ends[side][order[i]], order[i] + round);
      shuffle(order, count);
      for (unsigned i = 0; i < count; i++)
        receive(&ends[!side][order[i]], total);
    }
  }
  for (unsigned i = 0; i < count; i++) {
    printf("{\"shape\":\"%s\",\"client_port\":%u,\"server_port\":%u,\"object\":\"%p\",", shape, local_port(clients[i].fd), port,
           (void *)clients[i].ssl);
    tally_print(&clients[i].sent, "sent_to_server");
    printf(",");
    tally_print(&servers[i].received, "received_to_server");
    printf(",");
    tally_print(&servers[i].sent, "sent_to_client");
    printf(",");
    tally_print(&clients[i].received, "received_to_client");
    printf("}\n");
    for (int side = 0; side < 2; side++) {
      SSL_shutdown(ends[side][i].ssl);
      flush(&ends[side][i], i);
      SSL_free(ends[side][i].ssl);
      if (pair)
        BIO_free(ends[side][i].in);
      close(ends[side][i].fd);
    }
  }
  close(listener);
}

int main(int argument_count, char **words)
{
  CHECK(argument_count == 5);
  unsigned count = (unsigned)atoi(words[4]);
  CHECK(count > 0 && count <= CONNECTIONS_MAX);
  alarm(SECONDS_MAX);
  signal(SIGPIPE, SIG_IGN);
  vectors = strcmp(words[3], "vectors") == 0;
  SSL_CTX *server_context = SSL_CTX_new(TLS_server_method());
  SSL_CTX *client_context = SSL_CTX_new(TLS_client_method());
  CHECK(SSL_CTX_use_certificate_file(server_context, words[1], SSL_FILETYPE_PEM) == 1);
  CHECK(SSL_CTX_use_PrivateKey_file(server_context, words[2], SSL_FILETYPE_PEM) == 1);
  for (unsigned i = 0; i < GENERATIONS; i++)
    generation(words[3], i, count, client_context, server_context);
  return 0;
}
