// x86-64 instructions as probe placement sees them: does the kernel emulate it, what does it write, where does it go.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace klartext {

enum class Flow : uint8_t { next, branch, jump, call, end }; // branch: conditional; end: return, indirect jump, trap

struct Instruction {
  uint64_t address = 0;
  uint8_t length = 0;
  Flow flow = Flow::next;
  // The kernel runs it in the breakpoint handler (arch/x86/kernel/uprobes.c, branch_setup_xol_ops and
  // push_setup_xol_ops), so that a probe costs one trap and no single-step.
  bool emulated = false;
  bool probe_refused = false;  // the kernel refuses a probe here (is_prefix_bad)
  bool long_nop = false;       // the five-byte nop, which kernels from 6.18 on may turn into a call
  uint64_t target = 0;         // of a direct branch, jump or call; 0 if indirect
  uint16_t writes = 0;         // bit per general register, in x86 numbering, whole or in part, explicit or implied
  uint8_t copies_to = 0xff;    // `mov r64, r64` and `movsxd r64, r32`: where to
  uint8_t copies_from = 0xff;  //   and where from
};

// Decodes `code` from `address` on, until its end or until bytes that are no instruction. Empty when this build has no
// disassembler.
std::vector<Instruction> disassemble(std::span<const uint8_t> code, uint64_t address);

// One instruction in Intel syntax, for people.
std::string instruction_text(std::span<const uint8_t> code, uint64_t address);

} // namespace klartext
