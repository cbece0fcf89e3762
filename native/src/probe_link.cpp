#include "probe_link.hpp"

#include <bpf/btf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>
#include <utility>

namespace klartext {

namespace {

// From the kernel's include/uapi/linux/bpf.h; Debian 12's headers and libbpf are older than these.
constexpr int BPF_LINK_CREATE_COMMAND = 28;
constexpr uint32_t TRACE_UPROBE_MULTI = 48;
constexpr uint32_t UPROBE_MULTI_RETURN = 1;

struct LinkCreateUprobeMulti {
  uint32_t prog_fd;
  uint32_t target_fd;
  uint32_t attach_type;
  uint32_t flags;
  uint64_t path;
  uint64_t offsets;
  uint64_t ref_ctr_offsets;
  uint64_t cookies;
  uint32_t count;
  uint32_t multi_flags;
  uint32_t pid; // 0: all processes
  uint32_t unused;
};
static_assert(sizeof(LinkCreateUprobeMulti) == 64, "the kernel's layout");

} // namespace

bool ProbeLink::kernel_has_multi() {
  const std::unique_ptr<btf, decltype(&btf__free)> types(btf__load_vmlinux_btf(), btf__free);
  return types && btf__find_by_name_kind(types.get(), "bpf_uprobe_multi_link", BTF_KIND_STRUCT) > 0;
}

void ProbeLink::prepare_for_multi(bpf_program *program) {
  bpf_program__set_expected_attach_type(program, static_cast<bpf_attach_type>(TRACE_UPROBE_MULTI));
}

ProbeLink ProbeLink::multi(bpf_program *program, const std::string &path, const std::vector<ProbePlace> &places,
                           bool at_return) {
  std::vector<uint64_t> offsets, cookies;
  for (const ProbePlace &place : places) {
    offsets.push_back(place.offset);
    cookies.push_back(place.cookie);
  }
  LinkCreateUprobeMulti attributes{};
  attributes.prog_fd = static_cast<uint32_t>(bpf_program__fd(program));
  attributes.attach_type = TRACE_UPROBE_MULTI;
  attributes.path = reinterpret_cast<uint64_t>(path.c_str());
  attributes.offsets = reinterpret_cast<uint64_t>(offsets.data());
  attributes.cookies = reinterpret_cast<uint64_t>(cookies.data());
  attributes.count = static_cast<uint32_t>(places.size());
  attributes.multi_flags = at_return ? UPROBE_MULTI_RETURN : 0;
  const long fd = syscall(SYS_bpf, BPF_LINK_CREATE_COMMAND, &attributes, sizeof(attributes));
  return ProbeLink(static_cast<int>(fd), nullptr);
}

ProbeLink ProbeLink::perf(bpf_program *program, const std::string &path, const ProbePlace &place, bool at_return) {
  LIBBPF_OPTS(bpf_uprobe_opts, options, .bpf_cookie = place.cookie, .retprobe = at_return);
  return ProbeLink(-1, bpf_program__attach_uprobe_opts(program, -1, path.c_str(), place.offset, &options));
}

ProbeLink::ProbeLink(ProbeLink &&other) noexcept
    : fd_(std::exchange(other.fd_, -1)), link_(std::exchange(other.link_, nullptr)) {}

ProbeLink &ProbeLink::operator=(ProbeLink &&other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(link_, other.link_);
  return *this;
}

ProbeLink::~ProbeLink() {
  if (fd_ >= 0) close(fd_);
  if (link_) bpf_link__destroy(link_);
}

} // namespace klartext
