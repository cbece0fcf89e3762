#include "programs.hpp"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <atomic>
#include <thread>

namespace klartext {

namespace {

// libbpf writes every failed try to stderr; what matters is in the error that comes back, the last line of it here.
thread_local std::string last_message;

int keep_message(enum libbpf_print_level level, const char *format, va_list args) {
  if (level != LIBBPF_WARN) return 0;
  char line[512];
  vsnprintf(line, sizeof(line), format, args);
  last_message.assign(line, strcspn(line, "\n"));
  return 0;
}

std::string failure(const std::string &what, int error) {
  std::string text = what + ": " + strerror(error < 0 ? -error : error);
  if (!last_message.empty()) text += " (" + last_message + ")";
  return text;
}

uint64_t cookie_of(const ProbePoint &point) {
  uint64_t cookie = static_cast<uint64_t>(point.role);
  for (size_t i = 0; i < point.arguments.size(); i++) {
    cookie |= static_cast<uint64_t>(point.arguments[i]) << (8 + 8 * i);
  }
  return cookie;
}

template <typename Sum>
void sum_counts(int map, uint32_t index, Sum &into) {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return;
  std::vector<kt_loss> values(static_cast<size_t>(cpus));
  if (bpf_map_lookup_elem(map, &index, values.data()) != 0) return;
  for (const kt_loss &value : values) {
    into.count += value.count;
    into.bytes += value.bytes;
  }
}

// Taking one probe away waits for a grace period of the kernel, 0.1 s; those that are taken away together share it.
constexpr size_t DETACH_THREADS = 32;

void take_away(std::vector<ProbeLink> &links) {
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < links.size(); i = next++) const ProbeLink gone = std::move(links[i]);
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < links.size() && i < DETACH_THREADS; i++) threads.emplace_back(work);
  work();
  for (std::thread &thread : threads) thread.join();
}

} // namespace

Programs::~Programs() {
  detach_all();
  if (object_) bpf_object__close(object_);
}

std::string Programs::open(const ProgramOptions &options) {
  libbpf_set_print(keep_message);
  last_message.clear();
  object_ = bpf_object__open_file(options.object_path.c_str(), nullptr);
  if (!object_) return failure("cannot open " + options.object_path, errno);

  bpf_map *ring = bpf_object__find_map_by_name(object_, "ring");
  if (!ring || bpf_map__set_max_entries(ring, options.ring_bytes) != 0) return "the ring cannot take this size";
  ring_bytes_ = options.ring_bytes;

  kt_settings settings{};
  settings.self_tgid = static_cast<uint32_t>(getpid());
  settings.tls = options.tls;
  settings.plain = options.plain;
  settings.filter_pids = !options.pids.empty();
  // Early enough that the reader gets going before the ring is full, late enough that it wakes seldom.
  settings.wake_bytes = options.ring_bytes / 8;
  settings.call_bytes_max = options.call_bytes_max;
  bpf_map *rodata = bpf_object__find_map_by_name(object_, ".rodata");
  if (!rodata || bpf_map__set_initial_value(rodata, &settings, sizeof(settings)) != 0) return "the settings do not fit";

  multi_ = ProbeLink::kernel_has_multi();
  for (const char *name : {"tls_enter", "tls_return", "buffer_grow", "bio_write"}) {
    bpf_program *program = bpf_object__find_program_by_name(object_, name);
    if (!program) return std::string("there is no BPF program ") + name;
    if (multi_) ProbeLink::prepare_for_multi(program);
  }
  const int loaded = bpf_object__load(object_);
  if (loaded != 0) return failure("the kernel refuses the BPF programs", loaded);
  for (const uint32_t pid : options.pids) {
    const uint8_t one = 1;
    bpf_map_update_elem(bpf_object__find_map_fd_by_name(object_, "targets"), &pid, &one, BPF_ANY);
  }
  seed_listening_ports();
  return attach_tracepoints(options);
}

std::string Programs::attach_tracepoints(const ProgramOptions &) {
  bpf_program *program = nullptr;
  bpf_object__for_each_program(program, object_) {
    const char *section = bpf_program__section_name(program);
    if (strncmp(section, "tp_btf/", 7) != 0) continue;
    bpf_link *link = bpf_program__attach(program);
    if (!link) {
      // A kernel without one of the calls has no one who calls it.
      if (errno == ENOENT) continue;
      return failure(std::string("cannot attach ") + section, errno);
    }
    links_.push_back(ProbeLink(link));
  }
  return "";
}

