// kernelgen OUT_DIR FILE.cl... : turns kernel sources into C++. It writes OUT_DIR/generated.h, with
// one struct of typed arguments per kernel, and OUT_DIR/generated.cpp, with the sources embedded.
//
// The OpenCL C signature is the only declaration of a kernel. In the embedded copy every global
// pointer `x` becomes a pair (x_base, x_at) of buffer and element offset, put together again in the
// kernel's first line, so that a tensor may start anywhere in a buffer without sub-buffers or
// alignment rules.
#include <algorithm>
#include <array>
#include <cctype>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace fs = std::filesystem;

struct Param {
  std::string type;  // as written: "float"
  std::string name;
  bool pointer = false;
  bool constant = false;
  bool optional = false;
};

struct Kernel {
  std::string name;
  std::size_t line = 0;
  std::vector<Param> params;
};

struct Source {
  std::string file;
  std::string text;  // what OpenCL compiles
  std::vector<Kernel> kernels;
};

[[noreturn]] void refuse(const std::string& file, std::size_t line, const std::string& message) {
  throw std::runtime_error(file + ":" + std::to_string(line) + ": " + message);
}

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const fs::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  if (!out) throw std::runtime_error("cannot write " + path.string());
}

/// Puts `#include "x"` files in place, each once, with #line marks, so that build logs name it.
std::string flatten(const fs::path& path, std::vector<fs::path>& seen) {
  std::ostringstream out;
  std::istringstream in(read_file(path));
  std::string line;
  std::size_t number = 0;
  out << "#line 1 \"" << path.filename().string() << "\"\n";
  while (std::getline(in, line)) {
    ++number;
    const std::string directive = "#include \"";
    if (line.compare(0, directive.size(), directive) != 0) {
      out << line << '\n';
      continue;
    }
    const auto end = line.find('"', directive.size());
    const fs::path included =
        path.parent_path() / line.substr(directive.size(), end - directive.size());
    if (std::find(seen.begin(), seen.end(), included) != seen.end()) continue;
    seen.push_back(included);
    out << flatten(included, seen);
    out << "#line " << number + 1 << " \"" << path.filename().string() << "\"\n";
  }
  return out.str();
}

/// Blanks comments, keeping every position.
std::string without_comments(std::string s) {
  for (std::size_t i = 0; i + 1 < s.size(); ++i) {
    if (s[i] == '/' && s[i + 1] == '/') {
      while (i < s.size() && s[i] != '\n') s[i++] = ' ';
    } else if (s[i] == '/' && s[i + 1] == '*') {
      const std::size_t end = std::min(s.find("*/", i + 2), s.size() - 2) + 2;
      for (; i < end; ++i) {
        if (s[i] != '\n') s[i] = ' ';
      }
    }
  }
  return s;
}

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

std::vector<std::string> tokens(const std::string& s) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < s.size();) {
    if (std::isspace(static_cast<unsigned char>(s[i])) != 0) {
      ++i;
      continue;
    }
    std::size_t j = i;
    while (j < s.size() && is_word(s[j])) ++j;
    if (j == i) ++j;
    out.push_back(s.substr(i, j - i));
    i = j;
  }
  return out;
}

/// C++ names of what a kernel may take: {OpenCL type, tag for buffers, type for scalars}.
constexpr std::array<std::array<const char*, 3>, 11> known_types{{
    {"float", "F32", "float"},
    {"stored", "Stored<0>", ""},
    {"stored_b", "Stored<1>", ""},
    {"stored_c", "Stored<2>", ""},
    {"half", "F16", ""},
    {"bf16", "BF16", ""},
    {"int", "I32", "std::int32_t"},
    {"uint", "U32", "std::uint32_t"},
    {"ushort", "U16", ""},
    {"uchar", "U8", ""},
    {"ulong", "", "std::uint64_t"},
}};

const char* find_type(const std::string& type, std::size_t column) {
  for (const auto& row : known_types) {
    if (type == row[0]) return row[column];
  }
  return "";
}

