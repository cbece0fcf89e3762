// Puts real uprobes (perf counters, no program) on a function of a shared library, calls it, and prints what they counted
// and what a call costs. Needs root.
//   probe_site_driver LIBRARY FUNCTION ENTRY_OFFSET RETURN_OFFSET|- CALLS [ATTACH_PATH]
// The probes go to ATTACH_PATH, another name of the library's file; the library is the one called.
// One line: entry count, return count, sum of what the calls returned, ns per call without and with the probes.
#include <dlfcn.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

int read_number(const char *path, const char *format) {
  int value = -1;
  if (FILE *file = std::fopen(path, "r")) {
    if (std::fscanf(file, format, &value) != 1) value = -1;
    std::fclose(file);
  }
  return value;
}

int attach(const char *library, uint64_t offset, bool is_return) {
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = static_cast<uint32_t>(read_number("/sys/bus/event_source/devices/uprobe/type", "%d"));
  if (is_return) {
    attributes.config = 1u << read_number("/sys/bus/event_source/devices/uprobe/format/retprobe", "config:%d");
  }
  attributes.config1 = reinterpret_cast<uint64_t>(library);
  attributes.config2 = offset;
  const int fd = static_cast<int>(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
  if (fd < 0) {
    std::perror("perf_event_open");
    std::exit(1);
  }
  return fd;
}

uint64_t count_of(int fd) {
  uint64_t count = 0;
  return fd >= 0 && read(fd, &count, sizeof count) == sizeof count ? count : 0;
}

using Function = long (*)(void *, void *, long, void *);

double call(Function function, long calls, long &sum) {
  char buffer[64] = {};
  const auto start = std::chrono::steady_clock::now();
  for (long i = 0; i < calls; i++) sum += function(buffer, buffer, 7, buffer);
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / static_cast<double>(calls);
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 6 && argc != 7) return 2;
  const char *const attach_path = argv[argc == 7 ? 6 : 1];
  void *library = dlopen(argv[1], RTLD_NOW);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  const auto function = reinterpret_cast<Function>(dlsym(library, argv[2]));
  if (function == nullptr) return 1;
  const long calls = std::strtol(argv[5], nullptr, 10);
  long ignored = 0, sum = 0;
  const double without = call(function, calls, ignored);
  const int entry = attach(attach_path, std::strtoull(argv[3], nullptr, 10), false);
  const int exit = std::strcmp(argv[4], "-") == 0 ? -1 : attach(attach_path, std::strtoull(argv[4], nullptr, 10), true);
  const double with = call(function, calls, sum);
  std::printf("%" PRIu64 " %" PRIu64 " %ld %.1f %.1f\n", count_of(entry), count_of(exit), sum, without, with);
  return 0;
}
