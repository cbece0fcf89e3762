#include "elf.hpp"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <memory>
#include <unordered_set>
#include <utility>

namespace klartext {

namespace {

// An executable has some ten program headers and some forty sections; more is damage or an attack. (Objects built with
// -ffunction-sections have more sections, but nobody maps an object file.)
constexpr uint32_t PROGRAM_HEADERS_MAX = 256;
constexpr uint32_t SECTIONS_MAX = 4096;
constexpr uint64_t NOTES_BYTES_MAX = 64 * 1024;
constexpr uint64_t DYNAMIC_BYTES_MAX = 64 * 1024;
// Symbol and string tables are streamed, so this bounds time (about 0.2 s), not memory.
constexpr uint64_t TABLE_BYTES_MAX = uint64_t{512} << 20;
// Whole symbols: a part of a symbol table must not end inside one.
constexpr size_t CHUNK_BYTES = 2730 * sizeof(Elf64_Sym);
constexpr size_t NAME_BYTES_MAX = 64;
constexpr size_t VERSION_BYTES_MAX = 64;

bool add_overflows(uint64_t a, uint64_t b) { return a + b < a; }

// digits.digits.digits
bool starts_with_version(const uint8_t *at, const uint8_t *end) {
  for (int part = 0; part < 3; part++) {
    if (part > 0 && (at == end || *at++ != '.')) return false;
    if (at >= end || std::isdigit(*at) == 0) return false;
    while (at < end && std::isdigit(*at) != 0) at++;
  }
  return true;
}

} // namespace

ElfFile::ElfFile(ElfFile &&other) noexcept { *this = std::move(other); }

ElfFile &ElfFile::operator=(ElfFile &&other) noexcept {
  if (this == &other) return *this;
  if (owns_fd_) close(fd_);
  fd_ = std::exchange(other.fd_, -1);
  owns_fd_ = std::exchange(other.owns_fd_, false);
  file_size_ = other.file_size_;
  machine_ = other.machine_;
  is_shared_object_ = other.is_shared_object_;
  has_symtab_ = other.has_symtab_;
  is_go_ = other.is_go_;
  build_id_ = std::move(other.build_id_);
  soname_ = std::move(other.soname_);
  reason_ = std::move(other.reason_);
  sections_ = std::move(other.sections_);
  loads_ = std::move(other.loads_);
  return *this;
}

ElfFile::~ElfFile() {
  if (owns_fd_) close(fd_);
}

bool ElfFile::open(const std::string &path) {
  // O_NONBLOCK: a path that has become a fifo must not hold the caller.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return fail(std::string("cannot open: ") + strerror(errno));
  fd_ = fd;
  owns_fd_ = true;
  return parse();
}

bool ElfFile::open_fd(int fd) {
  fd_ = fd;
  owns_fd_ = false;
  return parse();
}

bool ElfFile::fail(std::string reason) {
  reason_ = std::move(reason);
  return false;
}

bool ElfFile::parse() {
  struct stat status;
  if (fstat(fd_, &status) != 0) return fail(std::string("cannot stat: ") + strerror(errno));
  if (!S_ISREG(status.st_mode)) return fail("not a regular file");
  file_size_ = static_cast<uint64_t>(status.st_size);

  Elf64_Ehdr header;
  if (!read_at(0, &header, sizeof header)) return fail("not an ELF file: shorter than an ELF header");
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return fail("not an ELF file");
  if (header.e_ident[EI_CLASS] != ELFCLASS64) return fail("not a 64-bit ELF file");
  if (header.e_ident[EI_DATA] != ELFDATA2LSB) return fail("not a little-endian ELF file");
  if (header.e_type != ET_EXEC && header.e_type != ET_DYN) return fail("ELF file is neither executable nor shared library");
  if (header.e_machine == EM_X86_64) machine_ = Machine::x86_64;
  if (header.e_machine == EM_AARCH64) machine_ = Machine::aarch64;
  is_shared_object_ = header.e_type == ET_DYN;

  if (header.e_phnum == 0 || header.e_phnum > PROGRAM_HEADERS_MAX || header.e_phentsize != sizeof(Elf64_Phdr)) {
    return fail("ELF program headers are damaged");
  }
  read_program_headers(header.e_phoff, header.e_phnum);
  if (loads_.empty()) return fail("ELF file has no loadable segment inside the file");
  // Without section headers (sstrip, damage) there are no symbols, which find_functions() then reports as absence.
  if (header.e_shnum > 0 && header.e_shnum <= SECTIONS_MAX && header.e_shentsize == sizeof(Elf64_Shdr)) {
    read_section_headers(header.e_shoff, header.e_shnum, header.e_shstrndx);
  }
  return true;
}

void ElfFile::read_program_headers(uint64_t offset, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    Elf64_Phdr entry;
    if (add_overflows(offset, i * sizeof entry) || !read_at(offset + i * sizeof entry, &entry, sizeof entry)) return;
    if (entry.p_type == PT_LOAD) {
      if (add_overflows(entry.p_offset, entry.p_filesz) || add_overflows(entry.p_vaddr, entry.p_filesz)) continue;
      if (entry.p_offset >= file_size_) continue;
      const uint64_t in_file = std::min<uint64_t>(entry.p_filesz, file_size_ - entry.p_offset);
      loads_.push_back({entry.p_vaddr, entry.p_offset, in_file, (entry.p_flags & PF_X) != 0});
    } else if (entry.p_type == PT_NOTE) {
      read_notes(entry.p_offset, entry.p_filesz);
    } else if (entry.p_type == PT_DYNAMIC) {
      read_dynamic(entry.p_offset, entry.p_filesz);
    }
  }
}

