/*
 * ping_pong CERTIFICATE KEY SECONDS: one thread, both ends of a TLS connection over TCP on loopback; 200 bytes go one way
 * and 200 bytes back, four library calls in all. Prints µs per round trip: the best window of 20 ms, and the median one.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WINDOW_S 0.02
#define WINDOWS_MAX 3000

#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                                  \
      exit(1);                                                                                                         \
    }                                                                                                                  \
  } while (0)

static double now(void)
{
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static SSL *end_of(SSL_CTX *context, int fd)
{
  SSL *ssl = SSL_new(context);
  CHECK(ssl && SSL_set_fd(ssl, fd) == 1);
  return ssl;
}

int main(int count, char **words)
{
  CHECK(count == 4);
  double seconds = atof(words[3]);
  alarm((unsigned)seconds + 10);
  SSL_CTX *server_context = SSL_CTX_new(TLS_server_method());
  SSL_CTX *client_context = SSL_CTX_new(TLS_client_method());
  CHECK(SSL_CTX_use_certificate_file(server_context, words[1], SSL_FILETYPE_PEM) == 1);
  CHECK(SSL_CTX_use_PrivateKey_file(server_context, words[2], SSL_FILETYPE_PEM) == 1);

  struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  socklen_t size = sizeof(address);
  int one = 1;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(listener, 1) == 0);
  CHECK(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
  int client_fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(connect(client_fd, (struct sockaddr *)&address, sizeof(address)) == 0);
  int server_fd = accept(listener, NULL, NULL);
  setsockopt(client_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  setsockopt(server_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  SSL *client = end_of(client_context, client_fd);
  SSL *server = end_of(server_context, server_fd);
  SSL_set_connect_state(client);
  SSL_set_accept_state(server);
  /* One thread shakes both hands: neither end may wait for the other. */
  struct timeval short_wait = { .tv_usec = 1000 };
  setsockopt(client_fd, SOL_SOCKET, SO_RCVTIMEO, &short_wait, sizeof(short_wait));
  setsockopt(server_fd, SOL_SOCKET, SO_RCVTIMEO, &short_wait, sizeof(short_wait));
  for (int done = 0; done < 2;)
    done = (SSL_do_handshake(client) == 1) + (SSL_do_handshake(server) == 1);

  char buffer[200] = { 0 };
  static double windows[WINDOWS_MAX];
  int filled = 0;
  double begun = now();
  while (now() - begun < seconds && filled < WINDOWS_MAX) {
    double from = now();
    double to = from;
    int rounds = 0;
    while (to - from < WINDOW_S) {
      for (int i = 0; i < 50; i++, rounds++) {
        CHECK(SSL_write(client, buffer, sizeof(buffer)) == sizeof(buffer));
        while (SSL_read(server, buffer, sizeof(buffer)) != sizeof(buffer))
          ;
        CHECK(SSL_write(server, buffer, sizeof(buffer)) == sizeof(buffer));
        while (SSL_read(client, buffer, sizeof(buffer)) != sizeof(buffer))
          ;
      }
      to = now();
    }
    windows[filled++] = (to - from) * 1e6 / rounds;
  }
  qsort(windows, filled, sizeof(*windows), compare);
  printf("%.3f %.3f\n", windows[0], windows[filled / 2]);
  return 0;
}
