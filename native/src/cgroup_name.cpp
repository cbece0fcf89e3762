#include "cgroup_name.hpp"

#include <algorithm>
#include <iterator>

namespace klartext {

namespace {

constexpr size_t CONTAINER_ID_DIGITS = 64;
constexpr size_t FILE_UID_DIGITS = 32;
constexpr size_t UUID_SIZE = 36;

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }
bool all_hex(std::string_view text) { return std::all_of(text.begin(), text.end(), is_hex); }

// With `_` for `-` where systemd's names need it.
std::string pod_uid_of(std::string_view text) {
  if (text.size() == FILE_UID_DIGITS && all_hex(text)) return std::string(text);
  if (text.size() != UUID_SIZE) return "";
  std::string uid(text);
  for (size_t i = 0; i < UUID_SIZE; i++) {
    const bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (is_dash && (uid[i] == '_' || uid[i] == '-')) uid[i] = '-';
    else if (is_dash || !is_hex(uid[i])) return "";
  }
  return uid;
}

// "kubepods-burstable-podUID.slice" (systemd; a node inside a container puts its own words before), "podUID" below a
// directory of the kubelet (cgroupfs).
std::string pod_of_name(std::string_view name, bool below_kubepods) {
  constexpr std::string_view SLICE = ".slice";
  const bool is_slice = name.ends_with(SLICE);
  if (is_slice) name.remove_suffix(SLICE.size());
  const size_t at = name.rfind("pod");
  if (at == std::string_view::npos || (at == 0 ? is_slice : !is_slice || name[at - 1] != '-')) return "";
  if (at > 0 ? name.substr(0, at).find("kubepods-") == std::string_view::npos : !below_kubepods) return "";
  return pod_uid_of(name.substr(at + 3));
}

bool is_kubepods(std::string_view name) { return name == "kubepods" || name == "kubepods.slice" || name.ends_with("-kubepods.slice"); }

// What stands before the id. CRI-O's and podman's monitor of a container (crio-conmon-ID.scope) is not in it.
constexpr std::string_view RUNTIMES[] = {"", "cri-containerd-", "crio-", "docker-", "libpod-", "nerdctl-"};

std::string container_of_name(std::string_view name) {
  constexpr std::string_view SCOPE = ".scope";
  if (name.ends_with(SCOPE)) name.remove_suffix(SCOPE.size());
  if (name.size() < CONTAINER_ID_DIGITS) return "";
  const std::string_view id = name.substr(name.size() - CONTAINER_ID_DIGITS);
  const std::string_view runtime = name.substr(0, name.size() - CONTAINER_ID_DIGITS);
  const bool is_known = std::find(std::begin(RUNTIMES), std::end(RUNTIMES), runtime) != std::end(RUNTIMES);
  return is_known && all_hex(id) ? std::string(id) : "";
}

// Takes what stands before the next `separator`, or all.
std::string_view take_until(std::string_view &text, char separator) {
  const std::string_view taken = text.substr(0, text.find(separator));
  text.remove_prefix(std::min(taken.size() + 1, text.size()));
  return taken;
}

} // namespace

CgroupIdentity identity_of_cgroup(std::string_view path) {
  CgroupIdentity found;
  bool below_kubepods = false;
  while (!path.empty()) {
    const std::string_view name = take_until(path, '/');
    // One driver's names under the other: "kubepods-podUID.slice:cri-containerd:ID" is one directory.
    const size_t colon = name.rfind(':');
    const std::string_view first = name.substr(0, name.find(':'));
    const std::string_view last = colon == std::string_view::npos ? name : name.substr(colon + 1);
    found.pod_uid = pod_of_name(first, below_kubepods);
    if (!found.pod_uid.empty()) {
      found.container_id = container_of_name(colon == std::string_view::npos ? take_until(path, '/') : last);
      return found;
    }
    std::string container = container_of_name(last);
    if (!container.empty()) found.container_id = std::move(container);
    below_kubepods |= is_kubepods(name);
  }
  return found;
}

CgroupIdentity identity_of_cgroup_file(std::string_view text) {
  CgroupIdentity found;
  while (!text.empty()) {
    // "number:controllers:path", of which the path may hold colons.
    std::string_view line = take_until(text, '\n');
    take_until(line, ':');
    take_until(line, ':');
    CgroupIdentity identity = identity_of_cgroup(line);
    if (!identity.pod_uid.empty()) return identity;
    if (found.container_id.empty()) found = std::move(identity);
  }
  return found;
}

} // namespace klartext
