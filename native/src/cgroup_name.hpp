// Container and pod as container runtimes and the kubelet write them into the names of cgroups.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace klartext {

struct CgroupIdentity {
  std::string container_id; // 64 hex digits; empty on the host and where unknown
  std::string pod_uid;      // as in the name, with dashes: a UUID, or 32 hex digits (pods that a node runs from a file)
  bool operator==(const CgroupIdentity &) const = default;
};

// `path` is "/a/b/c" from the root of a hierarchy. Understood are the kubelet's cgroups, by either driver, with containers
// of containerd, CRI-O and Docker in them, and containers of these and podman outside of pods. Names that look otherwise
// say nothing; of containers inside a pod's container the outer one is meant, which is the one that Kubernetes knows.
CgroupIdentity identity_of_cgroup(std::string_view path);

// Of a /proc/PID/cgroup file, one hierarchy a line: of the first that names a pod, or else a container.
CgroupIdentity identity_of_cgroup_file(std::string_view text);

} // namespace klartext
