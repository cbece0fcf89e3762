/*
 * socket_shapes SHAPE...: known bytes over plain sockets on loopback, through every call that moves them, once a line came
 * on stdin. Per connection one line of JSON tells the ports and, by direction, the SHA-256 and size of what was sent and of
 * what was received.
 */
#include "shapes.h"
#include <sys/sendfile.h>

enum call {
  READ_WRITE,
  VECTORS,
  VECTORS_AT, /* preadv2 and pwritev2 at the current position */
  SEND_RECV,
  SENDTO_RECVFROM,
  MESSAGE,
  MESSAGES,
  SENDFILE,
  SPLICE,
  DISCARD, /* recv or recvmsg with MSG_TRUNC: the bytes of a stream are thrown away */
};

#define NONBLOCKING 1u /* a small send buffer: partial writes */
#define PEEK 2u        /* MSG_PEEK in all forms between the reads */
#define MAPPED 4u      /* sent from the pages of a file that nobody has touched */
#define MANY 8u        /* as many vectors as the kernel takes */
#define IPV6 16u
#define HALF_CLOSE 32u /* the client says that it is done, and reads the answer after the server has closed */
#define RESET 64u      /* the server resets; the client reads what had come before */
#define CONNECTED 128u /* UDP */
#define SHORT 256u     /* UDP: buffers shorter than the datagrams */

static const size_t SIZES[] = { 1, 16384, 16385, 65537, 1 << 20, 0 };
static const size_t SMALL[] = { 1, 7, 200, 16384, 3000, 0 };
static const size_t DATAGRAM_SIZES[] = { 1, 7, 200, 1472, 16384, 60000, 65507, 0 };

static const struct shape {
  const char *name;
  enum call sends, receives;
  unsigned flags;
  const size_t *sizes;
  unsigned connections;
  int datagrams;
} SHAPES[] = {
  { "read_write", READ_WRITE, READ_WRITE, 0, SIZES, 1, 0 },
  { "vectors", VECTORS, VECTORS, 0, SIZES, 1, 0 },
  { "vectors_at", VECTORS_AT, VECTORS_AT, 0, SIZES, 1, 0 },
  { "many_vectors", VECTORS, VECTORS, MANY, SIZES, 1, 0 },
  { "send_recv", SEND_RECV, SEND_RECV, 0, SIZES, 1, 0 },
  { "sendto_recvfrom", SENDTO_RECVFROM, SENDTO_RECVFROM, 0, SIZES, 1, 0 },
  { "message", MESSAGE, MESSAGE, 0, SIZES, 1, 0 },
  { "messages", MESSAGES, MESSAGES, 0, SIZES, 1, 0 },
  { "many_messages", MESSAGES, MESSAGES, MANY, SMALL, 1, 0 },
  { "partial", READ_WRITE, SEND_RECV, NONBLOCKING, SIZES, 1, 0 },
  { "partial_vectors", VECTORS, READ_WRITE, NONBLOCKING, SIZES, 1, 0 },
  { "partial_message", MESSAGE, VECTORS, NONBLOCKING, SIZES, 1, 0 },
  { "peek", SEND_RECV, SEND_RECV, PEEK, SIZES, 1, 0 },
  { "mapped", READ_WRITE, READ_WRITE, MAPPED, SIZES, 1, 0 },
  { "ipv6", READ_WRITE, MESSAGE, IPV6, SIZES, 1, 0 },
  { "reuse", READ_WRITE, READ_WRITE, 0, SMALL, 24, 0 },
  { "half_close", READ_WRITE, READ_WRITE, HALF_CLOSE, SMALL, 4, 0 },
  { "reset", READ_WRITE, READ_WRITE, RESET, SMALL, 4, 0 },
  { "sendfile", SENDFILE, READ_WRITE, 0, SIZES, 1, 0 },
  { "splice", SPLICE, SPLICE, 0, SIZES, 1, 0 },
  { "discard", SEND_RECV, DISCARD, 0, SIZES, 1, 0 },
  { "udp_connected", SEND_RECV, SEND_RECV, CONNECTED, DATAGRAM_SIZES, 1, 1 },
  { "udp_read_write", READ_WRITE, READ_WRITE, CONNECTED, DATAGRAM_SIZES, 1, 1 },
  { "udp_vectors", VECTORS, VECTORS, CONNECTED, DATAGRAM_SIZES, 1, 1 },
  { "udp_sendto", SENDTO_RECVFROM, SENDTO_RECVFROM, 0, DATAGRAM_SIZES, 1, 1 },
  { "udp_message", MESSAGE, MESSAGE, 0, DATAGRAM_SIZES, 1, 1 },
  { "udp_messages", MESSAGES, MESSAGES, 0, DATAGRAM_SIZES, 1, 1 },
  { "udp_ipv6", SENDTO_RECVFROM, MESSAGE, IPV6, DATAGRAM_SIZES, 1, 1 },
  { "udp_peek", SENDTO_RECVFROM, SENDTO_RECVFROM, PEEK, DATAGRAM_SIZES, 1, 1 },
  { "udp_reuse", SEND_RECV, SENDTO_RECVFROM, CONNECTED, DATAGRAM_SIZES, 24, 1 },
  { "udp_short", SENDTO_RECVFROM, SEND_RECV, SHORT | CONNECTED, DATAGRAM_SIZES, 1, 1 },
  { "udp_short_message", SENDTO_RECVFROM, MESSAGE, SHORT, DATAGRAM_SIZES, 1, 1 },
};

