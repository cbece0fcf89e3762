/*
 * sniffer OBJECT LIBSSL: runs sniffer.bpf.c on the first instruction and the return of SSL_read and SSL_write, and throws
 * away what it hears. Prints `ready`; SIGTERM ends it, its last line is what it counted.
 */
#include <bpf/libbpf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define POLL_US 5000

static volatile sig_atomic_t ended;
static unsigned long records;

static void end(int signal)
{
  (void)signal;
  ended = 1;
}

static int count(void *context, void *data, size_t size)
{
  (void)context, (void)data, (void)size;
  records++;
  return 0;
}

static void fail(const char *what)
{
  perror(what);
  exit(1);
}

int main(int words, char **word)
{
  if (words != 3)
    return 2;
  signal(SIGTERM, end);
  struct bpf_object *object = bpf_object__open_file(word[1], NULL);
  if (!object || bpf_object__load(object))
    fail("cannot load the BPF programs");
  const char *const functions[] = { "SSL_read", "SSL_write" };
  for (int i = 0; i < 4; i++) {
    LIBBPF_OPTS(bpf_uprobe_opts, options, .func_name = functions[i / 2], .retprobe = i % 2 == 0);
    struct bpf_program *program = bpf_object__find_program_by_name(object, i % 2 == 0 ? "leave" : "enter");
    if (!bpf_program__attach_uprobe_opts(program, -1, word[2], 0, &options))
      fail("cannot attach");
  }
  struct ring_buffer *ring = ring_buffer__new(bpf_object__find_map_fd_by_name(object, "ring"), count, NULL, NULL);
  if (!ring)
    fail("cannot read the ring");
  printf("ready\n");
  fflush(stdout);
  while (!ended) {
    ring_buffer__consume(ring);
    usleep(POLL_US);
  }
  printf("{\"lostBytes\":0,\"segments\":%lu}\n", records);
  return 0;
}
