#include "procfs.hpp"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

namespace klartext {

namespace {

// Takes a number off the front; false if there is none.
bool take_number(std::string_view &text, uint64_t &value, int base) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

bool take_char(std::string_view &text, char wanted) {
  if (text.empty() || text.front() != wanted) return false;
  text.remove_prefix(1);
  return true;
}

std::string_view take_line(std::string_view &text) {
  const size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

// "start-end perms offset major:minor inode      path"
bool parse_mapping(std::string_view line, ExecutableMapping &mapping) {
  uint64_t offset, major, minor;
  if (!take_number(line, mapping.start, 16) || !take_char(line, '-') || !take_number(line, mapping.end, 16)) return false;
  if (line.size() < 6 || line[3] != 'x') return false;
  line.remove_prefix(6);
  if (!take_number(line, offset, 16) || !take_char(line, ' ')) return false;
  if (!take_number(line, major, 16) || !take_char(line, ':') || !take_number(line, minor, 16)) return false;
  if (!take_char(line, ' ') || !take_number(line, mapping.inode, 10) || mapping.inode == 0) return false;
  const size_t path = line.find_first_not_of(' ');
  if (path == std::string_view::npos) return false;
  mapping.device = makedev(static_cast<unsigned>(major), static_cast<unsigned>(minor));
  mapping.path = line.substr(path);
  return true;
}

} // namespace

bool read_proc_file(const std::string &path, std::string &into, size_t size_max, bool one_line) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  size_t size = 0;
  bool good = true;
  if (into.size() < 4096) into.resize(4096);
  for (;;) {
    if (size == into.size()) {
      if (size >= size_max) break;
      into.resize(size * 2);
    }
    const size_t room = into.size() - size;
    const ssize_t got = read(fd, into.data() + size, room);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) good = false;
    if (got <= 0) break;
    size += static_cast<size_t>(got);
    // One line that leaves room is the whole of a one-line file, and saves the read that says so.
    if (one_line && static_cast<size_t>(got) < room && into[size - 1] == '\n') break;
  }
  close(fd);
  into.resize(size);
  return good;
}

bool parse_stat(std::string_view text, ProcessStat &stat) {
  // "pid (comm) state ppid …": comm may hold spaces and parentheses, so it ends at the last one.
  const size_t open = text.find('(');
  const size_t close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) return false;
  stat.comm = text.substr(open + 1, close - open - 1);
  text.remove_prefix(close + 1);
  // Fields by the numbering of proc(5): 3 is the state.
  for (int field = 3; field <= 26; field++) {
    if (!take_char(text, ' ')) return false;
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size());
    uint64_t *const into = field == 22 ? &stat.start_ticks : field == 23 ? &stat.virtual_bytes : field == 26 ? &stat.code_start : nullptr;
    std::string_view number = word;
    if (into != nullptr && !take_number(number, *into, 10)) return false;
  }
  return true;
}

std::vector<ExecutableMapping> parse_executable_mappings(std::string_view maps) {
  std::vector<ExecutableMapping> mappings;
  while (!maps.empty()) {
    ExecutableMapping mapping;
    if (parse_mapping(take_line(maps), mapping)) mappings.push_back(mapping);
  }
  return mappings;
}

} // namespace klartext