/* The kernel takes 1024 (UIO_MAXIOV). */
#define PARTS_MAX 1024
#define MESSAGES_MAX 16
#define DATAGRAMS_MAX 4

struct end {
  int fd;
  const struct shape *shape;
  struct sockaddr_storage peer; /* UDP without connect */
  socklen_t peer_size;
  struct source lengths; /* of vectors and reads */
  struct tally sent, received;
  size_t received_bytes;
};

static int has(const struct end *end, unsigned flag) { return (end->shape->flags & flag) != 0; }

/* Uneven parts, some of them empty. */
static int cut(struct end *end, unsigned char *bytes, size_t size, struct iovec *parts, int parts_max)
{
  int count = 0;
  for (; size > 0 && count < parts_max - 1; count++) {
    uint64_t some = source_next(&end->lengths);
    size_t part = some % 11 == 0 ? 0 : some % (2 * size / (size_t)parts_max + 200);
    if (part > size)
      part = size;
    parts[count] = (struct iovec){ bytes, part };
    bytes += part;
    size -= part;
  }
  if (size > 0)
    parts[count++] = (struct iovec){ bytes, size };
  return count;
}

static int parts_max(const struct end *end) { return has(end, MANY) ? PARTS_MAX : 7; }

/* Up to MESSAGES_MAX messages of a part each; what the kernel says of their sizes is in `messages`. */
static int cut_messages(struct end *end, unsigned char *bytes, size_t size, struct mmsghdr *messages, struct iovec *parts)
{
  int count = cut(end, bytes, size, parts, 2 * MESSAGES_MAX);
  int messages_count = 0;
  memset(messages, 0, MESSAGES_MAX * sizeof(*messages));
  for (int i = 0; i < count; i += 2, messages_count++) {
    messages[messages_count].msg_hdr.msg_iov = parts + i;
    messages[messages_count].msg_hdr.msg_iovlen = i + 1 < count ? 2 : 1;
  }
  return messages_count;
}

static ssize_t sum_messages(const struct mmsghdr *messages, int count)
{
  ssize_t sum = 0;
  for (int i = 0; i < count; i++)
    sum += messages[i].msg_len;
  return count > 0 ? sum : count;
}

/* Messages that were received need not be full: their bytes one after the other into `bytes`, where the vectors lie. */
static void gather_messages(const struct mmsghdr *messages, int count, unsigned char *bytes)
{
  for (int i = 0; i < count; i++) {
    size_t left = messages[i].msg_len;
    const struct msghdr *header = &messages[i].msg_hdr;
    for (size_t v = 0; v < header->msg_iovlen && left > 0; v++) {
      size_t part = header->msg_iov[v].iov_len < left ? header->msg_iov[v].iov_len : left;
      memmove(bytes, header->msg_iov[v].iov_base, part);
      bytes += part;
      left -= part;
    }
  }
}