void ElfFile::read_section_headers(uint64_t offset, uint32_t count, uint32_t names_index) {
  std::vector<Elf64_Shdr> headers(count);
  if (!read_at(offset, headers.data(), count * sizeof(Elf64_Shdr))) return;
  std::string names;
  if (names_index < count && headers[names_index].sh_type == SHT_STRTAB && headers[names_index].sh_size < (1u << 20)) {
    names.resize(headers[names_index].sh_size);
    if (!read_at(headers[names_index].sh_offset, names.data(), names.size())) names.clear();
  }
  sections_.reserve(count);
  for (const Elf64_Shdr &header : headers) {
    Section section;
    section.type = header.sh_type;
    section.link = header.sh_link;
    section.flags = header.sh_flags;
    section.address = header.sh_addr;
    section.offset = header.sh_offset;
    section.size = header.sh_size;
    section.entry_size = header.sh_entsize;
    if (header.sh_name < names.size()) {
      const size_t end = names.find('\0', header.sh_name);
      if (end != std::string::npos) section.name = names.substr(header.sh_name, end - header.sh_name);
    }
    if (section.name == ".go.buildinfo" || section.name == ".gopclntab" || section.name == ".note.go.buildid") is_go_ = true;
    if (header.sh_type == SHT_SYMTAB) has_symtab_ = true;
    if (header.sh_type != SHT_NOBITS && (add_overflows(header.sh_offset, header.sh_size) ||
                                         header.sh_offset + header.sh_size > file_size_)) {
      section.size = 0; // outside the file: nothing to read
    }
    sections_.push_back(std::move(section));
  }
}

void ElfFile::read_notes(uint64_t offset, uint64_t size) {
  std::vector<uint8_t> bytes(std::min(size, NOTES_BYTES_MAX));
  bytes.resize(read_some(offset, bytes.data(), bytes.size()));
  for (size_t at = 0; at + sizeof(Elf64_Nhdr) <= bytes.size();) {
    Elf64_Nhdr note;
    std::memcpy(&note, &bytes[at], sizeof note);
    const size_t name_at = at + sizeof note;
    const size_t name_size = (size_t{note.n_namesz} + 3) & ~size_t{3};
    const size_t value_size = (size_t{note.n_descsz} + 3) & ~size_t{3};
    const size_t value_at = name_at + name_size;
    if (value_at + value_size > bytes.size()) return;
    const std::string_view name(reinterpret_cast<const char *>(&bytes[name_at]), note.n_namesz);
    if (note.n_type == NT_GNU_BUILD_ID && name == std::string_view("GNU\0", 4) && note.n_descsz <= 64) {
      static constexpr char DIGITS[] = "0123456789abcdef";
      build_id_.clear();
      for (size_t i = 0; i < note.n_descsz; i++) {
        build_id_ += DIGITS[bytes[value_at + i] >> 4];
        build_id_ += DIGITS[bytes[value_at + i] & 15];
      }
    }
    if (name == std::string_view("Go\0\0", 4)) is_go_ = true;
    at = value_at + value_size;
  }
}