Param parse_param(const std::string& text, const std::string& file, std::size_t line) {
  Param param;
  bool global = false;
  std::vector<std::string> words;
  for (const std::string& token : tokens(text)) {
    if (token == "global" || token == "__global") {
      global = true;
    } else if (token == "const") {
      param.constant = true;
    } else if (token == "OPTIONAL") {
      param.optional = true;
    } else if (token == "*") {
      param.pointer = true;
    } else if (token != "restrict") {
      words.push_back(token);
    }
  }
  if (words.size() != 2) {
    refuse(file, line,
           "cannot read kernel argument '" + text +
               "': write '[OPTIONAL] [global] [const] TYPE [* restrict] name'");
  }
  param.type = words[0];
  param.name = words[1];
  if (param.pointer != global) {
    refuse(file, line,
           "argument '" + param.name +
               "': pointers must be global, values must not; declare local memory in the kernel");
  }
  if (*find_type(param.type, param.pointer ? 1 : 2) == '\0') {
    refuse(file, line,
           "argument '" + param.name + "' has type '" + param.type +
               "', which kernelgen does not know; see known_types");
  }
  return param;
}

std::string declared(const Param& p) {
  if (!p.pointer) return p.type + " " + p.name;
  return std::string("global ") + (p.constant ? "const " : "") + p.type + "* restrict " + p.name +
         "_base, ulong " + p.name + "_at";
}

std::string prologue(const Param& p) {
  if (!p.pointer) return "";
  return std::string(" global ") + (p.constant ? "const " : "") + p.type + "* " + p.name + " = " +
         p.name + "_base + " + p.name + "_at;";
}

/// Where the bracket at `open` is closed.
std::size_t matching(const std::string& s, std::size_t open) {
  int depth = 0;
  for (std::size_t i = open; i < s.size(); ++i) {
    if (s[i] == '(') ++depth;
    if (s[i] == ')' && --depth == 0) return i;
  }
  return std::string::npos;
}

std::vector<std::string> split(const std::string& s, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(s);
  for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
  return parts;
}

/// The next "kernel" keyword at or after `at`, as the position behind it; npos at the end.
std::size_t next_kernel(const std::string& s, std::size_t at) {
  for (; (at = s.find("kernel", at)) != std::string::npos; at += 6) {
    const bool prefixed = at >= 2 && s.compare(at - 2, 2, "__") == 0;
    const std::size_t begin = prefixed ? at - 2 : at;
    const bool starts = begin == 0 || !is_word(s[begin - 1]);
    if (starts && at + 6 < s.size() && !is_word(s[at + 6])) return at + 6;
  }
  return std::string::npos;
}