static int file_of(const unsigned char *bytes, size_t size)
{
  char path[] = "/tmp/klartext-shape-XXXXXX";
  int fd = mkstemp(path);
  CHECK(fd >= 0 && unlink(path) == 0);
  CHECK(write(fd, bytes, size) == (ssize_t)size);
  CHECK(lseek(fd, 0, SEEK_SET) == 0);
  return fd;
}

/* Through a pipe, whose calls are no socket's. */
static ssize_t splice_out(struct end *end, const unsigned char *bytes, size_t size)
{
  int ends[2];
  CHECK(pipe(ends) == 0);
  ssize_t in_pipe = write(ends[1], bytes, size > 4096 ? 4096 : size);
  ssize_t moved = splice(ends[0], NULL, end->fd, NULL, (size_t)in_pipe, 0);
  close(ends[0]);
  close(ends[1]);
  return moved;
}

static ssize_t splice_in(struct end *end, unsigned char *bytes, size_t size)
{
  int ends[2];
  CHECK(pipe(ends) == 0);
  ssize_t moved = splice(end->fd, NULL, ends[1], NULL, size > 4096 ? 4096 : size, 0);
  if (moved > 0)
    CHECK(read(ends[0], bytes, (size_t)moved) == moved);
  close(ends[0]);
  close(ends[1]);
  return moved;
}

static ssize_t send_some(struct end *end, unsigned char *bytes, size_t size)
{
  struct iovec parts[PARTS_MAX];
  struct mmsghdr messages[MESSAGES_MAX];
  struct msghdr message = { .msg_iov = parts, .msg_name = end->peer_size ? &end->peer : NULL, .msg_namelen = end->peer_size };
  switch (end->shape->sends) {
  case READ_WRITE:
    return write(end->fd, bytes, size);
  case VECTORS:
    return writev(end->fd, parts, cut(end, bytes, size, parts, parts_max(end)));
  case VECTORS_AT:
    return pwritev2(end->fd, parts, cut(end, bytes, size, parts, parts_max(end)), -1, 0);
  case SEND_RECV:
    return send(end->fd, bytes, size, MSG_NOSIGNAL);
  case SENDTO_RECVFROM:
    return sendto(end->fd, bytes, size, 0, (void *)message.msg_name, message.msg_namelen);
  case MESSAGE:
    message.msg_iovlen = (size_t)cut(end, bytes, size, parts, parts_max(end));
    return sendmsg(end->fd, &message, 0);
  case MESSAGES: {
    int count = cut_messages(end, bytes, size, messages, parts);
    for (int i = 0; i < count; i++) {
      messages[i].msg_hdr.msg_name = message.msg_name;
      messages[i].msg_hdr.msg_namelen = message.msg_namelen;
    }
    return sum_messages(messages, sendmmsg(end->fd, messages, (unsigned)count, 0));
  }
  case SENDFILE: {
    int file = file_of(bytes, size);
    ssize_t sent = sendfile(end->fd, file, NULL, size);
    close(file);
    return sent;
  }
  case SPLICE:
    return splice_out(end, bytes, size);
  default:
    abort();
  }
}

static ssize_t receive_some(struct end *end, unsigned char *bytes, size_t size)
{
  struct iovec parts[PARTS_MAX];
  struct mmsghdr messages[MESSAGES_MAX];
  struct msghdr message = { .msg_iov = parts, .msg_name = &end->peer, .msg_namelen = sizeof(end->peer) };
  int flags = has(end, SHORT) ? MSG_TRUNC : 0;
  ssize_t result;
  switch (end->shape->receives) {
  case READ_WRITE:
    return read(end->fd, bytes, size);
  case VECTORS:
    return readv(end->fd, parts, cut(end, bytes, size, parts, parts_max(end)));
  case VECTORS_AT:
    return preadv2(end->fd, parts, cut(end, bytes, size, parts, parts_max(end)), -1, 0);
  case SEND_RECV:
    return recv(end->fd, bytes, size, flags);
  case SENDTO_RECVFROM:
    end->peer_size = sizeof(end->peer);
    result = recvfrom(end->fd, bytes, size, flags, (void *)&end->peer, &end->peer_size);
    return result;
  case MESSAGE:
    message.msg_iovlen = (size_t)cut(end, bytes, size, parts, parts_max(end));
    result = recvmsg(end->fd, &message, flags);
    end->peer_size = message.msg_namelen;
    return result;
  case MESSAGES: {
    int count = cut_messages(end, bytes, size, messages, parts);
    result = recvmmsg(end->fd, messages, (unsigned)count, MSG_WAITFORONE, NULL);
    gather_messages(messages, (int)result, bytes);
    return sum_messages(messages, (int)result);
  }
  case SPLICE:
    return splice_in(end, bytes, size);
  case DISCARD:
    if (source_next(&end->lengths) % 2)
      return recv(end->fd, bytes, size, MSG_TRUNC);
    message.msg_iovlen = (size_t)cut(end, bytes, size, parts, 7);
    return recvmsg(end->fd, &message, MSG_TRUNC);
  default:
    abort();
  }
}

