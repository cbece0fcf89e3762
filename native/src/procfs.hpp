// What the capturer reads of /proc. A process may end between any two reads: then there is nothing, which is no error.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cgroup_name.hpp"

namespace klartext {

struct ProcessInfo {
  int32_t pid = 0;
  uint64_t start_ns = 0; // boot clock, to the kernel's clock tick (10 ms)
  std::string comm;
  CgroupIdentity cgroup;
};

struct ProcessStat {
  std::string comm;
  uint64_t start_ticks = 0;
  uint64_t virtual_bytes = 0; // 0: a kernel thread or a process that has ended
  uint64_t code_start = 0;    // moves with each exec
};

// A mapping with execute permission of a file.
struct ExecutableMapping {
  uint64_t start = 0, end = 0;
  uint64_t device = 0; // as makedev() makes it
  uint64_t inode = 0;
  std::string_view path; // into the text that was parsed
};

// Whole file as it reads now, at most `size_max` bytes; false if it cannot be read. `one_line` saves a call on files of
// one line.
bool read_proc_file(const std::string &path, std::string &into, size_t size_max, bool one_line = false);

bool parse_stat(std::string_view text, ProcessStat &stat);
std::vector<ExecutableMapping> parse_executable_mappings(std::string_view maps);

} // namespace klartext
