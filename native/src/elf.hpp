// An ELF file as the capturer needs it: where functions are, and what was built into the file.
//
// Files belong to the processes of others, so nothing in them is believed: every read is a bounded pread (a mapping
// would raise SIGBUS when the owner truncates the file), tables are streamed, and sizes have named maxima.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace klartext {

enum class Machine : uint8_t { other, x86_64, aarch64 };

struct FunctionSymbol {
  uint64_t address = 0;     // virtual, as linked
  uint64_t file_offset = 0; // what a uprobe takes
  uint64_t size = 0;        // bytes; 0 where the symbol does not say
};

class ElfFile {
 public:
  ElfFile() = default;
  ElfFile(ElfFile &&other) noexcept;
  ElfFile &operator=(ElfFile &&other) noexcept;
  ElfFile(const ElfFile &) = delete;
  ElfFile &operator=(const ElfFile &) = delete;
  ~ElfFile();

  // Opens a 64-bit little-endian ELF file. False leaves `reason()` with one line.
  bool open(const std::string &path);
  // The same on a descriptor, which stays the caller's; it must stay open as long as this object is used.
  bool open_fd(int fd);

  const std::string &reason() const { return reason_; }
  Machine machine() const { return machine_; }
  bool is_shared_object() const { return is_shared_object_; }
  bool has_symtab() const { return has_symtab_; } // false: stripped, only exported functions are known
  bool is_go() const { return is_go_; }
  // GNU build id as lower-case hex; empty where there is none.
  const std::string &build_id() const { return build_id_; }
  const std::string &soname() const { return soname_; }

  // Defined functions by name, from .dynsym and .symtab; symbol versions (`SSL_read@@OPENSSL_3.0.0`) are ignored.
  // Names that are not there are left out. Names longer than 63 bytes are never found. `imports` becomes true when one
  // of them is taken from another file.
  std::unordered_map<std::string_view, FunctionSymbol> find_functions(std::span<const std::string_view> names,
                                                                      bool &imports) const;

  // Up to `size_max` bytes of the file's image at a virtual address, fewer at the end of its segment, none outside.
  std::vector<uint8_t> read_code(uint64_t address, size_t size_max) const;
  std::optional<uint64_t> file_offset_of(uint64_t address) const;

  // First printable text of the read-only data of the form `prefix` digits.digits.digits…; empty if none.
  std::string find_version_string(std::string_view prefix) const;
  // Whether the read-only data holds these bytes.
  bool contains(std::string_view text) const;

 private:
  struct Section {
    uint32_t type = 0, link = 0;
    uint64_t flags = 0, address = 0, offset = 0, size = 0, entry_size = 0;
    std::string name;
  };
  struct LoadSegment {
    uint64_t address = 0, offset = 0, file_size = 0;
    bool executable = false;
  };

  bool parse();
  bool fail(std::string reason);
  bool read_at(uint64_t offset, void *into, size_t size) const; // all of it or false
  size_t read_some(uint64_t offset, void *into, size_t size) const;
  void read_program_headers(uint64_t offset, uint32_t count);
  void read_section_headers(uint64_t offset, uint32_t count, uint32_t names_index);
  void read_notes(uint64_t offset, uint64_t size);
  void read_dynamic(uint64_t offset, uint64_t size);
  template <typename Visit> bool scan(const Section &section, size_t overlap, Visit visit) const;

  int fd_ = -1;
  bool owns_fd_ = false;
  uint64_t file_size_ = 0;
  Machine machine_ = Machine::other;
  bool is_shared_object_ = false;
  bool has_symtab_ = false;
  bool is_go_ = false;
  std::string build_id_, soname_, reason_;
  std::vector<Section> sections_;
  std::vector<LoadSegment> loads_;
};

} // namespace klartext