static void peek(struct end *end, unsigned char *bytes, size_t size)
{
  struct iovec parts[] = { { bytes, size / 2 }, { bytes + size / 2, size - size / 2 } };
  struct mmsghdr messages[] = { { .msg_hdr = { .msg_iov = parts, .msg_iovlen = 2 } } };
  recv(end->fd, bytes, size, MSG_PEEK);
  recvfrom(end->fd, bytes, size, MSG_PEEK | MSG_TRUNC, NULL, NULL);
  recvmsg(end->fd, &messages[0].msg_hdr, MSG_PEEK);
  recvmmsg(end->fd, messages, 1, MSG_PEEK | MSG_DONTWAIT, NULL);
}

/* What the receiver of a direction adds to its hash; of discarded bytes nobody knows more than how many they were. */
static void receive_all(struct end *end, const size_t *sizes)
{
  size_t left = 0;
  for (; *sizes; sizes++)
    left += *sizes;
  size_t buffer_size = 1 << 18;
  unsigned char *buffer = malloc(buffer_size);
  for (unsigned calls = 0; left > 0; calls++) {
    size_t size = 1 + source_next(&end->lengths) % (calls % 5 == 0 ? 300 : 100000);
    if (end->shape->receives == MESSAGES && size < 4 * MESSAGES_MAX)
      size = 4 * MESSAGES_MAX;
    if (has(end, NONBLOCKING))
      wait_for(end->fd, POLLIN);
    if (has(end, PEEK) && calls % 3 == 0)
      peek(end, buffer, size);
    ssize_t received = receive_some(end, buffer, size);
    if (received < 0 && errno == EAGAIN)
      continue;
    CHECK(received > 0 && (size_t)received <= left);
    tally_add(&end->received, buffer, (size_t)received);
    left -= (size_t)received;
    /* The bytes must not be read later than the call's return. */
    memset(buffer, 0xee, (size_t)received);
  }
  free(buffer);
}

static void send_all(struct end *end, struct source *bytes_source, const size_t *sizes)
{
  for (; *sizes; sizes++) {
    unsigned char *bytes = malloc(*sizes);
    source_fill(bytes_source, bytes, *sizes);
    unsigned char *from = bytes;
    if (has(end, MAPPED)) {
      int file = file_of(bytes, *sizes);
      from = mmap(NULL, *sizes, PROT_READ, MAP_PRIVATE, file, 0);
      CHECK(from != MAP_FAILED);
      madvise(from, *sizes, MADV_DONTNEED);
      close(file);
    }
    for (size_t done = 0; done < *sizes;) {
      ssize_t sent = send_some(end, from + done, *sizes - done);
      if (sent < 0 && errno == EAGAIN) {
        wait_for(end->fd, POLLOUT);
        continue;
      }
      CHECK(sent > 0);
      tally_add(&end->sent, bytes + done, (size_t)sent);
      done += (size_t)sent;
    }
    if (from != bytes)
      munmap(from, *sizes);
    free(bytes);
  }
}

