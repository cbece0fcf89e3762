// Where to put probes: which functions of a TLS library, and at which instruction of each.
//
// The kernel emulates a few x86 instructions when a uprobe sits on them; all others it executes out of line by
// single-step, which costs a debug exception: an empty entry and return probe took 1.3 µs against 31 µs a call in a virtual
// machine (test/live/probe_sites.test.ts). So the plan looks for a site with an emulated instruction at which the
// arguments are still in registers and the stack pointer is what it was, so that the return probe can sit there too.
//
// A second emulated site where the function ends (the check of its stack protector, say) would do without the return
// probe, and cost more: 0.38 µs against the 0.2 µs that a return probe adds to its entry, 0.27 while system calls are
// traced.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "elf.hpp"

namespace klartext {

enum class LibraryKind : uint8_t { unknown, openssl, openssl_crypto, boringssl };

// What a probed function does. `read_internal` and `write_internal` take (SSL*, buffer, size_t, [flags,] size_t *done),
// return > 0 when done bytes are valid, and stand for all public variants; then those are not in the plan.
// `handshake` is SSL_do_handshake, which SSL_connect and SSL_accept go through.
enum class Role : uint8_t {
  read, read_ex, read_internal,          // keep in step with role_name()
  write, write_ex, write_ex2, write_internal,
  handshake, shutdown, free, clear,
  set_fd, set_rfd, set_wfd,
  bio_write, buffer_grow,
  up_ref,
};
const char *role_name(Role role);

enum class Cost : uint8_t { emulated, single_step };

// General registers in the numbering of x86 instructions. On aarch64: x0 .. x4 are 0 .. 4.
using Register = uint8_t;
inline constexpr Register REGISTER_NONE = 0xff;
inline constexpr Register RAX = 0, RCX = 1, RDX = 2, RSP = 4, RSI = 6, RDI = 7, R8 = 8, R9 = 9;
const char *register_name(Register reg);

inline constexpr uint64_t NO_OFFSET = ~uint64_t{0};

struct ProbePoint {
  Role role = Role::read;
  std::string symbol;                 // of the probed function
  uint64_t function_offset = 0;       // file offset of the function's first instruction
  uint64_t entry_offset = 0;          // file offset for the entry probe
  // File offset for the uretprobe, or NO_OFFSET where the role needs none. Often the same as entry_offset; then both
  // cost one trap together. The stack pointer is there what it was at entry, which is all that a uretprobe asks for.
  uint64_t return_offset = NO_OFFSET;
  Cost entry_cost = Cost::single_step;
  Cost return_cost = Cost::single_step;
  std::string instruction;            // at the entry site, for people
  // Registers at the entry site: [0] SSL* or BIO*, [1] buffer or descriptor, [2] size (int for read, write and
  // bio_write, size_t otherwise), [3] size_t *done of the _ex and internal forms; r8 when flags come before it.
  // REGISTER_NONE where the role has no such argument.
  std::array<Register, 4> arguments{REGISTER_NONE, REGISTER_NONE, REGISTER_NONE, REGISTER_NONE};
};

struct ProbePlan {
  LibraryKind kind = LibraryKind::unknown;
  Machine machine = Machine::other;
  std::string version;                // "3.0.19", "1.1.1w", "3" where only the symbol versions tell; "" where unknown
  std::string build_id;
  std::vector<ProbePoint> points;     // empty: see `reason`
  std::string reason;                 // why it cannot be hooked, one line
  std::string note;                   // what is worth knowing about a plan that works
};
const char *library_kind_name(LibraryKind kind);

enum class PlacementMode : uint8_t {
  emulated,     // the cheapest sites
  conventional, // entry and return of SSL_read(_ex) and SSL_write(_ex) at their first instruction, as others do
};

ProbePlan plan_probes(const ElfFile &elf, PlacementMode mode);
ProbePlan plan_probes(const std::string &path, PlacementMode mode);

} // namespace klartext