void ElfFile::read_dynamic(uint64_t offset, uint64_t size) {
  std::vector<Elf64_Dyn> entries(std::min(size, DYNAMIC_BYTES_MAX) / sizeof(Elf64_Dyn));
  entries.resize(read_some(offset, entries.data(), entries.size() * sizeof(Elf64_Dyn)) / sizeof(Elf64_Dyn));
  uint64_t names = 0, soname = 0;
  for (const Elf64_Dyn &entry : entries) {
    if (entry.d_tag == DT_NULL) break;
    if (entry.d_tag == DT_STRTAB) names = entry.d_un.d_ptr;
    if (entry.d_tag == DT_SONAME) soname = entry.d_un.d_val;
  }
  if (soname == 0 || names == 0) return;
  // The load segment that holds the strings comes before PT_DYNAMIC in every linker's output.
  const std::vector<uint8_t> text = read_code(names + soname, 256);
  const auto end = std::find(text.begin(), text.end(), 0);
  if (end != text.end()) soname_.assign(text.begin(), end);
}

std::optional<uint64_t> ElfFile::file_offset_of(uint64_t address) const {
  for (const LoadSegment &load : loads_) {
    if (address >= load.address && address - load.address < load.file_size) return load.offset + (address - load.address);
  }
  return std::nullopt;
}

std::vector<uint8_t> ElfFile::read_code(uint64_t address, size_t size_max) const {
  std::vector<uint8_t> bytes;
  for (const LoadSegment &load : loads_) {
    if (address < load.address || address - load.address >= load.file_size) continue;
    const uint64_t inside = address - load.address;
    bytes.resize(std::min<uint64_t>(size_max, load.file_size - inside));
    bytes.resize(read_some(load.offset + inside, bytes.data(), bytes.size()));
    break;
  }
  return bytes;
}

// Calls `visit(bytes, size, offset in section)` on successive parts of a section; each part repeats the last `overlap`
// bytes of the part before. Stops when visit returns true, and returns that.
template <typename Visit> bool ElfFile::scan(const Section &section, size_t overlap, Visit visit) const {
  if (section.type == SHT_NOBITS || section.size == 0) return false;
  const auto buffer = std::make_unique<uint8_t[]>(overlap + CHUNK_BYTES);
  const uint64_t size = std::min(section.size, TABLE_BYTES_MAX);
  size_t kept = 0;
  for (uint64_t at = 0; at < size;) {
    const size_t got = read_some(section.offset + at, &buffer[kept], std::min<uint64_t>(CHUNK_BYTES, size - at));
    if (got == 0) return false;
    if (visit(&buffer[0], kept + got, at - kept)) return true;
    at += got;
    const size_t keep = std::min(overlap, kept + got);
    std::memmove(&buffer[0], &buffer[kept + got - keep], keep);
    kept = keep;
  }
  return false;
}