static void start_end(struct end *end, const struct shape *shape, unsigned connection, int direction, struct source *bytes)
{
  *end = (struct end){ .shape = shape };
  /* No two connections of a run say the same. */
  unsigned number = 65536 + (unsigned)(shape - SHAPES) * 256 + connection;
  source_start(bytes, number, direction);
  source_start(&end->lengths, 1 << 20 | number, direction);
  tally_start(&end->sent);
  tally_start(&end->received);
}

struct server {
  struct end *ends;
  const struct shape *shape;
  int listener;
};

static void *serve(void *argument)
{
  struct server *server = argument;
  for (unsigned i = 0; i < server->shape->connections; i++) {
    struct end *end = &server->ends[i];
    struct source bytes;
    start_end(end, server->shape, i, TO_CLIENT, &bytes);
    end->fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(end->fd >= 0);
    if (has(end, NONBLOCKING)) {
      set_nonblocking(end->fd);
      set_send_buffer(end->fd, 8192);
    }
    receive_all(end, server->shape->sizes);
    if (has(end, HALF_CLOSE)) {
      char byte;
      CHECK(read(end->fd, &byte, 1) == 0);
    }
    send_all(end, &bytes, server->shape->sizes);
    if (has(end, RESET)) {
      struct linger at_once = { 1, 0 };
      /* What was sent has arrived by now, only the client has not read it. */
      usleep(50000);
      setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    }
    close(end->fd);
  }
  return NULL;
}

static void report(const struct shape *shape, unsigned short client_port, unsigned short server_port, struct end *client,
                   struct end *server)
{
  printf("{\"shape\":\"%s\",\"client_port\":%u,\"server_port\":%u,\"object\":\"\",", shape->name, client_port, server_port);
  tally_print(&client->sent, "sent_to_server");
  printf(",");
  tally_print(&server->received, "received_to_server");
  printf(",");
  tally_print(&server->sent, "sent_to_client");
  printf(",");
  tally_print(&client->received, "received_to_client");
  printf("}\n");
}

static void run_stream(const struct shape *shape)
{
  int family = shape->flags & IPV6 ? AF_INET6 : AF_INET;
  unsigned short port = 0;
  struct end *ends = calloc(shape->connections, sizeof(*ends));
  struct end *mine = calloc(shape->connections, sizeof(*mine));
  unsigned short *ports = calloc(shape->connections, sizeof(*ports));
  struct server server = { ends, shape, listen_on(family, &port) };
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, serve, &server) == 0);
  for (unsigned i = 0; i < shape->connections; i++) {
    struct source bytes;
    start_end(&mine[i], shape, i, TO_SERVER, &bytes);
    mine[i].fd = connect_to(family, port);
    ports[i] = local_port(mine[i].fd);
    if (has(&mine[i], NONBLOCKING)) {
      set_nonblocking(mine[i].fd);
      set_send_buffer(mine[i].fd, 8192);
    }
    send_all(&mine[i], &bytes, shape->sizes);
    if (has(&mine[i], HALF_CLOSE))
      CHECK(shutdown(mine[i].fd, SHUT_WR) == 0);
    /* By then the server has closed: the kernel is done with the connection, the bytes still wait. */
    if (has(&mine[i], HALF_CLOSE | RESET))
      usleep(150000);
    receive_all(&mine[i], shape->sizes);
    close(mine[i].fd);
  }
  pthread_join(thread, NULL);
  close(server.listener);
  for (unsigned i = 0; i < shape->connections; i++)
    report(shape, ports[i], port, &mine[i], &ends[i]);
}

static int datagram_socket(int family, unsigned short *port)
{
  struct sockaddr_storage address = { .ss_family = (sa_family_t)family };
  socklen_t size = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
  int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  CHECK(fd >= 0);
  if (family == AF_INET)
    ((struct sockaddr_in *)&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  else
    ((struct sockaddr_in6 *)&address)->sin6_addr = in6addr_loopback;
  CHECK(bind(fd, (struct sockaddr *)&address, size) == 0);
  *port = local_port(fd);
  return fd;
}

static ssize_t receive_datagrams(struct end *end, unsigned char *buffer)
{
  struct iovec parts[DATAGRAMS_MAX];
  struct mmsghdr messages[DATAGRAMS_MAX] = { 0 };
  for (int i = 0; i < DATAGRAMS_MAX; i++) {
    parts[i] = (struct iovec){ buffer + (i << 16), 1 << 16 };
    messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1, .msg_name = &end->peer, .msg_namelen = sizeof(end->peer) };
  }
  int count = recvmmsg(end->fd, messages, DATAGRAMS_MAX, MSG_WAITFORONE, NULL);
  CHECK(count > 0);
  end->peer_size = messages[0].msg_hdr.msg_namelen;
  gather_messages(messages, count, buffer);
  return sum_messages(messages, count);
}

