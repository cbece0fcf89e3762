#include "disassembly.hpp"

#if defined(__x86_64__)

#include <Zydis/Zydis.h>

#include <cstring>

namespace klartext {

namespace {

constexpr uint8_t OPERAND_SIZE_PREFIX = 0x66;
constexpr uint8_t REX_B_ONLY = 0x41;

// x86_nops of the kernel's arch/x86/include/asm/nops.h, 64-bit, by length.
constexpr size_t NOP_BYTES_MAX = 8;
constexpr uint8_t NOPS[NOP_BYTES_MAX + 1][NOP_BYTES_MAX] = {
    {},
    {0x90},
    {0x66, 0x90},
    {0x0f, 0x1f, 0x00},
    {0x0f, 0x1f, 0x40, 0x00},
    {0x0f, 0x1f, 0x44, 0x00, 0x00},
    {0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00},
    {0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00},
    {0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
};

bool is_kernel_nop(const uint8_t *bytes, size_t length) {
  return length <= NOP_BYTES_MAX && std::memcmp(bytes, NOPS[length], length) == 0;
}

// The kernel's rules, narrowed where they differ between versions: a rule that accepts too little costs time, one that
// accepts too much is a wrong claim.
bool kernel_emulates(const ZydisDecodedInstruction &instruction, const uint8_t *bytes) {
  if (instruction.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY) return false;
  if (is_kernel_nop(bytes, instruction.length)) return true;
  if (instruction.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && instruction.opcode >= 0x50 && instruction.opcode <= 0x57) {
    return instruction.length == 1 || (instruction.length == 2 && bytes[0] == REX_B_ONLY);
  }
  const bool is_branch =
      instruction.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT
          ? instruction.opcode == 0xe8 || instruction.opcode == 0xe9 || instruction.opcode == 0xeb ||
                (instruction.opcode >= 0x70 && instruction.opcode <= 0x7f)
          : instruction.opcode_map == ZYDIS_OPCODE_MAP_0F && instruction.opcode >= 0x80 && instruction.opcode <= 0x8f;
  if (!is_branch) return false;
  for (int i = 0; i < instruction.raw.prefix_count; i++) {
    if (instruction.raw.prefixes[i].value == OPERAND_SIZE_PREFIX) return false;
  }
  return true;
}

// is_prefix_bad() of the kernel: ES, CS, SS, DS and LOCK.
bool kernel_refuses(const ZydisDecodedInstruction &instruction) {
  for (int i = 0; i < instruction.raw.prefix_count; i++) {
    switch (instruction.raw.prefixes[i].value) {
      case 0x26: case 0x2e: case 0x36: case 0x3e: case 0xf0: return true;
      default: break;
    }
  }
  return false;
}

// Number of the 64-bit register that holds `reg`, 0xff for registers that are not general.
uint8_t general_register(ZydisRegister reg) {
  const ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
  if (ZydisRegisterGetClass(whole) != ZYDIS_REGCLASS_GPR64) return 0xff;
  return static_cast<uint8_t>(ZydisRegisterGetId(whole));
}

Flow flow_of(const ZydisDecodedInstruction &instruction) {
  switch (instruction.meta.category) {
    case ZYDIS_CATEGORY_CALL: return Flow::call;
    case ZYDIS_CATEGORY_COND_BR: return Flow::branch;
    case ZYDIS_CATEGORY_UNCOND_BR: return Flow::jump;
    case ZYDIS_CATEGORY_RET:
    case ZYDIS_CATEGORY_INTERRUPT: return Flow::end;
    default: break;
  }
  const bool traps = instruction.mnemonic == ZYDIS_MNEMONIC_UD0 || instruction.mnemonic == ZYDIS_MNEMONIC_UD1 ||
                     instruction.mnemonic == ZYDIS_MNEMONIC_UD2 || instruction.mnemonic == ZYDIS_MNEMONIC_HLT;
  return traps ? Flow::end : Flow::next;
}

Instruction describe(const ZydisDecodedInstruction &decoded, const ZydisDecodedOperand *operands, const uint8_t *bytes,
                     uint64_t address) {
  Instruction result;
  result.address = address;
  result.length = decoded.length;
  result.flow = flow_of(decoded);
  result.emulated = kernel_emulates(decoded, bytes);
  result.probe_refused = kernel_refuses(decoded);
  result.long_nop = decoded.length == 5 && is_kernel_nop(bytes, 5);
  for (int i = 0; i < decoded.operand_count; i++) {
    const ZydisDecodedOperand &operand = operands[i];
    if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER && (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0) {
      const uint8_t reg = general_register(operand.reg.value);
      if (reg != 0xff) result.writes |= static_cast<uint16_t>(1u << reg);
    }
    if (operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && operand.imm.is_relative && result.flow != Flow::next) {
      ZyanU64 target = 0;
      if (ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&decoded, &operand, address, &target))) result.target = target;
    }
  }
  if (result.flow == Flow::jump && result.target == 0) result.flow = Flow::end;
  const bool is_move = decoded.mnemonic == ZYDIS_MNEMONIC_MOV && decoded.operand_width == 64;
  if ((is_move || decoded.mnemonic == ZYDIS_MNEMONIC_MOVSXD) && operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
      operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(operands[0].reg.value) == ZYDIS_REGCLASS_GPR64) {
    result.copies_to = general_register(operands[0].reg.value);
    result.copies_from = general_register(operands[1].reg.value);
  }
  return result;
}

} // namespace

std::vector<Instruction> disassemble(std::span<const uint8_t> code, uint64_t address) {
  std::vector<Instruction> instructions;
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  for (size_t at = 0; at < code.size();) {
    ZydisDecodedInstruction decoded;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, &code[at], code.size() - at, &decoded, operands))) break;
    instructions.push_back(describe(decoded, operands, &code[at], address + at));
    at += decoded.length;
  }
  return instructions;
}

std::string instruction_text(std::span<const uint8_t> code, uint64_t address) {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  ZydisDecodedInstruction decoded;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code.data(), code.size(), &decoded, operands))) return "";
  ZydisFormatter formatter;
  ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
  char text[96];
  if (!ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter, &decoded, operands, decoded.operand_count_visible, text,
                                                    sizeof text, address, nullptr))) {
    return "";
  }
  return text;
}

} // namespace klartext

#else // other machines: placement falls back on first instructions

namespace klartext {

std::vector<Instruction> disassemble(std::span<const uint8_t>, uint64_t) { return {}; }
std::string instruction_text(std::span<const uint8_t>, uint64_t) { return ""; }

} // namespace klartext

#endif
