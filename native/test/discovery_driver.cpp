// Runs Discovery step by step for tests: discovery_driver PROC RETIRE_MS, then on stdin
//   scan | process PID
// Each answers with one line of JSON. Paths with quotes or control characters are not expected in tests.
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

#include "discovery.hpp"

using namespace klartext;

namespace {

std::string quoted(const std::string &text) { return '"' + text + '"'; }

std::string json_of(const MappedObject &object) {
  std::string out = "{\"kind\":" + quoted(object.kind) + ",\"path\":" + quoted(object.path) + ",\"attachPath\":" +
                    quoted(object.attach_path) + ",\"inode\":" + std::to_string(object.identity.inode) + ",\"device\":" +
                    std::to_string(object.identity.device) + ",\"points\":" + std::to_string(object.plan.points.size()) +
                    ",\"reason\":" + quoted(object.plan.reason) + ",\"processes\":[";
  for (size_t i = 0; i < object.processes.size(); i++) {
    const ProcessInfo &info = object.processes[i];
    out += (i > 0 ? ",{\"pid\":" : "{\"pid\":") + std::to_string(info.pid) + ",\"startNs\":" + std::to_string(info.start_ns) +
           ",\"comm\":" + quoted(info.comm) + ",\"containerId\":" + quoted(info.cgroup.container_id) +
           ",\"podUid\":" + quoted(info.cgroup.pod_uid) + '}';
  }
  return out + "]}";
}

std::string json_of(const std::vector<std::shared_ptr<MappedObject>> &objects) {
  std::string out = "[";
  for (const auto &object : objects) out += (out.size() > 1 ? "," : "") + json_of(*object);
  return out + "]";
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  Discovery discovery(PlacementMode::emulated, argv[1], std::strtoull(argv[2], nullptr, 10) * 1'000'000);
  std::string verb;
  while (std::cin >> verb) {
    ScanResult result;
    if (verb == "process") {
      int32_t pid = 0;
      std::cin >> pid;
      result = discovery.scan_process(pid);
    } else {
      result = discovery.scan();
    }
    std::printf("{\"appeared\":%s,\"vanished\":%s,\"objects\":%s,\"processes\":%u,\"processesRead\":%u,\"filesOpened\":%u,\"tookUs\":%" PRIu64 "}\n",
                json_of(result.appeared).c_str(), json_of(result.vanished).c_str(), json_of(discovery.objects()).c_str(),
                result.processes, result.processes_read, result.files_opened, result.took_ns / 1000);
    std::fflush(stdout);
  }
  return 0;
}