/* A datagram, or as many as one call sends, from one end to the other, in lockstep so that none is dropped. */
static void pass_datagrams(struct end *from, struct end *to, struct source *bytes_source, const size_t *sizes)
{
  unsigned char *bytes = malloc(1 << 16), *buffer = malloc(DATAGRAMS_MAX << 16);
  for (; *sizes; sizes++) {
    source_fill(bytes_source, bytes, *sizes);
    for (size_t done = 0; done < *sizes;) {
      ssize_t sent = send_some(from, bytes + done, *sizes - done);
      CHECK(sent > 0);
      tally_add(&from->sent, bytes + done, (size_t)sent);
      done += (size_t)sent;
    }
    for (size_t left = *sizes; left > 0;) {
      if (has(to, PEEK))
        peek(to, buffer, 1 << 16);
      size_t room = has(to, SHORT) ? *sizes / 2 + 1 : 1 << 16;
      ssize_t received;
      if (to->shape->receives == MESSAGES) {
        received = receive_datagrams(to, buffer);
      } else {
        received = receive_some(to, buffer, room);
      }
      CHECK(received >= 0 && (size_t)received <= left);
      if (has(to, SHORT))
        memcpy(buffer, bytes + *sizes - left, (size_t)received);
      tally_add(&to->received, buffer, (size_t)received);
      left -= (size_t)received;
      memset(buffer, 0xee, 1 << 16);
      if (has(to, CONNECTED))
        to->peer_size = 0;
    }
  }
  free(bytes);
  free(buffer);
}

static void run_datagrams(const struct shape *shape)
{
  int family = shape->flags & IPV6 ? AF_INET6 : AF_INET;
  for (unsigned i = 0; i < shape->connections; i++) {
    struct end client, server;
    struct source to_server, to_client;
    unsigned short client_port = 0, server_port = 0;
    start_end(&client, shape, i, TO_SERVER, &to_server);
    start_end(&server, shape, i, TO_CLIENT, &to_client);
    server.fd = datagram_socket(family, &server_port);
    client.fd = datagram_socket(family, &client_port);
    client.peer_size = server.peer_size = sizeof(client.peer);
    CHECK(getsockname(server.fd, (void *)&client.peer, &client.peer_size) == 0);
    CHECK(getsockname(client.fd, (void *)&server.peer, &server.peer_size) == 0);
    if (has(&client, CONNECTED)) {
      CHECK(connect(client.fd, (void *)&client.peer, client.peer_size) == 0);
      CHECK(connect(server.fd, (void *)&server.peer, server.peer_size) == 0);
      client.peer_size = server.peer_size = 0;
    }
    for (const size_t *size = shape->sizes; *size; size++) {
      const size_t one[] = { *size, 0 };
      pass_datagrams(&client, &server, &to_server, one);
      pass_datagrams(&server, &client, &to_client, one);
    }
    close(client.fd);
    close(server.fd);
    report(shape, client_port, server_port, &client, &server);
  }
}

int main(int count, char **words)
{
  CHECK(count >= 2);
  CHECK(getchar() != EOF);
  alarm(SECONDS_MAX);
  signal(SIGPIPE, SIG_IGN);
  for (int i = 1; i < count; i++) {
    int found = 0;
    for (size_t s = 0; s < sizeof(SHAPES) / sizeof(*SHAPES); s++) {
      if (strcmp(words[i], SHAPES[s].name) != 0 && strcmp(words[i], "all") != 0)
        continue;
      found = 1;
      if (SHAPES[s].datagrams)
        run_datagrams(&SHAPES[s]);
      else
        run_stream(&SHAPES[s]);
      fflush(stdout);
    }
    CHECK(found);
  }
  return 0;
}