std::vector<const ProbePoint *> Programs::place(const char *program_name, const std::string &path,
                                                const std::vector<const ProbePoint *> &points, bool at_return,
                                                std::vector<ProbeLink> &links, std::string &error) const {
  if (points.empty()) return points;
  bpf_program *program = bpf_object__find_program_by_name(object_, program_name);
  std::vector<ProbePlace> places;
  for (const ProbePoint *point : points) {
    places.push_back({at_return ? point->return_offset : point->entry_offset, cookie_of(*point)});
  }
  if (multi_) {
    ProbeLink link = ProbeLink::multi(program, path, places, at_return);
    if (link.valid()) {
      links.push_back(std::move(link));
      return points;
    }
  }
  // One at a time: those that can be probed are, and the others are known.
  std::vector<const ProbePoint *> placed;
  for (size_t i = 0; i < points.size(); i++) {
    ProbeLink link = multi_ ? ProbeLink::multi(program, path, {places[i]}, at_return)
                            : ProbeLink::perf(program, path, places[i], at_return);
    if (link.valid()) {
      links.push_back(std::move(link));
      placed.push_back(points[i]);
    } else {
      error = failure((at_return ? "cannot probe the return of " : "cannot probe ") + points[i]->symbol, errno);
    }
  }
  return placed;
}

size_t Programs::attach(uint64_t object, const ProbePlan &plan, const std::string &attach_path, bool bio_write,
                        std::string &error) {
  last_message.clear();
  std::vector<const ProbePoint *> returning, enter, grow, bio;
  for (const ProbePoint &point : plan.points) {
    if ((point.role == Role::bio_write) != bio_write) continue;
    if (bio_write) bio.push_back(&point);
    else if (point.return_offset != NO_OFFSET) returning.push_back(&point);
    else if (point.role == Role::buffer_grow) grow.push_back(&point);
    else enter.push_back(&point);
  }
  std::vector<ProbeLink> links;
  // The return probes first: an entry that nobody answers would leave the thread marked.
  const std::vector<const ProbePoint *> answered = place("tls_return", attach_path, returning, true, links, error);
  enter.insert(enter.end(), answered.begin(), answered.end());
  const size_t attached = place("tls_enter", attach_path, enter, false, links, error).size() +
                          place("buffer_grow", attach_path, grow, false, links, error).size() +
                          place("bio_write", attach_path, bio, false, links, error).size();
  const std::lock_guard lock(probes_mutex_);
  auto &known = probes_[object];
  for (ProbeLink &link : links) known.push_back(std::move(link));
  return attached;
}

void Programs::pause() {
  const int variables = object_ ? bpf_object__find_map_fd_by_name(object_, ".bss") : -1;
  const uint32_t key = 0;
  const uint32_t paused = 1;
  // `paused` is all that .bss holds.
  if (variables >= 0) bpf_map_update_elem(variables, &key, &paused, BPF_ANY);
}

void Programs::detach(const std::vector<uint64_t> &objects) {
  std::vector<ProbeLink> links;
  {
    const std::lock_guard lock(probes_mutex_);
    for (const uint64_t object : objects) {
      const auto found = probes_.find(object);
      if (found == probes_.end()) continue;
      for (ProbeLink &link : found->second) links.push_back(std::move(link));
      probes_.erase(found);
    }
  }
  take_away(links);
}

void Programs::detach_all() {
  std::vector<ProbeLink> links;
  links.swap(links_);
  {
    const std::lock_guard lock(probes_mutex_);
    for (auto &[object, of_object] : probes_) {
      for (ProbeLink &link : of_object) links.push_back(std::move(link));
    }
    probes_.clear();
  }
  take_away(links);
}

int Programs::ring_fd() const { return bpf_object__find_map_fd_by_name(object_, "ring"); }

bool Programs::find_connection(bool tls, const kt_key &key, kt_connection &into) const {
  return bpf_map_lookup_elem(bpf_object__find_map_fd_by_name(object_, tls ? "tls" : "sockets"), &key, &into) == 0;
}

void Programs::forget_connection(bool tls, const kt_key &key) const {
  bpf_map_delete_elem(bpf_object__find_map_fd_by_name(object_, tls ? "tls" : "sockets"), &key);
}

void Programs::forget_cgroup(uint64_t cgroup) const {
  bpf_map_delete_elem(bpf_object__find_map_fd_by_name(object_, "told_cgroups"), &cgroup);
}

LossCounts Programs::counts() const {
  LossCounts counts;
  const int losses = bpf_object__find_map_fd_by_name(object_, "losses");
  const int seen = bpf_object__find_map_fd_by_name(object_, "seen");
  for (uint32_t i = 0; i < KT_LOSS_COUNT; i++) sum_counts(losses, i, counts.by_reason[i]);
  for (uint32_t i = 0; i < KT_SEEN_COUNT; i++) sum_counts(seen, i, counts.seen[i]);
  return counts;
}

// Which local ports listen already: state 0A in /proc/net/tcp and tcp6.
void Programs::seed_listening_ports() {
  const int map = bpf_object__find_map_fd_by_name(object_, "listening");
  for (const char *path : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    FILE *file = fopen(path, "re");
    if (!file) continue;
    char line[512];
    while (fgets(line, sizeof(line), file)) {
      unsigned port = 0, state = 0;
      if (sscanf(line, "%*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x", &port, &state) != 2 || state != 0x0a) continue;
      const uint16_t key = static_cast<uint16_t>(port);
      const uint8_t one = 1;
      bpf_map_update_elem(map, &key, &one, BPF_ANY);
    }
    fclose(file);
  }
}

} // namespace klartext