Source read_source(const fs::path& path) {
  Source source;
  source.file = path.filename().string();
  std::vector<fs::path> seen{path};
  const std::string flat = flatten(path, seen);
  const std::string bare = without_comments(flat);
  std::size_t copied = 0;
  for (std::size_t at = 0; (at = next_kernel(bare, at)) != std::string::npos;) {
    const std::size_t line =
        1 + static_cast<std::size_t>(
                std::count(bare.begin(), bare.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
    std::size_t open = bare.find('(', at);
    if (const auto attribute = bare.find("__attribute__", at); attribute < open) {
      open = bare.find('(', matching(bare, bare.find('(', attribute)) + 1);
    }
    const std::size_t close = open == std::string::npos ? open : matching(bare, open);
    const std::size_t brace = close == std::string::npos ? close : bare.find('{', close);
    if (brace == std::string::npos) refuse(source.file, line, "this kernel has no body");
    Kernel kernel;
    kernel.name = tokens(bare.substr(at, open - at)).back();
    kernel.line = line;
    std::string list;
    std::string body;
    for (const std::string& text : split(bare.substr(open + 1, close - open - 1), ',')) {
      kernel.params.push_back(parse_param(text, source.file, line));
      if (!list.empty()) list += ", ";
      list += declared(kernel.params.back());
      body += prologue(kernel.params.back());
    }
    // The signature keeps its lines, so that the compiler's line numbers stay those of the file.
    const auto lines = std::count(bare.begin() + static_cast<std::ptrdiff_t>(open),
                                  bare.begin() + static_cast<std::ptrdiff_t>(brace), '\n');
    source.text.append(flat, copied, open - copied).append("(").append(list).append(")");
    source.text.append(static_cast<std::size_t>(lines), '\n').append("{").append(body);
    copied = brace + 1;
    at = copied;
    source.kernels.push_back(std::move(kernel));
  }
  source.text += flat.substr(copied);
  return source;
}

std::string field(const Param& p) {
  if (!p.pointer) return std::string("Scalar<") + find_type(p.type, 2) + "> " + p.name;
  const std::string kind =
      p.constant ? (p.optional ? "OptionalIn<" : "In<") : (p.optional ? "OptionalOut<" : "Out<");
  return kind + find_type(p.type, 1) + "> " + p.name;
}

std::string header(const std::vector<Source>& sources) {
  std::ostringstream out;
  out << "// Written by kernelgen from the .cl files: one struct of arguments a kernel.\n"
         "#pragma once\n\n"
         "#include \"kernels/launch.h\"\n\nnamespace motley::k {\n";
  for (const Source& source : sources) {
    for (const Kernel& kernel : source.kernels) {
      out << "\n/// " << source.file << "\nstruct " << kernel.name
          << " {\n  static const KernelInfo info;\n";
      for (const Param& p : kernel.params) out << "  " << field(p) << ";\n";
      out << "  template <class Visit>\n  void each(Visit&& visit_) const {\n";
      for (const Param& p : kernel.params) {
        out << "    visit_(\"" << p.name << "\", " << p.name << ");\n";
      }
      out << "  }\n};\n";
    }
  }
  out << "\n/// Every kernel there is.\nstd::span<const KernelInfo* const> all();\n\n"
         "}  // namespace motley::k\n";
  return out.str();
}

std::string implementation(const std::vector<Source>& sources) {
  std::ostringstream out;
  out << "// Written by kernelgen from the .cl files.\n#include \"generated.h\"\n\n"
         "namespace motley::k {\nnamespace {\n";
  for (std::size_t i = 0; i < sources.size(); ++i) {
    out << "\nconstexpr char source_" << i << "[] = R\"CLC(" << sources[i].text << ")CLC\";\n";
    for (const Kernel& kernel : sources[i].kernels) {
      out << "constexpr KernelArg " << kernel.name << "_args[] = {";
      for (const Param& p : kernel.params) {
        if (p.pointer) {
          // bf16 is a typedef, and drivers report what it stands for.
          const std::string type = p.type == "bf16" ? "ushort" : p.type;
          out << "{\"" << p.name << "\", \"" << type << "*\"}, {\"" << p.name
              << "_at\", \"ulong\"}, ";
        } else {
          out << "{\"" << p.name << "\", \"" << p.type << "\"}, ";
        }
      }
      out << "};\n";
    }
  }
  out << "\n}  // namespace\n\n";
  for (std::size_t i = 0; i < sources.size(); ++i) {
    for (const Kernel& kernel : sources[i].kernels) {
      out << "const KernelInfo " << kernel.name << "::info{\"" << kernel.name << "\", \""
          << sources[i].file << "\", source_" << i << ", " << kernel.name << "_args, std::size("
          << kernel.name << "_args)};\n";
    }
  }
  out << "\nstd::span<const KernelInfo* const> all() {\n"
         "  static const KernelInfo* const list[] = {\n";
  for (const Source& source : sources) {
    for (const Kernel& kernel : source.kernels) out << "      &" << kernel.name << "::info,\n";
  }
  out << "  };\n  return list;\n}\n\n}  // namespace motley::k\n";
  return out.str();
}

void check_names(const std::vector<Source>& sources) {
  std::vector<std::string> names;
  for (const Source& source : sources) {
    for (const Kernel& kernel : source.kernels) {
      if (std::find(names.begin(), names.end(), kernel.name) != names.end()) {
        refuse(source.file, kernel.line, "there are two kernels named " + kernel.name);
      }
      names.push_back(kernel.name);
    }
  }
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3) throw std::runtime_error("usage: kernelgen OUT_DIR FILE.cl...");
  const fs::path out = argv[1];
  std::vector<Source> sources;
  for (int i = 2; i < argc; ++i) sources.push_back(read_source(argv[i]));
  check_names(sources);
  write_file(out / "generated.h", header(sources));
  write_file(out / "generated.cpp", implementation(sources));
  return 0;
} catch (const std::exception& e) {
  std::cerr << "kernelgen: " << e.what() << '\n';
  return 1;
}
