#include "placement.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>

#include "disassembly.hpp"

namespace klartext {

namespace {

constexpr uint16_t bit(Register reg) { return static_cast<uint16_t>(1u << reg); }

// A function of the libraries, what it does, and in which registers the System V ABI hands over what is read.
struct Wanted {
  Role role;
  std::string_view symbol;
  std::array<Register, 4> arguments;
  bool needs_return;
};

constexpr Register NO = REGISTER_NONE;
constexpr Wanted SSL_READ{Role::read, "SSL_read", {RDI, RSI, RDX, NO}, true};
constexpr Wanted SSL_READ_EX{Role::read_ex, "SSL_read_ex", {RDI, RSI, RDX, RCX}, true};
constexpr Wanted SSL_WRITE{Role::write, "SSL_write", {RDI, RSI, RDX, NO}, true};
constexpr Wanted SSL_WRITE_EX{Role::write_ex, "SSL_write_ex", {RDI, RSI, RDX, RCX}, true};
constexpr Wanted SSL_WRITE_EX2{Role::write_ex2, "SSL_write_ex2", {RDI, RSI, RDX, R8}, true};
constexpr Wanted OTHERS[] = {
    {Role::handshake, "SSL_do_handshake", {RDI, NO, NO, NO}, true},
    {Role::shutdown, "SSL_shutdown", {RDI, NO, NO, NO}, true},
    {Role::free, "SSL_free", {RDI, NO, NO, NO}, false},
    {Role::up_ref, "SSL_up_ref", {RDI, NO, NO, NO}, false},
    {Role::clear, "SSL_clear", {RDI, NO, NO, NO}, false},
    {Role::set_fd, "SSL_set_fd", {RDI, RSI, NO, NO}, false},
    {Role::set_rfd, "SSL_set_rfd", {RDI, RSI, NO, NO}, false},
    {Role::set_wfd, "SSL_set_wfd", {RDI, RSI, NO, NO}, false},
    {Role::bio_write, "BIO_write", {RDI, RSI, RDX, NO}, false},
    {Role::buffer_grow, "BUF_MEM_grow_clean", {RDI, NO, NO, NO}, false},
};
constexpr Wanted READ_FAMILY[] = {SSL_READ, SSL_READ_EX};
constexpr Wanted WRITE_FAMILY[] = {SSL_WRITE, SSL_WRITE_EX, SSL_WRITE_EX2};
constexpr std::string_view READ_INTERNAL = "ssl_read_internal";
constexpr std::string_view WRITE_INTERNAL = "ssl_write_internal";

// A function reached through a call has no size; its entry block is far shorter than this, and so is what could jump
// back into it.
constexpr size_t UNSIZED_FUNCTION_BYTES = 2048;
constexpr size_t FUNCTION_BYTES_MAX = 64 * 1024;
// SSL_write_ex → SSL_write_ex2 → ssl_write_internal is the longest chain there is.
constexpr int HOPS_MAX = 3;

// In every build of OpenSSL and BoringSSL, for its error messages.
constexpr std::string_view OPENSSL_SOURCE_FILE = "ssl/ssl_lib.c";

using Functions = std::unordered_map<std::string_view, FunctionSymbol>;

// The code of one function, and its instructions.
struct Body {
  uint64_t address = 0;
  std::vector<uint8_t> code;
  std::vector<Instruction> instructions;
};

Body read_body(const ElfFile &elf, uint64_t address, uint64_t size) {
  Body body;
  body.address = address;
  body.code = elf.read_code(address, size == 0 ? UNSIZED_FUNCTION_BYTES : std::min<uint64_t>(size, FUNCTION_BYTES_MAX));
  if (elf.machine() == Machine::x86_64) body.instructions = disassemble(body.code, address);
  return body;
}

bool jumps_between(const Body &body, uint64_t after, uint64_t up_to) {
  return std::any_of(body.instructions.begin(), body.instructions.end(), [&](const Instruction &instruction) {
    return (instruction.flow == Flow::branch || instruction.flow == Flow::jump) && instruction.target > after &&
           instruction.target <= up_to;
  });
}

// The first emulated instruction of the entry block at which none of `untouched` has been written yet. Every call passes
// the entry block once, so a site counts if nothing jumps back into it.
const Instruction *find_site(const Body &body, uint16_t untouched) {
  uint16_t written = 0;
  for (const Instruction &instruction : body.instructions) {
    if ((written & untouched) != 0) return nullptr;
    const bool is_entry = instruction.address == body.address;
    // Inside a function the stack below the pointer may be in use, which the call that replaces a long nop would tread on.
    if (instruction.emulated && !instruction.probe_refused && (is_entry || !instruction.long_nop)) {
      return jumps_between(body, body.address, instruction.address) ? nullptr : &instruction;
    }
    if (instruction.flow != Flow::next) return nullptr;
    written |= instruction.writes;
  }
  return nullptr;
}

ProbePoint conventional_point(const Wanted &wanted, const FunctionSymbol &function) {
  ProbePoint point;
  point.role = wanted.role;
  point.symbol = wanted.symbol;
  point.function_offset = point.entry_offset = function.file_offset;
  if (wanted.needs_return) point.return_offset = function.file_offset;
  point.arguments = wanted.arguments;
  return point;
}

// Fills in the sites. False when the kernel would refuse a probe on the first instruction and there is no other site.
bool place(ProbePoint &point, const Body &body, bool conventional) {
  const auto offset_of = [&](const Instruction &site) { return point.function_offset + (site.address - body.address); };
  const auto text_of = [&](uint64_t address) {
    return instruction_text(std::span(body.code).subspan(address - body.address), address);
  };
  const bool needs_return = point.return_offset != NO_OFFSET;
  uint16_t arguments = 0;
  for (const Register reg : point.arguments) {
    if (reg != REGISTER_NONE) arguments |= bit(reg);
  }
  // A uretprobe takes the return address from where the stack pointer points, so the pointer must not have moved. With
  // one site for both, a call pays one trap for them together; the entry alone at a cheap site would save nothing as
  // long as the return has to sit on a dear one.
  const Instruction *site =
      conventional ? nullptr : find_site(body, static_cast<uint16_t>(arguments | (needs_return ? bit(RSP) : 0)));
  if (site == nullptr) {
    if (!body.instructions.empty()) {
      const Instruction &first = body.instructions.front();
      if (first.probe_refused) return false;
      point.entry_cost = point.return_cost = first.emulated ? Cost::emulated : Cost::single_step;
      point.instruction = text_of(first.address);
    }
    return true;
  }
  point.entry_offset = offset_of(*site);
  point.entry_cost = point.return_cost = Cost::emulated;
  point.instruction = text_of(site->address);
  if (needs_return) point.return_offset = point.entry_offset;
  return true;
}

// A function that all public variants go through, with its arguments where the ABI puts them.
struct Internal {
  uint64_t address;
  Register done; // register with size_t *done
};

// Follows a public `_ex` variant, whose four (five) arguments pass through untouched, to the function it hands them to.
// Other public functions may stand between.
std::optional<Internal> follow_ex(const ElfFile &elf, const FunctionSymbol &from, const Functions &functions) {
  // Which argument of the public function each register holds: 0 SSL*, 1 buffer, 2 size, 3 size_t *done.
  std::array<uint8_t, 16> holds;
  holds.fill(0xff);
  holds[RDI] = 0;
  holds[RSI] = 1;
  holds[RDX] = 2;
  holds[RCX] = 3;
  FunctionSymbol function = from;
  for (int hop = 0; hop < HOPS_MAX; hop++) {
    const Body body = read_body(elf, function.address, function.size);
    uint64_t target = 0;
    for (const Instruction &instruction : body.instructions) {
      if (instruction.flow == Flow::call || instruction.flow == Flow::jump) {
        target = instruction.target;
        break;
      }
      if (instruction.flow != Flow::next) return std::nullopt;
      const uint8_t moved = instruction.copies_from != 0xff ? holds[instruction.copies_from] : 0xff;
      for (int reg = 0; reg < 16; reg++) {
        if ((instruction.writes & (1u << reg)) != 0) holds[reg] = 0xff;
      }
      if (instruction.copies_to != 0xff) holds[instruction.copies_to] = moved;
    }
    const bool inside = target >= function.address && target - function.address < std::max<uint64_t>(function.size, 1);
    if (target == 0 || inside || !elf.file_offset_of(target)) return std::nullopt;
    if (holds[RDI] != 0 || holds[RSI] != 1 || holds[RDX] != 2) return std::nullopt;

    const auto is_public = std::find_if(functions.begin(), functions.end(), [&](const auto &entry) {
      return entry.second.address == target && entry.first.starts_with("SSL_");
    });
    if (is_public == functions.end()) {
      if (holds[RCX] == 3) return Internal{target, RCX};
      if (holds[R8] == 3) return Internal{target, R8};
      return std::nullopt;
    }
    function = is_public->second;
  }
  return std::nullopt;
}

bool calls(const ElfFile &elf, const FunctionSymbol &function, uint64_t target) {
  const Body body = read_body(elf, function.address, function.size);
  return std::any_of(body.instructions.begin(), body.instructions.end(), [&](const Instruction &instruction) {
    return (instruction.flow == Flow::call || instruction.flow == Flow::jump) && instruction.target == target;
  });
}

// Plans the variants of read or of write, each of which passes data once however they call one another.
void plan_family(const ElfFile &elf, const Functions &functions, std::span<const Wanted> family,
                 std::string_view internal_name, Role internal_role, PlacementMode mode, ProbePlan &plan) {
  const bool conventional = mode == PlacementMode::conventional;
  std::vector<ProbePoint> points;
  bool all_cheap = true;
  for (const Wanted &wanted : family) {
    const auto found = functions.find(wanted.symbol);
    if (found == functions.end() || (conventional && wanted.role == Role::write_ex2)) continue;
    ProbePoint point = conventional_point(wanted, found->second);
    if (!place(point, read_body(elf, found->second.address, found->second.size), conventional)) {
      plan.note += std::string(wanted.symbol) + " cannot be probed: the kernel refuses its first instruction; ";
      continue;
    }
    if (point.entry_cost != Cost::emulated || point.return_cost != Cost::emulated) all_cheap = false;
    points.push_back(std::move(point));
  }

  const auto with_ex = functions.find(family[1].symbol);
  if (!all_cheap && !conventional && with_ex != functions.end()) {
    const auto internal = follow_ex(elf, with_ex->second, functions);
    const bool all_pass =
        internal && std::all_of(family.begin(), family.end(), [&](const Wanted &wanted) {
          const auto found = functions.find(wanted.symbol);
          if (found == functions.end() || calls(elf, found->second, internal->address)) return true;
          // A variant may hand over to another public one, which then stands for it.
          return std::any_of(family.begin(), family.end(), [&](const Wanted &other) {
            const auto next = functions.find(other.symbol);
            return next != functions.end() && calls(elf, found->second, next->second.address) &&
                   calls(elf, next->second, internal->address);
          });
        });
    if (all_pass) {
      const auto named = functions.find(internal_name);
      const uint64_t size = named != functions.end() && named->second.address == internal->address ? named->second.size : 0;
      const Wanted wanted{internal_role, internal_name, {RDI, RSI, RDX, internal->done}, true};
      ProbePoint point =
          conventional_point(wanted, FunctionSymbol{internal->address, *elf.file_offset_of(internal->address), size});
      if (place(point, read_body(elf, internal->address, size), false) && point.entry_cost == Cost::emulated) {
        points.assign(1, std::move(point));
      }
    }
  }
  plan.points.insert(plan.points.end(), std::make_move_iterator(points.begin()), std::make_move_iterator(points.end()));
}

std::string version_of_soname(const std::string &soname) {
  const size_t at = soname.find(".so.");
  return at == std::string::npos ? "" : soname.substr(at + 4);
}

// "3.0.19" of "OpenSSL 3.0.19 27 Jan 2026".
std::string second_word(const std::string &text) {
  const size_t from = text.find(' ');
  if (from == std::string::npos) return "";
  const size_t to = text.find(' ', from + 1);
  return text.substr(from + 1, to == std::string::npos ? std::string::npos : to - from - 1);
}

void identify(const ElfFile &elf, const Functions &functions, ProbePlan &plan) {
  const bool has_ssl = functions.contains(SSL_READ.symbol) || functions.contains(SSL_WRITE.symbol);
  const std::string text = elf.find_version_string("OpenSSL ");
  plan.version = second_word(text);
  if (text.find("BoringSSL") != std::string::npos || (text.empty() && elf.contains("BoringSSL"))) {
    plan.kind = LibraryKind::boringssl;
    plan.version = "";
  } else if (has_ssl) {
    plan.kind = LibraryKind::openssl;
  } else {
    plan.kind = LibraryKind::openssl_crypto;
  }
  // libssl itself does not say its version; its name and the symbols it has tell a part.
  if (plan.version.empty() && plan.kind == LibraryKind::openssl) plan.version = version_of_soname(elf.soname());
}

} // namespace

const char *role_name(Role role) {
  static constexpr const char *NAMES[] = {
      "read", "read_ex", "read_internal", "write", "write_ex", "write_ex2", "write_internal", "handshake",
      "shutdown", "free", "clear", "set_fd", "set_rfd", "set_wfd", "bio_write", "buffer_grow",
      "up_ref",
  };
  static_assert(std::size(NAMES) == static_cast<size_t>(Role::up_ref) + 1);
  return NAMES[static_cast<size_t>(role)];
}

const char *library_kind_name(LibraryKind kind) {
  static constexpr const char *NAMES[] = {"unknown", "openssl", "openssl_crypto", "boringssl"};
  static_assert(std::size(NAMES) == static_cast<size_t>(LibraryKind::boringssl) + 1);
  return NAMES[static_cast<size_t>(kind)];
}

const char *register_name(Register reg) {
  static constexpr const char *NAMES[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
  return reg < std::size(NAMES) ? NAMES[reg] : "";
}

ProbePlan plan_probes(const ElfFile &elf, PlacementMode mode) {
  ProbePlan plan;
  plan.build_id = elf.build_id();
  plan.machine = elf.machine();
  if (elf.machine() == Machine::other) {
    plan.reason = "built for a machine other than x86-64 and aarch64";
    return plan;
  }

  std::vector<std::string_view> names{READ_INTERNAL, WRITE_INTERNAL};
  for (const Wanted &wanted : READ_FAMILY) names.push_back(wanted.symbol);
  for (const Wanted &wanted : WRITE_FAMILY) names.push_back(wanted.symbol);
  for (const Wanted &wanted : OTHERS) names.push_back(wanted.symbol);
  bool imports = false;
  const Functions functions = elf.find_functions(names, imports);
  const bool has_read = functions.contains(SSL_READ.symbol) || functions.contains(SSL_READ_EX.symbol);
  const bool has_write = functions.contains(SSL_WRITE.symbol) || functions.contains(SSL_WRITE_EX.symbol);
  const bool has_bio = functions.contains("BIO_write");
  if (!(has_read && has_write) && !has_bio) {
    if (elf.is_go()) {
      plan.reason = "go: not supported yet";
    } else if (imports) {
      plan.reason = "no TLS functions of its own: uses a shared library";
    } else if (!elf.has_symtab() && elf.contains(OPENSSL_SOURCE_FILE)) {
      plan.reason = "stripped: holds OpenSSL or BoringSSL, but no symbols say where";
    } else {
      plan.reason = "no TLS functions";
    }
    return plan;
  }

  identify(elf, functions, plan);
  plan_family(elf, functions, READ_FAMILY, READ_INTERNAL, Role::read_internal, mode, plan);
  plan_family(elf, functions, WRITE_FAMILY, WRITE_INTERNAL, Role::write_internal, mode, plan);
  if (mode == PlacementMode::emulated) {
    for (const Wanted &wanted : OTHERS) {
      const auto found = functions.find(wanted.symbol);
      if (found == functions.end()) continue;
      // A program with OpenSSL inside has BIOs of its own kind (node): there BIO_write is the one to probe.
      if (wanted.role == Role::buffer_grow && plan.kind != LibraryKind::openssl_crypto) continue;
      ProbePoint point = conventional_point(wanted, found->second);
      if (place(point, read_body(elf, found->second.address, found->second.size), false)) plan.points.push_back(std::move(point));
    }
  }
  if (elf.machine() == Machine::aarch64) {
    for (ProbePoint &point : plan.points) {
      for (size_t i = 0; i < point.arguments.size(); i++) {
        if (point.arguments[i] != REGISTER_NONE) point.arguments[i] = point.arguments[i] == R8 ? 4 : static_cast<Register>(i);
      }
    }
    plan.note += "aarch64: no disassembly, all probes at first instructions; ";
  }
  while (plan.note.ends_with("; ")) plan.note.resize(plan.note.size() - 2);
  if (plan.points.empty() && plan.reason.empty()) plan.reason = "the kernel refuses probes on its functions";
  return plan;
}

ProbePlan plan_probes(const std::string &path, PlacementMode mode) {
  ElfFile elf;
  if (!elf.open(path)) {
    ProbePlan plan;
    plan.reason = elf.reason();
    return plan;
  }
  return plan_probes(elf, mode);
}

} // namespace klartext