std::unordered_map<std::string_view, FunctionSymbol>
ElfFile::find_functions(std::span<const std::string_view> names, bool &imports) const {
  imports = false;
  std::unordered_map<std::string_view, FunctionSymbol> found;
  bool ends[256] = {};
  for (const std::string_view name : names) {
    if (!name.empty() && name.size() < NAME_BYTES_MAX) ends[static_cast<uint8_t>(name.back())] = true;
  }

  for (const Section &table : sections_) {
    if ((table.type != SHT_DYNSYM && table.type != SHT_SYMTAB) || table.entry_size != sizeof(Elf64_Sym)) continue;
    if (table.link >= sections_.size() || sections_[table.link].type != SHT_STRTAB) continue;

    // First pass, over the strings: where the wanted names stand. One string may serve as the tail of another, so what
    // counts is what ends at each NUL. `@` begins a symbol version.
    std::unordered_map<uint64_t, std::string_view> wanted;
    scan(sections_[table.link], NAME_BYTES_MAX + VERSION_BYTES_MAX, [&](const uint8_t *bytes, size_t size, uint64_t base) {
      for (size_t from = 0; from < size;) {
        const auto *nul = static_cast<const uint8_t *>(std::memchr(bytes + from, 0, size - from));
        if (nul == nullptr) break;
        const size_t end = static_cast<size_t>(nul - bytes);
        size_t name_end = end;
        const size_t tail = std::min(end - from, VERSION_BYTES_MAX);
        if (const auto *at = static_cast<const uint8_t *>(std::memchr(nul - tail, '@', tail))) {
          name_end = static_cast<size_t>(at - bytes);
        }
        if (name_end > 0 && ends[bytes[name_end - 1]]) {
          for (const std::string_view name : names) {
            if (name.size() > name_end || name.empty()) continue;
            if (std::memcmp(bytes + name_end - name.size(), name.data(), name.size()) == 0) {
              wanted.emplace(base + name_end - name.size(), name);
            }
          }
        }
        from = end + 1;
      }
      return false;
    });
    if (wanted.empty()) continue;

    // Second pass, over the symbols.
    scan(table, 0, [&](const uint8_t *bytes, size_t size, uint64_t) {
      for (size_t at = 0; at + sizeof(Elf64_Sym) <= size; at += sizeof(Elf64_Sym)) {
        Elf64_Sym symbol;
        std::memcpy(&symbol, bytes + at, sizeof symbol);
        const unsigned type = ELF64_ST_TYPE(symbol.st_info);
        if (type != STT_FUNC && type != STT_NOTYPE) continue;
        const auto name = wanted.find(symbol.st_name);
        if (name == wanted.end()) continue;
        if (symbol.st_shndx == SHN_UNDEF) imports = true;
        if (type != STT_FUNC || symbol.st_shndx == SHN_UNDEF || symbol.st_value == 0) continue;
        const auto offset = file_offset_of(symbol.st_value);
        if (!offset) continue;
        found.emplace(name->second, FunctionSymbol{symbol.st_value, *offset, symbol.st_size});
      }
      return false;
    });
  }
  return found;
}

bool ElfFile::contains(std::string_view text) const {
  for (const Section &section : sections_) {
    if (section.type != SHT_PROGBITS || (section.flags & SHF_ALLOC) == 0 || (section.flags & (SHF_WRITE | SHF_EXECINSTR)) != 0) {
      continue;
    }
    if (scan(section, text.size(), [&](const uint8_t *bytes, size_t size, uint64_t) {
          return memmem(bytes, size, text.data(), text.size()) != nullptr;
        })) {
      return true;
    }
  }
  return false;
}

std::string ElfFile::find_version_string(std::string_view prefix) const {
  std::string version;
  for (const Section &section : sections_) {
    if (section.type != SHT_PROGBITS || (section.flags & SHF_ALLOC) == 0 || (section.flags & (SHF_WRITE | SHF_EXECINSTR)) != 0) {
      continue;
    }
    const bool done = scan(section, prefix.size() + VERSION_BYTES_MAX, [&](const uint8_t *bytes, size_t size, uint64_t) {
      for (size_t from = 0; from < size;) {
        const auto *hit = static_cast<const uint8_t *>(memmem(bytes + from, size - from, prefix.data(), prefix.size()));
        if (hit == nullptr) return false;
        const size_t at = static_cast<size_t>(hit - bytes);
        size_t end = at;
        while (end < size && end - at < VERSION_BYTES_MAX && bytes[end] >= 0x20 && bytes[end] < 0x7f) end++;
        if (end < size && starts_with_version(bytes + at + prefix.size(), bytes + end)) {
          version.assign(reinterpret_cast<const char *>(hit), end - at);
          return true;
        }
        from = at + 1;
      }
      return false;
    });
    if (done) break;
  }
  return version;
}

bool ElfFile::read_at(uint64_t offset, void *into, size_t size) const { return read_some(offset, into, size) == size; }

size_t ElfFile::read_some(uint64_t offset, void *into, size_t size) const {
  if (offset > static_cast<uint64_t>(INT64_MAX) - size) return 0;
  size_t done = 0;
  while (done < size) {
    const ssize_t got = pread(fd_, static_cast<uint8_t *>(into) + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

} // namespace klartext
